package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;

/// `dump-md` on the files of a resource that was really at work: beside its daemon, after it, and
/// by somebody who may not.
@Timeout(120)
class DumpMdTest {
    private static final long SIZE = 64L << 20;

    @TempDir Path dir;

    /// What a command printed on both outputs, and how it ended.
    private record Said(int code, String text) {}

    @Test
    void readsBesideADaemonAndWithoutOne() throws Exception {
        Path disk = dir.resolve("disk.img");
        try (var file = new java.io.RandomAccessFile(disk.toFile(), "rw")) {
            file.setLength(SIZE);
        }
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            String uri = nodes.addAndAttach("home", disk);
            nodes.untilInSync("home");
            nodes.backup.close();
            nodes.backup = null;
            TwoNodes.until("apart", () -> !nodes.server.status().link().get().isConnected());
            Run.ok("qemu-io", "-f", "raw", "-c", "write -P 1 8M 64k", "-c", "flush", uri);

            Said said = dump(nodes.serverPaths.root().orElseThrow());
            assertEquals(0, said.code(), said.text());
            long pid = ProcessHandle.current().pid();
            assertTrue(said.text().contains("beside the daemon with pid " + pid), said.text());
            assertFalse(said.text().contains("of no one moment"), said.text());
            assertTrue(said.text().contains("flags        none\n"), said.text());
            assertTrue(said.text().contains(" 8388608 +4194304\n"), said.text());

            nodes.server.close();
            nodes.server = null;
            said = dump(nodes.serverPaths.root().orElseThrow());
            assertEquals(0, said.code(), said.text());
            assertTrue(said.text().contains("no daemon has it"), said.text());
            assertTrue(said.text().contains("flags        clean\n"), said.text());
            assertTrue(
                    said.text().contains("to send      16 blocks, 64 KiB, in 1 ranges"),
                    said.text());

            said = dump(nodes.backupPaths.root().orElseThrow());
            assertEquals(0, said.code(), said.text());
            assertTrue(said.text().contains("home  Secondary  "), said.text());
            assertTrue(said.text().contains("  watermark    "), said.text());
            mayNotBeRead(nodes.serverPaths.state());
        }
    }

    private static void mayNotBeRead(Path state) throws Exception {
        assumeTrue(Files.exists(Path.of("/usr/bin/setpriv")), "needs util-linux");
        Files.setPosixFilePermissions(state, PosixFilePermissions.fromString("---------"));
        Said said =
                dump(
                        state.getParent(),
                        "/usr/bin/setpriv",
                        "--bounding-set=-dac_override,-dac_read_search",
                        "--inh-caps=-dac_override,-dac_read_search");
        Files.setPosixFilePermissions(state, PosixFilePermissions.fromString("rwx------"));
        assertEquals(1, said.code(), said.text());
        assertTrue(
                said.text().contains("this host: " + state + "/resources may not be read\n"),
                said.text());
        assertTrue(said.text().contains("next: sudo holdfast --root"), said.text());
    }

    private static Said dump(Path root, String... before) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(before));
        command.addAll(
                List.of(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "--enable-native-access=ALL-UNNAMED",
                        "-XX:TieredStopAtLevel=1",
                        "-cp",
                        AheadOfTime.classPath(),
                        "holdfast.recovery.Holdfast",
                        "--root",
                        root.toString(),
                        "dump-md",
                        "home"));
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        process.getOutputStream().close();
        String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        return new Said(process.waitFor(), text);
    }
}
