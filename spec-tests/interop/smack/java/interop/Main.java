package interop;

import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;

import javax.net.ssl.X509TrustManager;

import org.igniterealtime.smack.inttest.AbstractSmackIntTest;
import org.igniterealtime.smack.inttest.AbstractSmackIntegrationTest;
import org.igniterealtime.smack.inttest.AbstractSmackLowLevelIntegrationTest;
import org.igniterealtime.smack.inttest.Configuration;
import org.igniterealtime.smack.inttest.ConnectionConfigurationBuilderApplier;
import org.igniterealtime.smack.inttest.FailedTest;
import org.igniterealtime.smack.inttest.SmackIntegrationTestFramework;
import org.igniterealtime.smack.inttest.SmackIntegrationTestFramework.TestRunResult;
import org.igniterealtime.smack.inttest.TestNotPossible;
import org.igniterealtime.smack.inttest.TestNotPossibleException;
import org.igniterealtime.smack.inttest.annotations.SmackIntegrationTest;
import org.igniterealtime.smack.inttest.annotations.SpecificationReference;
import org.jivesoftware.smack.SmackConfiguration;
import org.reflections.Reflections;

/**
 * Smack's integration tests, one at a time, each with accounts of its own: what one leaves behind cannot spoil the next, and one
 * that throws what its framework does not expect ends nothing but itself.
 *
 * Says one line for each test there is, {"test": NAME, "specification": TEXT}, and {"ready": ""} behind the last. Then each line it
 * reads is the name of a test to run. While one runs it may say {"account": NAME, "password": TEXT} and waits for a line; in the
 * end it says {"result": RESULT, "why": TEXT, "trace": TEXT}. RESULT is "passed", "failed", or "impossible", which is what the test
 * itself says of a server that lacks something.
 *
 * Usage: Main HOST PORT DOMAIN CA_FILE REPLY_TIMEOUT_MS
 */
public final class Main {
    private static final Map<String, Method> TESTS = new TreeMap<>();
    private static int port;
    private static X509TrustManager trust;

    private Main() {
    }

    public static void main(String[] arguments) throws Exception {
        System.setProperty("sinttest.host", arguments[0]);
        port = Integer.parseInt(arguments[1]);
        System.setProperty("sinttest.service", arguments[2]);
        trust = Trust.in(Path.of(arguments[3]));
        System.setProperty("sinttest.replyTimeout", arguments[4]);
        System.setProperty("sinttest.securityMode", "required");
        System.setProperty("sinttest.dnsResolver", "javax");
        System.setProperty("sinttest.enabledConnections", "tcp");
        SmackConfiguration.setDefaultSmackDebuggerFactory(Trace::new);
        SmackConfiguration.DEBUG = true;
        find();
        say("ready", "");
        for (String name = Lines.read(); name != null; name = Lines.read()) {
            Trace.clear();
            Map<String, String> outcome = run(name);
            if (!outcome.get("result").equals("passed")) outcome.put("trace", Trace.text());
            Lines.say(outcome);
        }
        // Smack's threads would keep the program.
        System.exit(0);
    }

    private static void find() {
        Reflections reflections = new Reflections("org.jivesoftware", "org.igniterealtime");
        find(reflections, AbstractSmackIntegrationTest.class);
        find(reflections, AbstractSmackLowLevelIntegrationTest.class);
        for (Map.Entry<String, Method> test : TESTS.entrySet()) {
            SpecificationReference reference = test.getValue().getDeclaringClass().getAnnotation(SpecificationReference.class);
            Map<String, String> line = new LinkedHashMap<>();
            line.put("test", test.getKey());
            line.put("specification", reference == null ? "" : reference.document());
            Lines.say(line);
        }
    }

    private static void find(Reflections reflections, Class<? extends AbstractSmackIntTest> kind) {
        for (Class<? extends AbstractSmackIntTest> type : reflections.getSubTypesOf(kind)) {
            if (Modifier.isAbstract(type.getModifiers())) continue;
            for (Method method : type.getMethods()) {
                if (method.getAnnotation(SmackIntegrationTest.class) == null) continue;
                TESTS.put(type.getName() + "." + method.getName(), method);
            }
        }
    }

    private static Map<String, String> run(String name) throws Exception {
        if (!TESTS.containsKey(name)) return outcome("failed", "there is no such test");
        String type = name.substring(0, name.lastIndexOf('.'));
        System.setProperty("sinttest.enabledTests", name);
        System.setProperty("sinttest.testPackages", type.substring(0, type.lastIndexOf('.')));
        SmackIntegrationTestFramework framework = new SmackIntegrationTestFramework(configuration());
        Throwable ended = null;
        try {
            framework.run();
        } catch (InvocationTargetException e) {
            ended = e.getCause();
        } catch (Throwable e) {
            ended = e;
        }
        TestRunResult result = (TestRunResult) field(SmackIntegrationTestFramework.class, "testRunResult").get(framework);
        if (result != null) {
            for (FailedTest test : result.getFailedTests()) return outcome("failed", why(test.failureReason));
            for (TestNotPossible test : result.getNotPossibleTests()) return outcome("impossible", why(test.testNotPossibleException));
            for (Throwable why : result.getImpossibleTestClasses().values()) {
                return outcome(why instanceof TestNotPossibleException ? "impossible" : "failed", "its class: " + why(why));
            }
        }
        if (ended != null) return outcome("failed", "it ended the run: " + why(ended));
        boolean passed = result != null && !result.getSuccessfulTests().isEmpty();
        return passed ? outcome("passed", "") : outcome("failed", "it was not run");
    }

    /** Smack's framework knows no port, and no trust but that of the whole program. */
    private static Configuration configuration() throws Exception {
        Configuration configuration = Configuration.newConfiguration(new String[0]);
        ConnectionConfigurationBuilderApplier usual = configuration.configurationApplier;
        ConnectionConfigurationBuilderApplier ours = builder -> {
            usual.applyConfigurationTo(builder);
            builder.setPort(port);
            builder.setCustomX509TrustManager(trust);
        };
        field(Configuration.class, "configurationApplier").set(configuration, ours);
        return configuration;
    }

    private static Field field(Class<?> type, String name) throws NoSuchFieldException {
        Field field = type.getDeclaredField(name);
        field.setAccessible(true);
        return field;
    }

    private static String why(Throwable thrown) {
        StringBuilder text = new StringBuilder(String.valueOf(thrown));
        for (Throwable t = thrown; t != null; t = t.getCause()) {
            for (StackTraceElement frame : t.getStackTrace()) {
                if (TESTS.keySet().stream().anyMatch(name -> frame.getClassName().startsWith(name.substring(0, name.lastIndexOf('.'))))) {
                    return text.append(" at ").append(frame.getFileName()).append(':').append(frame.getLineNumber()).toString();
                }
            }
        }
        return text.toString();
    }

    private static Map<String, String> outcome(String result, String why) {
        Map<String, String> line = new LinkedHashMap<>();
        line.put("result", result);
        line.put("why", why);
        return line;
    }

    private static void say(String key, String value) {
        Map<String, String> line = new LinkedHashMap<>();
        line.put(key, value);
        Lines.say(line);
    }
}
