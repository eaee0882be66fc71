package holdfast.system;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

/// An ext4 on an export, the way a kernel without nbd has it: nbdfuse makes a file of it, a loop
/// device a disk of that. Needs root.
final class MountedExport implements AutoCloseable {
    final Path root;
    private final Path fuse;
    private final Process nbdfuse;
    private String loop = "";
    private boolean mounted;

    MountedExport(Path dir, String uri) throws Exception {
        root = Files.createDirectories(dir.resolve("mnt"));
        fuse = Files.createDirectories(dir.resolve("fuse"));
        Path pid = dir.resolve("nbdfuse.pid");
        nbdfuse =
                new ProcessBuilder("nbdfuse", "-P", pid.toString(), fuse.toString(), uri)
                        .inheritIO()
                        .start();
        try {
            TwoNodes.until("nbdfuse is up", () -> Files.exists(pid) && Files.size(pid) > 0);
            loop = Run.ok("losetup", "--show", "-f", fuse.resolve("nbd").toString()).strip();
            Run.ok("mkfs.ext4", "-q", loop);
            Run.ok("mount", "-o", "discard", loop, root.toString());
            mounted = true;
        } catch (Exception | Error e) {
            close();
            throw e;
        }
    }

    /// Also after a failure: nothing stays mounted.
    @Override
    public void close() throws IOException, InterruptedException {
        if (mounted) {
            mounted = false;
            if (!Run.succeeds("umount", root.toString())) {
                Run.succeeds("umount", "-l", root.toString());
            }
        }
        if (!loop.isEmpty()) {
            Run.succeeds("losetup", "-d", loop);
            loop = "";
        }
        if (!Run.succeeds("fusermount3", "-u", fuse.toString())) {
            Run.succeeds("umount", "-l", fuse.toString());
        }
        if (!nbdfuse.waitFor(20, TimeUnit.SECONDS)) {
            nbdfuse.destroyForcibly().waitFor();
        }
    }

    /// What an image holds: its journal is replayed, a full check finds nothing wrong behind that,
    /// and `look` is given its files.
    static void look(Path image, Path dir, Look look) throws Exception {
        int replay = Run.code("e2fsck", "-p", image.toString());
        if (replay > 1) {
            throw new AssertionError(
                    "journal replay of %s ends with %d\n%s"
                            .formatted(
                                    image, replay, Run.anyway("e2fsck", "-fn", image.toString())));
        }
        Run.ok("e2fsck", "-fn", image.toString());
        Files.createDirectories(dir);
        Run.ok("mount", "-o", "ro,loop", image.toString(), dir.toString());
        try {
            look.at(dir);
        } finally {
            Run.ok("umount", dir.toString());
        }
    }

    interface Look {
        void at(Path root) throws Exception;
    }
}
