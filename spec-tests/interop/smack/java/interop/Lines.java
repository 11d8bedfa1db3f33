package interop;

import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Lines to and from the test that drives this program, one JSON object a line outwards. */
public final class Lines {
    private static final PrintStream OUT = new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8);
    private static final BufferedReader IN = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));

    private static final Pattern ENTRY = Pattern.compile("\"([a-z]+)\":\\s*\"?([^\",}]*)\"?");

    private Lines() {
    }

    public static synchronized void say(Map<String, String> what) {
        StringBuilder line = new StringBuilder("{");
        for (Map.Entry<String, String> entry : what.entrySet()) {
            if (line.length() > 1) line.append(',');
            string(line, entry.getKey());
            line.append(':');
            string(line, entry.getValue());
        }
        OUT.println(line.append('}'));
    }

    /** The next line, null at the end. */
    public static String read() throws IOException {
        return IN.readLine();
    }

    /** What stands in a line that is an object of plain words and numbers. */
    static Map<String, String> object(String line) {
        Map<String, String> object = new LinkedHashMap<>();
        Matcher entries = ENTRY.matcher(line);
        while (entries.find()) object.put(entries.group(1), entries.group(2));
        return object;
    }

    private static void string(StringBuilder line, String text) {
        line.append('"');
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') line.append('\\').append(c);
            else if (c < ' ' || Character.isSurrogate(c)) line.append(String.format("\\u%04x", (int) c));
            else line.append(c);
        }
        line.append('"');
    }
}
