package interop;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

import org.jivesoftware.smack.ConnectionConfiguration.SecurityMode;
import org.jivesoftware.smack.SASLAuthentication;
import org.jivesoftware.smack.SmackConfiguration;
import org.jivesoftware.smack.SmackException.SmackSaslException;
import org.jivesoftware.smack.packet.Mechanisms;
import org.jivesoftware.smack.sasl.SASLErrorException;
import org.jivesoftware.smack.tcp.XMPPTCPConnection;
import org.jivesoftware.smack.tcp.XMPPTCPConnectionConfiguration;
import org.jxmpp.jid.BareJid;
import org.jxmpp.jid.impl.JidCreate;

/**
 * Smack signs in by one mechanism and no other, as often as a test says, and tells what became of it.
 *
 * Orders and answers are those of slixmpp_mechanism.py.
 *
 * Usage: Mechanism
 */
public final class Mechanism {
    private static final String TLS = "TLSv1.3";

    private Mechanism() {
    }

    public static void main(String[] arguments) throws Exception {
        SmackConfiguration.setDefaultReplyTimeout(30_000);
        // Smack has this switched off, and in applications it stays so unless they say otherwise.
        SASLAuthentication.unBlacklistSASLMechanism("SCRAM-SHA-1-PLUS");
        for (String line = Lines.read(); line != null; line = Lines.read()) {
            Map<String, String> outcome = new LinkedHashMap<>();
            try {
                outcome = tried(Lines.object(line));
            } catch (SASLErrorException e) {
                outcome.put("refused", e.getSASLFailure().getSASLErrorString());
            } catch (SmackSaslException e) {
                outcome.put("unable", e.getMessage());
            } catch (Exception e) {
                outcome.put("failed", e.toString());
            }
            Lines.say(outcome);
        }
        // Smack's threads would keep the program.
        System.exit(0);
    }

    private static Map<String, String> tried(Map<String, String> order) throws Exception {
        String mechanism = order.get("mechanism");
        BareJid account = JidCreate.bareFrom(order.get("jid"));
        XMPPTCPConnectionConfiguration.Builder builder = XMPPTCPConnectionConfiguration.builder()
            .setHost("localhost")
            .setPort(Integer.parseInt(order.get("port")))
            .setXmppDomain(account.asDomainBareJid())
            .setSecurityMode(SecurityMode.required)
            .setEnabledSSLProtocols(new String[] {TLS})
            .setCustomX509TrustManager(Trust.in(Path.of(order.get("ca"))));
        if (order.containsKey("certificate")) {
            builder.setKeyManager(Own.in(Path.of(order.get("certificate")), Path.of(order.get("key"))));
        }
        if (account.hasLocalpart()) builder.setUsernameAndPassword(account.getLocalpartOrNull().toString(), order.get("password"));
        Map<String, String> outcome = new LinkedHashMap<>();
        // It names each as "SASL Mech: NAME, Prio: NUMBER".
        String named = ": " + mechanism + ",";
        if (SASLAuthentication.getRegisterdSASLMechanisms().values().stream().noneMatch(name -> name.contains(named))) {
            outcome.put("unable", "Smack has no such mechanism");
            return outcome;
        }
        if (account.hasLocalpart()) builder.addEnabledSaslMechanism(mechanism);
        else builder.performSaslAnonymousAuthentication();
        XMPPTCPConnection connection = new XMPPTCPConnection(builder.build());
        try {
            connection.connect();
            List<String> offered = connection.getFeature(Mechanisms.class).getMechanisms();
            if (!offered.contains(mechanism)) {
                outcome.put("unoffered", String.join(" ", offered));
                return outcome;
            }
            connection.login();
            outcome.put("signed_in", connection.getUser().toString());
            outcome.put("mechanism", connection.getUsedSaslMechansism());
            outcome.put("tls", TLS);
        } finally {
            connection.instantShutdown();
        }
        return outcome;
    }
}
