package interop;

import java.time.LocalTime;
import java.util.ArrayDeque;

import org.jivesoftware.smack.XMPPConnection;
import org.jivesoftware.smack.debugger.AbstractDebugger;

/** What went over the connections of a test last, for who has to find out why it failed. */
final class Trace extends AbstractDebugger {
    private static final int KEPT = 200;
    private static final ArrayDeque<String> LINES = new ArrayDeque<>();

    Trace(XMPPConnection connection) {
        super(connection);
    }

    static synchronized void clear() {
        LINES.clear();
    }

    static synchronized String text() {
        return String.join("\n", LINES);
    }

    private static synchronized void add(String line) {
        LINES.add(LocalTime.now() + " " + line);
        if (LINES.size() > KEPT) LINES.remove();
    }

    @Override
    protected void log(String message) {
        add(message);
    }

    @Override
    protected void log(String message, Throwable thrown) {
        add(message + " " + thrown);
    }
}
