package holdfast.recovery;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ExitCode;
import holdfast.replicator.control.Problem;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.status.StatusReport;
import holdfast.replicator.status.StatusTable;
import holdfast.replicator.status.Words;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/// What `demo` shows: two sites on this machine, a volume, its first copy, writes that go on, a cut
/// of the link, and the copy opened and compared. All of it is real: two daemons, their sockets,
/// the encrypted link.
final class DemoStory implements AutoCloseable {
    static final String RESOURCE = "home";

    /// Slow enough to be seen: 12.5 MB/s.
    private static final String RATE = "100 Mbit/s";

    private static final long JOURNAL_BYTES = 128L << 20;
    private static final double WAIT_LIMIT_SECONDS = 600;
    private static final long CUT_MILLIS = 3000;
    private static final int COMPARED_BYTES = 1 << 20;

    private final Terminal terminal;
    private final Path directory;
    private final Optional<Path> usersImage;
    private final List<String> wrong = new ArrayList<>();
    private DemoSite backup;
    private DemoSite server;
    private String exportUri;
    private long lastLine;

    /// @param directory empty, for everything that is made
    DemoStory(Terminal terminal, Path directory, Optional<Path> usersImage) {
        this.terminal = terminal;
        this.directory = directory;
        this.usersImage = usersImage;
    }

    /// What came of it.
    ///
    /// @param wrong empty only if every opened copy was right
    /// @param sentWireBytes what the server sent, compressed
    record Outcome(
            List<String> wrong,
            long volumeBytes,
            long writes,
            double firstSyncSeconds,
            long sentWireBytes,
            long sentRawBytes) {
        boolean isRight() {
            return wrong.isEmpty();
        }
    }

    DemoSite server() {
        return server;
    }

    DemoSite backup() {
        return backup;
    }

    String exportUri() {
        return exportUri;
    }

    Outcome tell() throws IOException, ProblemException, InterruptedException {
        say("Two sites under %s: backup and server, a daemon each.", directory);
        backup = DemoSite.start(directory, "backup", RATE);
        server = DemoSite.start(directory, "server", RATE);
        pair();
        DemoVolume volume = DemoVolume.of(directory, usersImage);
        long size = Files.size(volume.image());
        say("The volume: %s.", volume.kind());

        double firstSync = firstSync(volume.image());
        long writes;
        try (DemoWriter writer = DemoWriter.start(exportUri, volume)) {
            say("An application writes on, one 4 KiB block after the other.");
            Thread.sleep(1000);
            openInTheMiddle(volume, writer);
            cut(volume, writer);
            restore(writer);
            writer.stop();
            writes = writer.count();
            say("The application stops after %,d writes.", writes);
        }
        await("the copy catches up");
        compare(volume, writes);
        StatusReport.Traffic traffic = server.resource(RESOURCE).traffic();
        return new Outcome(
                List.copyOf(wrong),
                size,
                writes,
                firstSync,
                traffic.sentWireBytes(),
                traffic.sentRawBytes());
    }

    @Override
    public void close() {
        if (server != null) {
            server.close();
        }
        if (backup != null) {
            backup.close();
        }
    }

    private void pair() throws IOException, ProblemException {
        Path storage = directory.resolve("backup").resolve("storage");
        backup.api().storage(new ControlApi.StorageRequest(storage.toString(), Optional.empty()));
        String address = "127.0.0.1:" + freePort();
        ControlApi.InviteReply invitation =
                backup.api()
                        .invite(new ControlApi.InviteRequest(Optional.of(address), Optional.of(5)));
        ControlApi.JoinReply joined =
                server.api().join(new ControlApi.JoinRequest(invitation.token()));
        say(
                "server has joined %s at %s; each has pinned the other's key.",
                joined.peer(), joined.address());
    }

    private static int freePort() throws IOException {
        try (var probe = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            return probe.getLocalPort();
        }
    }

    private double firstSync(Path image) throws ProblemException, InterruptedException {
        ControlApi.AddReply added =
                server.api()
                        .add(
                                new ControlApi.AddRequest(
                                        RESOURCE,
                                        image.toString(),
                                        Optional.empty(),
                                        Optional.empty(),
                                        Optional.of(JOURNAL_BYTES),
                                        false));
        say(
                "server: %s is added; its copy goes to %s at %s.",
                RESOURCE, added.peerDisk(), added.peer());
        ControlApi.AttachReply attached = server.api().attach(new ControlApi.NameRequest(RESOURCE));
        exportUri = attached.uri();
        say("server: %s is attached at %s", RESOURCE, attached.device().orElse(exportUri));
        long start = System.nanoTime();
        await("the first sync");
        double seconds = (System.nanoTime() - start) / 1e9;
        say("backup: %s", backup.api().status().sentences().getFirst());
        return seconds;
    }

    private void await(String what) throws ProblemException, InterruptedException {
        ControlApi.WaitStatus end =
                server.api()
                        .waitFor(
                                new ControlApi.WaitRequest(
                                        RESOURCE, false, Optional.of(WAIT_LIMIT_SECONDS)),
                                status -> progress(what, status));
        terminal.endProgress();
        if (end.state() != ControlApi.WaitState.DONE) {
            throw new ProblemException(
                    Problem.of(ExitCode.TIMED_OUT, "server", what + " is not done in time")
                            .withEvidence(end.sentence()));
        }
    }

