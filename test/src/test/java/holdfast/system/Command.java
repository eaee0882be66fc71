package holdfast.system;

import holdfast.replicator.control.NodePaths;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/// A command of the command line, in a process of its own.
final class Command {
    final Process process;
    private final Path out;
    private final Path err;

    record Ended(int code, String out, String err) {
        String text() {
            return "ended with " + code + "\n" + out + err;
        }
    }

    private Command(Process process, Path out, Path err) {
        this.process = process;
        this.out = out;
        this.err = err;
    }

    /// @param dir for what it prints
    static Command start(NodePaths paths, Path dir, String verb, String... arguments)
            throws IOException {
        return start(paths, dir, Map.of(), verb, arguments);
    }

    /// @param environment in place of variables of ours, or more of them
    static Command start(
            NodePaths paths,
            Path dir,
            Map<String, String> environment,
            String verb,
            String... arguments)
            throws IOException {
        List<String> command = new ArrayList<>();
        // Whatever runs the tests in the background may have them ignore it, and all they start.
        command.addAll(List.of("env", "--default-signal=INT"));
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.add("--enable-native-access=ALL-UNNAMED");
        command.addAll(NodeProcess.FLAGS);
        command.addAll(AheadOfTime.flags(NodeProcess.FLAGS));
        command.addAll(
                List.of(
                        "-cp",
                        AheadOfTime.classPath(),
                        "holdfast.recovery.Holdfast",
                        "--root",
                        paths.root().orElseThrow().toString(),
                        verb));
        command.addAll(List.of(arguments));
        Path out = Files.createTempFile(dir, "command", ".out");
        Path err = Files.createTempFile(dir, "command", ".err");
        ProcessBuilder builder =
                new ProcessBuilder(command)
                        .redirectOutput(out.toFile())
                        .redirectError(err.toFile());
        builder.environment().putAll(environment);
        Process process = builder.start();
        process.getOutputStream().close();
        return new Command(process, out, err);
    }

    /// Waits for its end.
    Ended await() throws IOException, InterruptedException {
        if (!process.waitFor(120, TimeUnit.SECONDS)) {
            process.destroyForcibly().waitFor();
            throw new AssertionError("it does not end\n" + Files.readString(err));
        }
        return new Ended(process.exitValue(), Files.readString(out), Files.readString(err));
    }
}
