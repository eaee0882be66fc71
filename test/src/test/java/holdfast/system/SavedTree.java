package holdfast.system;

import holdfast.bench.Ports;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/// All that stopped daemons have on their disks, to begin with again and again.
///
/// @param tree their roots, storage and devices
/// @param port that one of them listens on
record SavedTree(Path tree, int port) {
    private static final long LARGEST_TEXT_BYTES = 32 << 10;

    /// The same under another path and with another port, as if an operator had moved it.
    void copyTo(Path to) throws Exception {
        Run.ok("cp", "-a", "--sparse=always", tree + "/.", to.toString());
        int another = Ports.free();
        List<Path> files;
        try (Stream<Path> all = Files.walk(to)) {
            files = all.filter(Files::isRegularFile).toList();
        }
        for (Path each : files) {
            if (each.endsWith("base") && each.getParent().getParent().endsWith("resources")) {
                Files.delete(each); // It says which file the base was.
            } else if (Files.size(each) < LARGEST_TEXT_BYTES) {
                move(each, to, another);
            }
        }
    }

    private void move(Path file, Path to, int another) throws IOException {
        String was = Files.readString(file, StandardCharsets.ISO_8859_1);
        String now =
                was.replace(tree.toString(), to.toString())
                        .replace("127.0.0.1:" + port, "127.0.0.1:" + another);
        if (!now.equals(was)) {
            Files.writeString(file, now, StandardCharsets.ISO_8859_1);
        }
    }
}
