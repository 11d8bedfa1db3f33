package interop;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Semaphore;

import org.jivesoftware.smack.ConnectionConfiguration.SecurityMode;
import org.jivesoftware.smack.ConnectionListener;
import org.jivesoftware.smack.ReconnectionManager;
import org.jivesoftware.smack.SmackConfiguration;
import org.jivesoftware.smack.SmackException;
import org.jivesoftware.smack.XMPPConnection;
import org.jivesoftware.smack.filter.MessageWithBodiesFilter;
import org.jivesoftware.smack.packet.Message;
import org.jivesoftware.smack.tcp.XMPPTCPConnection;
import org.jivesoftware.smack.tcp.XMPPTCPConnectionConfiguration;
import org.jivesoftware.smackx.ping.PingManager;
import org.jivesoftware.smackx.sid.element.StanzaIdElement;
import org.jxmpp.jid.impl.JidCreate;
import org.jxmpp.jid.EntityBareJid;

/**
 * One Smack client on a journey: its network is cut, and it comes back by stream management (XEP-0198), driven by a test as
 * slixmpp_traveller.py is, which says how.
 *
 * Smack sends again by itself what the server had not acknowledged when it gave a session up. It does not say that a resumption was
 * refused.
 *
 * Usage: Traveller PORT JID PATIENCE CA_FILE   (the password is the first line of standard input)
 */
public final class Traveller {
    /** Smack has room for 500 that are not acknowledged, and loses what is more when its connection is lost. */
    private static final Semaphore ROOM = new Semaphore(200);
    private static final Object TURN = new Object();
    private static volatile boolean here;

    private Traveller() {
    }

    public static void main(String[] arguments) throws Exception {
        EntityBareJid account = JidCreate.entityBareFrom(arguments[1]);
        String password = Lines.read();
        // So long it waits for the features of a connection that is reset meanwhile.
        SmackConfiguration.setDefaultReplyTimeout(10_000);
        XMPPTCPConnection connection = new XMPPTCPConnection(XMPPTCPConnectionConfiguration.builder()
            .setHost("localhost")
            .setPort(Integer.parseInt(arguments[0]))
            .setXmppDomain(account.asDomainBareJid())
            .setUsernameAndPassword(account.getLocalpart().toString(), password)
            .setSecurityMode(SecurityMode.required)
            .setCustomX509TrustManager(Trust.in(Path.of(arguments[3])))
            .build());
        ReconnectionManager back = ReconnectionManager.getInstanceFor(connection);
        back.setFixedDelay(1);
        back.enableAutomaticReconnection();
        connection.addConnectionListener(new ConnectionListener() {
            @Override
            public void authenticated(XMPPConnection authenticated, boolean resumed) {
                say(resumed ? "resumed" : "bound", authenticated.getUser().toString());
                is(true);
            }

            @Override
            public void connectionClosedOnError(Exception why) {
                is(false);
                say("lost", why.toString());
            }
        });
        // In order, in the thread that reads.
        connection.addSyncStanzaListener(stanza -> {
            Message message = (Message) stanza;
            Map<String, String> line = new LinkedHashMap<>();
            line.put("from", message.getFrom().toString());
            line.put("body", message.getBody());
            StanzaIdElement id = StanzaIdElement.getStanzaId(message);
            if (id != null) line.put("id", id.getId());
            Lines.say(line);
        }, MessageWithBodiesFilter.INSTANCE);
        connection.addStanzaAcknowledgedListener(stanza -> {
            if (!(stanza instanceof Message) || ((Message) stanza).getBody() == null) return;
            say("acked", ((Message) stanza).getBody());
            ROOM.release();
        });
        connection.connect().login();
        long patience = Long.parseLong(arguments[2]) * 1000;
        if (patience > 0) new Thread(() -> givesUp(connection, patience)).start();
        for (String line = Lines.read(); line != null && !line.contains("\"leave\""); line = Lines.read()) {
            Map<String, String> order = Lines.object(line);
            int first = Integer.parseInt(order.get("first"));
            for (int number = first; number < first + Integer.parseInt(order.get("count")); number++) {
                ROOM.acquire();
                write(connection, connection.getStanzaFactory().buildMessageStanza()
                    .to(order.get("to"))
                    .ofType(Message.Type.chat)
                    .setBody(order.get("name") + " " + number)
                    .build());
            }
        }
        back.disableAutomaticReconnection();
        connection.disconnect();
        // Smack's threads would keep the program.
        System.exit(0);
    }

    /** Smack itself gives up no connection that is silent: this does, and connects again. */
    private static void givesUp(XMPPTCPConnection connection, long patience) {
        while (true) {
            try {
                Thread.sleep(patience / 2);
                if (!here || PingManager.getInstanceFor(connection).pingMyServer(false, patience)) continue;
                is(false);
                say("lost", "no answer");
                connection.instantShutdown();
                connection.connect().login();
            } catch (Exception e) {
                say("lost", e.toString());
            }
        }
    }

    private static void is(boolean now) {
        synchronized (TURN) {
            here = now;
            TURN.notifyAll();
        }
    }

    private static void write(XMPPTCPConnection connection, Message message) throws Exception {
        while (true) {
            synchronized (TURN) {
                while (!here) TURN.wait();
            }
            try {
                connection.sendStanza(message);
                return;
            } catch (InterruptedException | SmackException.NotConnectedException e) {
                // It refuses what comes behind the end of a connection. The message itself it has, if that is the request for an
                // acknowledgement behind it.
                if (Arrays.stream(e.getStackTrace()).anyMatch(frame -> frame.getMethodName().startsWith("requestSmAck"))) return;
                Thread.sleep(10);
            }
        }
    }

    private static void say(String key, String value) {
        Map<String, String> line = new LinkedHashMap<>();
        line.put(key, value);
        Lines.say(line);
    }
}
