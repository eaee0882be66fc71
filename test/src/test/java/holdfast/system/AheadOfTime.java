package holdfast.system;

import holdfast.replicator.control.NodePaths;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;

/// What a daemon's classes are once they are loaded and linked, made once for all the daemons that
/// the tests start: each start takes two fifths less of the processor. Without it everything goes
/// as well; where the classes do not come from jars, as in `mvn test`, there is none.
final class AheadOfTime {
    private static final long LIMIT_SECONDS = 60;

    private static List<String> flags;

    private AheadOfTime() {}

    /// @param jvmFlags of the daemons
    /// @return further flags for them
    static synchronized List<String> flags(List<String> jvmFlags) {
        if (flags == null) {
            try {
                flags = make(jvmFlags);
            } catch (Exception e) {
                System.out.println("AheadOfTime: none: " + e);
                flags = List.of();
            }
        }
        return flags;
    }

    /// Of the class path, what a daemon needs: our tests are no part of it.
    static String classPath() {
        String all =
                System.getProperty(
                        "surefire.test.class.path", System.getProperty("java.class.path"));
        List<String> jars =
                Arrays.stream(all.split(File.pathSeparator))
                        .filter(each -> each.endsWith(".jar"))
                        .toList();
        boolean ofJars = jars.stream().anyMatch(each -> each.contains("holdfast-recovery-tools"));
        return ofJars ? String.join(File.pathSeparator, jars) : all;
    }

    private static List<String> make(List<String> jvmFlags) throws Exception {
        if (!classPath().contains("holdfast-recovery-tools")) {
            return List.of();
        }
        Path dir = Files.createTempDirectory("hf-aot");
        Runtime.getRuntime().addShutdownHook(Thread.ofPlatform().unstarted(() -> remove(dir)));
        Path cache = dir.resolve("daemon.aot");
        NodePaths paths = NodePaths.under(dir.resolve("node"));
        TwoNodes.make(paths, "[node]\nname = \"aot\"\n");
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.add("--enable-native-access=ALL-UNNAMED");
        command.addAll(jvmFlags);
        command.add("-XX:AOTCacheOutput=" + cache);
        command.addAll(List.of("-cp", classPath(), "holdfast.recovery.Holdfast", "daemon"));
        command.addAll(List.of("--root", paths.root().orElseThrow().toString()));
        Process daemon =
                new ProcessBuilder(command)
                        .redirectErrorStream(true)
                        .redirectOutput(dir.resolve("log").toFile())
                        .start();
        try {
            TwoNodes.until(
                    "a daemon to learn from",
                    () -> Files.exists(paths.run().resolve("control.sock")));
            daemon.destroy();
            if (!daemon.waitFor(LIMIT_SECONDS, TimeUnit.SECONDS) || Files.notExists(cache)) {
                throw new IOException("it made nothing, see " + dir.resolve("log"));
            }
        } finally {
            daemon.destroyForcibly();
        }
        return List.of("-XX:AOTCache=" + cache);
    }

    private static void remove(Path dir) {
        try {
            Run.ok("rm", "-r", dir.toString());
        } catch (IOException | InterruptedException e) {
            System.out.println("AheadOfTime: " + e.getMessage());
        }
    }
}
