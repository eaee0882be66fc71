package holdfast.interop;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;

/// Programs that tests run. One that is not installed fails the test: a client that was not run has
/// judged nothing.
final class Tool {
    private static final long LIMIT_SECONDS = 60;

    private Tool() {}

    /// Runs a command to its end, which must be success.
    ///
    /// @return what it printed on either stream
    static String run(String... command) throws IOException, InterruptedException {
        Result result = tryRun(command);
        assertEquals(0, result.exitCode, () -> String.join(" ", command) + "\n" + result.output);
        return result.output;
    }

    record Result(int exitCode, String output) {}

    static Result tryRun(String... command) throws IOException, InterruptedException {
        Path output = Files.createTempFile("tool", ".out");
        try {
            Process process = start(output, command);
            try {
                assertTrue(
                        process.waitFor(LIMIT_SECONDS, TimeUnit.SECONDS),
                        () -> "no end after a minute: " + String.join(" ", command));
            } finally {
                process.destroyForcibly();
            }
            return new Result(
                    process.exitValue(), Files.readString(output, StandardCharsets.ISO_8859_1));
        } finally {
            Files.delete(output);
        }
    }

    /// Starts a command that goes on; the caller ends it.
    static Process start(Path output, String... command) throws IOException {
        return new ProcessBuilder(List.of(command))
                .redirectErrorStream(true)
                .redirectInput(ProcessBuilder.Redirect.from(Path.of("/dev/null").toFile()))
                .redirectOutput(output.toFile())
                .start();
    }
}
