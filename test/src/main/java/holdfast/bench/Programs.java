package holdfast.bench;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/// The programs that a benchmark runs, each with an end.
final class Programs {
    private static final long LIMIT_SECONDS = 240;

    /// In which the kernel counts the time of a process: `getconf CLK_TCK`, 100 on every Linux that
    /// we know of.
    private static final double TICKS_PER_SECOND = 100;

    private Programs() {}

    /// Runs it to its end, which must be success.
    ///
    /// @return what it printed on either stream
    static String run(String... command) throws IOException, InterruptedException {
        return run(List.of(command));
    }

    static String run(List<String> command) throws IOException, InterruptedException {
        Path output = Files.createTempFile("bench", ".out");
        try {
            Process process = start(output, command);
            boolean ended;
            try {
                ended = process.waitFor(LIMIT_SECONDS, TimeUnit.SECONDS);
            } finally {
                process.destroyForcibly();
            }
            String text = Files.readString(output, StandardCharsets.ISO_8859_1);
            if (!ended || process.exitValue() != 0) {
                throw new IOException(
                        "%s: %s\n%s"
                                .formatted(
                                        String.join(" ", command),
                                        ended
                                                ? "exit code " + process.exitValue()
                                                : "no end within " + LIMIT_SECONDS + " s",
                                        text));
            }
            return text;
        } finally {
            Files.delete(output);
        }
    }

    /// Starts one that goes on; the caller ends it.
    static Process start(Path output, List<String> command) throws IOException {
        return new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectInput(Path.of("/dev/null").toFile())
                .redirectOutput(ProcessBuilder.Redirect.appendTo(output.toFile()))
                .start();
    }

    /// Ends it as a person would, and at once when that does not help.
    static void stop(Process process) {
        try {
            process.destroy();
            if (!process.waitFor(20, TimeUnit.SECONDS)) {
                process.destroyForcibly().waitFor();
            }
        } catch (InterruptedException e) {
            process.destroyForcibly();
            Thread.currentThread().interrupt();
        }
    }

    /// Processor time that a process has used in all its threads, in user mode and in the kernel.
    static double cpuSeconds(long pid) throws IOException {
        String stat = Files.readString(Path.of("/proc/" + pid + "/stat"));
        // Behind the name, which may hold anything: utime and stime are fields 14 and 15.
        String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ");
        return (Long.parseLong(fields[11]) + Long.parseLong(fields[12])) / TICKS_PER_SECOND;
    }

    /// Those of the commands that are not installed.
    static List<String> missing(String... commands) {
        return Arrays.stream(commands).filter(each -> !isInstalled(each)).toList();
    }

    private static boolean isInstalled(String command) {
        return Stream.of((System.getenv("PATH") + ":/usr/sbin:/sbin").split(":"))
                .anyMatch(dir -> Files.isExecutable(Path.of(dir, command)));
    }

    /// Removes a directory and all in it, which may be mounted no more.
    static void delete(Path directory) throws IOException {
        try (Stream<Path> all = Files.walk(directory)) {
            for (Path each : all.sorted((a, b) -> b.compareTo(a)).toList()) {
                Files.deleteIfExists(each);
            }
        }
    }
}
