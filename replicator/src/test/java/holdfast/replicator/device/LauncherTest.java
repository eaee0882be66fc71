package holdfast.replicator.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

class LauncherTest {
    private static final String JAVA = System.getProperty("java.home") + "/bin/java";
    private static final String CLASS_PATH = System.getProperty("java.class.path");

    /// Stands for the daemon: says what it inherited.
    static final class Launched {
        public static void main(String[] arguments) throws Exception {
            var late = new IoFlusher.Report[1];
            var thread = new Thread(() -> late[0] = IoFlusher.of(ProcessHandle.current().pid()));
            thread.start();
            thread.join();
            System.out.println("arguments " + String.join("|", arguments));
            System.out.println("pid " + ProcessHandle.current().pid());
            System.out.println("property " + System.getProperty("told"));
            System.out.println("oom " + LinuxText.read(Path.of("/proc/self/oom_score_adj")));
            System.out.println("flusher " + late[0].complete() + " " + late[0].without());
            System.out.println("threads " + (late[0].threads() > 5));
        }
    }

    private static List<String> launch(String... before) throws IOException {
        List<Object> command = new ArrayList<>(List.of(before));
        command.addAll(
                List.of(
                        JAVA,
                        "-Xshare:auto",
                        "-XX:TieredStopAtLevel=1",
                        "--enable-native-access=ALL-UNNAMED",
                        "-cp",
                        CLASS_PATH,
                        "holdfast.replicator.device.Launcher",
                        "--oom-score-adj=7",
                        "-Dtold=yes",
                        "--enable-native-access=ALL-UNNAMED",
                        "-cp",
                        CLASS_PATH,
                        Launched.class.getName(),
                        "one",
                        "two words"));
        return Tool.run(command.toArray()).lines().toList();
    }

    private static boolean mayHaveTheState() {
        return LinuxText.lines(Path.of("/proc/self/status")).stream()
                .filter(line -> line.startsWith("CapEff:"))
                .anyMatch(line -> (Long.parseLong(line.substring(8).strip(), 16) & 1 << 24) != 0);
    }

    @Test
    void theDaemonHasTheStateInEveryThread() throws IOException {
        assumeTrue(mayHaveTheState(), "needs CAP_SYS_RESOURCE");
        List<String> said = launch();
        assertTrue(said.contains("flusher true []"), said::toString);
        assertTrue(said.contains("threads true"), said::toString);
    }

    @Test
    void theDaemonGetsItsOptionsItsArgumentsAndItsOomScore() throws IOException {
        List<String> said = launch();
        assertTrue(said.contains("arguments one|two words"), said::toString);
        assertTrue(said.contains("property yes"), said::toString);
        assertTrue(said.contains("oom 7"), said::toString);
    }

    /// Also where this process may not have the state: what the kernel does not let us have the
    /// state: what it is asked for, and that the thread that asks is the one that becomes the
    /// daemon.
    @Test
    void theThreadThatBecomesTheDaemonAsksForTheState() throws IOException {
        assumeTrue(Files.exists(Path.of("/usr/bin/strace")), "needs strace");
        List<String> said = launch("strace", "-f", "-e", "trace=prctl,execve", "-e", "signal=none");
        String asked = only(said, "prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0)");
        String became = only(said, "execve(");
        assertEquals(thread(asked), thread(became));
        assertTrue(said.indexOf(asked) < said.indexOf(became));
    }

    /// The one such call of a thread that is not the first of its process.
    private static String only(List<String> lines, String call) {
        List<String> found =
                lines.stream()
                        .filter(line -> line.startsWith("[pid ") && line.contains(call))
                        .toList();
        assertEquals(1, found.size(), lines::toString);
        return found.getFirst();
    }

    private static String thread(String line) {
        return line.substring(0, line.indexOf(']'));
    }

    @Test
    void theFlagsAreFoundBehindAnyName() {
        String before = "12 (a) S 1 (b)) R 1 12 12 0 -1 ";
        assertTrue(IoFlusher.isSet(before + (0x0018_0000 | 0x400040) + " 1 2"));
        assertFalse(IoFlusher.isSet(before + (0x0008_0000 | 0x400040) + " 1 2"));
        assertFalse(IoFlusher.isSet(before + 0x400040 + " 1 2"));
    }

    @Test
    void withoutTheCapabilityItWarnsAndGoesOn() throws IOException {
        Tool.assumeRoot();
        List<String> said = launch("setpriv", "--bounding-set=-sys_resource", "--inh-caps=-all");
        assertTrue(said.getFirst().contains("CAP_SYS_RESOURCE"), said::toString);
        assertTrue(said.contains("arguments one|two words"), said::toString);
        assertTrue(said.stream().anyMatch(l -> l.startsWith("flusher false")), said::toString);
    }

    @Test
    void aProcessWithoutTheStateIsReportedAsSuch() {
        var report = IoFlusher.of(ProcessHandle.current().pid());
        assertTrue(report.threads() > 1);
        assertEquals(report.threads(), report.without().size());
        assertEquals(new IoFlusher.Report(0, List.of()), IoFlusher.of(1L << 40));
    }
}
