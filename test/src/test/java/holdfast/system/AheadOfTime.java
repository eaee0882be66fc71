package holdfast.system;

import holdfast.bench.BlockClient;

import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;

/// What a daemon's classes are once they are loaded and linked, made once for all the daemons that
/// the tests start: each start takes half as much of the processor. Without it everything goes as
/// well; where the classes do not come from jars, as in `mvn test`, there is none.
final class AheadOfTime {
    private static final long DISK_BYTES = 1 << 20;

    private static List<String> flags;

    private AheadOfTime() {}

    /// @param jvmFlags of the daemons
    /// @return further flags for them
    static synchronized List<String> flags(List<String> jvmFlags) {
        if (flags == null) {
            try {
                flags = make(jvmFlags);
            } catch (Exception | AssertionError e) {
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

    /// From a daemon that does both ways what those of the tests do: a third more of its classes
    /// than of one that only starts.
    private static List<String> make(List<String> jvmFlags) throws Exception {
        if (!classPath().contains("holdfast-recovery-tools")) {
            return List.of();
        }
        Path dir = Files.createTempDirectory("hf-aot");
        Runtime.getRuntime().addShutdownHook(Thread.ofPlatform().unstarted(() -> remove(dir)));
        Path cache = dir.resolve("daemon.aot");
        try (TwoProcesses nodes =
                new TwoProcesses(
                        dir,
                        with(jvmFlags, "-XX:AOTCacheOutput=" + cache),
                        with(jvmFlags, "-Xshare:auto"))) {
            nodes.add(nodes.left, "one", DISK_BYTES);
            nodes.add(nodes.right, "two", DISK_BYTES);
            write(nodes, nodes.left, "one");
            write(nodes, nodes.right, "two");
            nodes.left.terminate();
            if (!nodes.left.hasEnded() || Files.notExists(cache)) {
                throw new IOException("it made nothing: " + nodes.left.account());
            }
        }
        return List.of("-XX:AOTCache=" + cache);
    }

    private static List<String> with(List<String> flags, String one) {
        return Stream.concat(flags.stream(), Stream.of(one)).toList();
    }

    private static void write(TwoProcesses nodes, NodeProcess at, String name) throws IOException {
        try (BlockClient client = new BlockClient(TwoProcesses.socket(at, name), name)) {
            client.write(0, ByteBuffer.allocate(4096).putInt(1).rewind(), true);
        }
        nodes.awaitInSync(at, name);
    }

    private static void remove(Path dir) {
        try {
            Run.ok("rm", "-r", dir.toString());
        } catch (IOException | InterruptedException e) {
            System.out.println("AheadOfTime: " + e.getMessage());
        }
    }
}
