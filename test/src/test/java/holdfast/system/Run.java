package holdfast.system;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeUnit;

/// Runs programs that nobody here wrote.
final class Run {
    private Run() {}

    private record Outcome(int code, String out) {}

    private static Outcome run(String... command) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        process.getOutputStream().close();
        String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        if (!process.waitFor(300, TimeUnit.SECONDS)) {
            process.destroyForcibly();
            throw new AssertionError(String.join(" ", command) + " does not end\n" + out);
        }
        return new Outcome(process.exitValue(), out);
    }

    /// Runs it, expects success, and gives what it printed.
    static String ok(String... command) throws IOException, InterruptedException {
        Outcome outcome = run(command);
        if (outcome.code() != 0) {
            throw new AssertionError(
                    "%s ends with %d\n%s"
                            .formatted(String.join(" ", command), outcome.code(), outcome.out()));
        }
        return outcome.out();
    }

    static int code(String... command) throws IOException, InterruptedException {
        return run(command).code();
    }

    static boolean succeeds(String... command) throws IOException, InterruptedException {
        return code(command) == 0;
    }

    /// What it prints, however it ends.
    static String anyway(String... command) throws IOException, InterruptedException {
        return run(command).out();
    }
}
