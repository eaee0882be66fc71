package holdfast.replicator.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/// Programs of the system, run by tests.
final class Tool {
    /// What it printed, stripped; anything but exit code 0 fails the test.
    static String run(Object... command) throws IOException {
        var words = new String[command.length];
        for (int i = 0; i < words.length; i++) {
            words[i] = command[i].toString();
        }
        Process process = new ProcessBuilder(words).redirectErrorStream(true).start();
        String output =
                new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
        try {
            assertEquals(0, process.waitFor(), String.join(" ", words) + ": " + output);
        } catch (InterruptedException e) {
            throw new IOException(e);
        }
        return output;
    }

    /// Skips the test for whoever may not make loop devices and mounts.
    static void assumeRoot() throws IOException {
        assumeTrue(run("id", "-u").equals("0"), "needs root");
        assumeTrue(Files.exists(Path.of("/dev/loop-control")), "needs loop devices");
    }

    private Tool() {}
}
