package org.jivesoftware.smackx.iqregister;

import java.io.IOException;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

import interop.Lines;
import org.jivesoftware.smack.XMPPConnection;
import org.jxmpp.jid.parts.Localpart;

/**
 * Stands before Smack's own class of this name on the class path: the framework believes that accounts are made by in-band
 * registration, and they are made by the administrator's command. So Smack's tests for many accounts run without it.
 */
public final class AccountManager {
    private static final AccountManager INSTANCE = new AccountManager();

    private AccountManager() {
    }

    public static AccountManager getInstance(XMPPConnection connection) {
        return INSTANCE;
    }

    public static void sensitiveOperationOverInsecureConnectionDefault(boolean allow) {
    }

    public void sensitiveOperationOverInsecureConnection(boolean allow) {
    }

    public boolean isSupported() {
        return true;
    }

    public boolean supportsAccountCreation() {
        return true;
    }

    public Set<String> getAccountAttributes() {
        return Collections.emptySet();
    }

    public void createAccount(Localpart user, String password) {
        Map<String, String> account = new LinkedHashMap<>();
        account.put("account", user.toString());
        account.put("password", password);
        synchronized (AccountManager.class) {
            Lines.say(account);
            try {
                if (Lines.read() == null) throw new IllegalStateException("nobody makes accounts");
            } catch (IOException e) {
                throw new IllegalStateException(e);
            }
        }
    }

    public void createAccount(Localpart user, String password, Map<String, String> attributes) {
        createAccount(user, password);
    }

    /** They go with the server. */
    public void deleteAccount() {
    }
}