    private void progress(String what, ControlApi.WaitStatus status) {
        long now = System.nanoTime();
        if (!terminal.interactive() && now - lastLine < 1_000_000_000L) {
            return;
        }
        lastLine = now;
        terminal.progress(
                "  "
                        + what
                        + "  "
                        + status.progress().map(StatusTable::bar).orElse(status.sentence()));
    }

    private void openInTheMiddle(DemoVolume volume, DemoWriter writer)
            throws IOException, ProblemException {
        long before = writer.count();
        ControlApi.OpenReply opened = open();
        try (NbdClient copy = NbdClient.connect(opened.view().uri())) {
            check(volume, copy, "while it writes", before);
        } finally {
            close(opened);
        }
    }

    private void cut(DemoVolume volume, DemoWriter writer)
            throws IOException, ProblemException, InterruptedException {
        server.api().disconnect(new ControlApi.LinkRequest(Optional.empty()));
        say("The link is cut. The application does not notice.");
        long atCut = writer.count();
        Thread.sleep(CUT_MILLIS);
        say(
                "  %,d writes since. server: %s",
                writer.count() - atCut, server.api().status().sentences().getFirst());
        ControlApi.OpenReply opened = open();
        try (NbdClient copy = NbdClient.connect(opened.view().uri())) {
            check(volume, copy, "with the link cut", writer.count());
        } finally {
            close(opened);
        }
    }

    private void restore(DemoWriter writer) throws ProblemException, InterruptedException {
        long before = writer.count();
        server.api().connect(new ControlApi.LinkRequest(Optional.empty()));
        long start = System.nanoTime();
        await("the link is back");
        say(
                "The link is restored. After %s the copy has everything that was written without it.",
                String.format(Locale.ROOT, "%.1f s", (System.nanoTime() - start) / 1e9));
        Thread.sleep(500);
        say("  %,d writes meanwhile.", writer.count() - before);
    }

    private ControlApi.OpenReply open() throws ProblemException {
        return backup.api().open(new ControlApi.OpenRequest(RESOURCE, Optional.empty()));
    }

    private void close(ControlApi.OpenReply opened) throws ProblemException {
        backup.api().closeView(new ControlApi.CloseRequest(opened.view().id()));
    }

    /// Without a ledger nothing can be said about a moment; the comparison at the end says it all.
    private void check(DemoVolume volume, NbdClient copy, String when, long written)
            throws IOException {
        if (volume.ledger().isEmpty()) {
            return;
        }
        Ledger.Reading reading = volume.ledger().get().read(copy::read);
        reading.wrong().stream().limit(5).forEach(w -> wrong.add("opened " + when + ": " + w));
        say(
                "backup: opened %s, the copy shows writes 1 to %,d of %,d: %s.",
                when,
                reading.newest(),
                written,
                reading.isOneMoment() ? "one moment, nothing mixed" : "NOT one moment");
    }

    private void compare(DemoVolume volume, long writes)
            throws IOException, ProblemException, InterruptedException {
        ControlApi.OpenReply opened = open();
        Path scratch = directory.resolve("opened-copy.img");
        try (NbdClient original = NbdClient.connect(exportUri);
                NbdClient copy = NbdClient.connect(opened.view().uri())) {
            long different = copy(original, copy, scratch);
            if (different >= 0) {
                wrong.add("the opened copy differs from the original at byte " + different);
            }
            check(volume, copy, "at the end", writes);
            say(
                    "backup: the opened copy and the server's device, byte by byte over %s: %s.",
                    Words.bytes(copy.size()),
                    different < 0 ? "equal" : "DIFFERENT at byte " + different);
        } finally {
            close(opened);
        }
        if (volume.tree().isPresent()) {
            List<String> broken = volume.examine(scratch, directory.resolve("opened-files"));
            wrong.addAll(broken);
            say(
                    "backup: e2fsck and every file in the opened copy: %s.",
                    broken.isEmpty() ? "in order" : "NOT in order");
        }
    }

    /// Compares two exports and keeps the second as a sparse file.
    ///
    /// @return the first byte that differs, -1 when none does
    private static long copy(NbdClient original, NbdClient copy, Path file) throws IOException {
        if (original.size() != copy.size()) {
            return Math.min(original.size(), copy.size());
        }
        long different = -1;
        try (var out = new RandomAccessFile(file.toFile(), "rw")) {
            out.setLength(copy.size());
            byte[] zeros = new byte[COMPARED_BYTES];
            for (long at = 0; at < copy.size(); at += COMPARED_BYTES) {
                byte[] one = new byte[(int) Math.min(COMPARED_BYTES, copy.size() - at)];
                byte[] other = new byte[one.length];
                original.read(at, one);
                copy.read(at, other);
                int mismatch = Arrays.mismatch(one, other);
                if (mismatch >= 0 && different < 0) {
                    different = at + mismatch;
                }
                if (!Arrays.equals(other, 0, other.length, zeros, 0, other.length)) {
                    out.seek(at);
                    out.write(other);
                }
            }
        }
        return different;
    }

    private void say(String format, Object... arguments) {
        terminal.println(format.formatted(arguments));
    }
}
