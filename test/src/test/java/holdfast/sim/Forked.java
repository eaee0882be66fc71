package holdfast.sim;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/// The simulator in a JVM of its own.
record Forked(int exitCode, String output) {
    /// What a history makes is soon garbage: with room for much of it, always the same, a sixth of
    /// the time is saved. As in test/sim.
    static final List<String> MANY =
            List.of(
                    "-XX:+UseParallelGC",
                    "-Xms1600m",
                    "-Xmn1200m",
                    "-XX:-UseAdaptiveSizePolicy",
                    "-XX:SurvivorRatio=4");

    /// While something else waits for it.
    static Forked sim(List<String> jvmOptions, List<String> arguments) throws Exception {
        return run(List.of(), jvmOptions, arguments);
    }

    /// In the time that the processor has left: beside the tests of daemons, which wait more than
    /// they work. Limits of its time have to be generous.
    static Forked inTheBackground(List<String> jvmOptions, List<String> arguments)
            throws Exception {
        return run(List.of("chrt", "--idle", "0"), jvmOptions, arguments);
    }

    private static Forked run(List<String> by, List<String> jvmOptions, List<String> arguments)
            throws Exception {
        List<String> command = new ArrayList<>(by);
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(jvmOptions);
        command.addAll(List.of("-cp", System.getProperty("java.class.path"), "holdfast.sim.Sim"));
        command.addAll(arguments);
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        return new Forked(process.waitFor(), output);
    }
}
