package holdfast.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.concurrent.TimeUnit;

/// How many bytes go over the wire for what filesystems and databases write: an ext4 on a loop
/// device over nbdfuse, and PostgreSQL on it. Needs root; leaves nothing mounted.
final class Wire implements AutoCloseable {
    private final Pair pair;
    private final Path directory;
    private final Path mount;
    private final Path fuse;
    private final Deque<Undo> undo = new ConcurrentLinkedDeque<>();

    /// Takes one step back.
    private interface Undo {
        void run() throws Exception;
    }

    /// @param wire bytes of packets
    /// @param raw bytes of frames before compression: the data of each write and 40 bytes or so
    record Bytes(String what, long wire, long raw) {
        double ratio() {
            return (double) wire / Math.max(1, raw);
        }
    }

    Wire(Pair pair, Path directory) throws IOException {
        this.pair = pair;
        this.directory = directory;
        this.mount = Files.createDirectories(directory.resolve("mount"));
        this.fuse = Files.createDirectories(directory.resolve("fuse"));
    }

    /// Makes the filesystem and mounts it. When it fails as well, [#close] undoes what was done.
    void mount() throws Exception {
        Path file = fuse.resolve("nbd");
        Process nbdfuse =
                Programs.start(
                        directory.resolve("nbdfuse.log"),
                        List.of("nbdfuse", fuse.toString(), pair.uri()));
        undo.addLast(() -> Programs.stop(nbdfuse));
        undo.addLast(() -> unmount(fuse));
        while (!Files.exists(file)) {
            if (nbdfuse.waitFor(20, TimeUnit.MILLISECONDS)) {
                throw new IOException(Files.readString(directory.resolve("nbdfuse.log")));
            }
        }
        String loop = Programs.run("losetup", "--show", "-f", file.toString()).strip();
        undo.addLast(() -> Programs.run("losetup", "-d", loop));
        Programs.run("mke2fs", "-q", "-t", "ext4", loop);
        Programs.run("mount", loop, mount.toString());
        undo.addLast(() -> unmount(mount));
        settle();
    }

    /// Also when somebody is still at work there, because we were told to stop.
    private static void unmount(Path what) throws IOException, InterruptedException {
        try {
            Programs.run("umount", what.toString());
        } catch (IOException busy) {
            Programs.run("umount", "-l", what.toString());
        }
    }

    private void settle() throws Exception {
        Programs.run("sync", "-f", mount.toString());
        pair.awaitInSync();
    }

    private interface Work {
        void run() throws Exception;
    }

    private Bytes count(String what, Work work) throws Exception {
        long wire = pair.sentWireBytes();
        long raw = pair.sentRawBytes();
        work.run();
        settle();
        return new Bytes(what, pair.sentWireBytes() - wire, pair.sentRawBytes() - raw);
    }

    /// Unpacks the trees, as `tar` does, with a sync behind it.
    ///
    /// @param archive the trees, made beforehand
    Bytes untar(Path archive) throws Exception {
        Path target = Files.createDirectory(mount.resolve("tree"));
        return count(
                "ext4: untar and sync",
                () -> Programs.run("tar", "-xf", archive.toString(), "-C", target.toString()));
    }

    /// A cluster on the filesystem: pgbench's tables made, then its transactions for a while.
    ///
    /// @param bin where PostgreSQL's programs are
    /// @param scale of pgbench, 15 MB each
    List<Bytes> postgres(Path bin, int scale, int seconds) throws Exception {
        Path data = mount.resolve("pg");
        Path socket = mount.resolve("pgsocket");
        for (Path each : List.of(data, socket)) {
            Files.createDirectory(each);
            Programs.run("chown", "postgres", each.toString());
        }
        List<Bytes> counted = new ArrayList<>();
        counted.add(
                count(
                        "PostgreSQL: initdb",
                        () ->
                                asPostgres(
                                        bin.resolve("initdb").toString(),
                                        "-D",
                                        data.toString(),
                                        "--locale=C.UTF-8",
                                        "--auth=trust")));
        // No TCP: the socket's directory is ours alone, and so is its port.
        String options = "-c listen_addresses='' -k %s -p 54329".formatted(socket);
        String control = bin.resolve("pg_ctl").toString();
        String log = data.resolve("log").toString();
        asPostgres(control, "-D", data.toString(), "-w", "-l", log, "-o", options, "start");
        Undo stop = () -> asPostgres(control, "-D", data.toString(), "-m", "fast", "stop");
        undo.addLast(stop);
        String bench = bin.resolve("pgbench").toString();
        List<String> to = List.of("-h", socket.toString(), "-p", "54329", "postgres");
        counted.add(
                count(
                        "PostgreSQL: pgbench -i -s " + scale,
                        () -> asPostgres(bench, to, "-q", "-i", "-s", Integer.toString(scale))));
        counted.add(
                count(
                        "PostgreSQL: pgbench -c 4 -T %d, checkpoint".formatted(seconds),
                        () -> {
                            asPostgres(bench, to, "-c", "4", "-T", Integer.toString(seconds));
                            asPostgres(bin.resolve("psql").toString(), to, "-c", "checkpoint");
                        }));
        if (undo.remove(stop)) {
            stop.run();
        }
        return counted;
    }

    private static void asPostgres(String program, String... arguments) throws Exception {
        asPostgres(program, List.of(), arguments);
    }

    private static void asPostgres(String program, List<String> last, String... arguments)
            throws Exception {
        List<String> command = new ArrayList<>(List.of("runuser", "-u", "postgres", "--", program));
        command.addAll(List.of(arguments));
        command.addAll(last);
        Programs.run(command);
    }

    @Override
    public void close() throws IOException {
        IOException first = null;
        for (Undo each = undo.pollLast(); each != null; each = undo.pollLast()) {
            try {
                each.run();
            } catch (Exception e) {
                IOException failed = new IOException("cleaning up failed: " + e.getMessage(), e);
                if (first == null) {
                    first = failed;
                } else {
                    first.addSuppressed(failed);
                }
            }
        }
        if (first != null) {
            throw first;
        }
    }
}
