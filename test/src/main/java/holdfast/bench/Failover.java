package holdfast.bench;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.status.StatusReport;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/// How soon is there something to read? With so much journal behind the base: an earlier moment
/// opened and read, the copy promoted, written to, and the promotion made final.
///
/// Sketch: a moment is opened from index files, 8 MB of them for a GiB of single blocks; a
/// promotion is one record and its sync, and the opening of a file; making it final reads the
/// journal once and writes each block that is in it.
final class Failover {
    /// How many bars there are.
    static final int BARS = 4;

    private static final double OPEN_SECONDS_BAR = 1;
    private static final double READ_BAR = 0.5;
    private static final double FIRST_READ_SECONDS_BAR = 1;
    private static final long GIB = 1L << 30;
    private static final int BLOCK = 4096;

    private final PrintWriter out;
    private final Path work;
    private final double seconds;
    private final List<String> missed = new ArrayList<>();
    private int judged;

    /// @param work an empty directory
    /// @param seconds of each load
    Failover(PrintWriter out, Path work, double seconds) {
        this.out = out;
        this.work = work;
        this.seconds = seconds;
    }

    int judged() {
        return judged;
    }

    /// Measures with so many GiB of random blocks in the journal, prints, and says which bars were
    /// missed.
    List<String> run(double gib) throws Exception {
        Path directory = Files.createDirectories(work.resolve("failover"));
        Programs.run("truncate", "-s", "2G", directory.resolve(Pair.RESOURCE).toString());
        long journalBytes = (long) ((1.3 * gib + 1) * GIB);
        try (Pair pair = Pair.start(directory, Pair.Setup.PLAIN, journalBytes, port -> port)) {
            measure(pair, gib);
        }
        Programs.delete(directory);
        return missed;
    }

    private void measure(Pair pair, double gib) throws Exception {
        Instant began = Instant.now();
        while (journal(pair).usedBytes() < gib * GIB) {
            Load.RANDOM_WRITE_32.run(pair.uri(), seconds);
            pair.awaitInSync();
        }
        Instant filled = Instant.now();
        long used = journal(pair).usedBytes();
        double taken = used / (Duration.between(began, filled).toMillis() / 1e3);
        out.printf(
                "%n%.1f GiB of journal, random blocks, written in %d s%n",
                (double) used / GIB, Duration.between(began, filled).toSeconds());

        Instant middle = began.plus(Duration.between(began, filled).dividedBy(2));
        List<Double> opened = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            long opening = System.nanoTime();
            StatusReport.View view = open(pair, middle);
            opened.add(secondsSince(opening));
            pair.backupApi().closeView(new ControlApi.CloseRequest(view.id()));
        }
        StatusReport.View view = open(pair, middle);
        double ofView = Load.RANDOM_READ_32.run(view.uri(), seconds).operationsPerSecond();
        pair.backupApi().closeView(new ControlApi.CloseRequest(view.id()));
        double ofWrites = Load.RANDOM_WRITE_32.run(pair.uri(), seconds).operationsPerSecond();
        pair.awaitInSync();

        long left = journal(pair).usedBytes();
        ControlApi.NameRequest name = new ControlApi.NameRequest(Pair.RESOURCE);
        pair.api().detach(name);
        long promoting = System.nanoTime();
        ControlApi.AttachReply promoted =
                pair.backupApi()
                        .promote(
                                new ControlApi.PromoteRequest(
                                        Pair.RESOURCE, Optional.empty(), false, false))
                        .attached()
                        .orElseThrow(() -> new IOException("promoted, and not attached"));
        try (BlockClient client = new BlockClient(Path.of(promoted.socket()), Pair.RESOURCE)) {
            client.read(0, BLOCK);
        }
        double firstRead = secondsSince(promoting);
        double before = Load.RANDOM_WRITE_32.run(promoted.uri(), seconds).operationsPerSecond();
        long committing = System.nanoTime();
        pair.backupApi()
                .promote(
                        new ControlApi.PromoteRequest(
                                Pair.RESOURCE, Optional.empty(), false, true));
        double committed = secondsSince(committing);
        // The same export, of the base alone.
        double ofBase = Load.RANDOM_READ_32.run(promoted.uri(), seconds).operationsPerSecond();
        double after = Load.RANDOM_WRITE_32.run(promoted.uri(), seconds).operationsPerSecond();

        out.printf(
                "an earlier moment opened in %.2f s (again: %.2f, %.2f)%n",
                opened.get(0), opened.get(1), opened.get(2));
        out.printf(
                "random reads of it, depth 32: %.0f/s, of the base %.0f/s: %.2f%n",
                ofView, ofBase, ofView / ofBase);
        out.printf("promoted and its first block read in %.2f s%n", firstRead);
        out.printf(
                "random writes, depth 32: at the server %.0f/s, promoted %.0f/s, made final %.0f/s%n",
                ofWrites, before, after);
        out.printf(
                "made final in %.1f s: %.0f MiB a second of the journal of before, which came in at %.0f%n",
                committed, left / committed / (1 << 20), taken / (1 << 20));
        bar("open: seconds", opened.get(0), OPEN_SECONDS_BAR, opened.get(0) < OPEN_SECONDS_BAR);
        bar("reads of a moment", ofView / ofBase, READ_BAR, ofView / ofBase >= READ_BAR);
        bar(
                "promotion to first read: seconds",
                firstRead,
                FIRST_READ_SECONDS_BAR,
                firstRead < FIRST_READ_SECONDS_BAR);
        // A roll that is slower than the stream would let every journal become full in the end.
        double roll = left / committed / taken;
        bar("roll-forward beside what came in", roll, 1, roll >= 1);
    }

    private void bar(String what, double measured, double bar, boolean reached) {
        judged++;
        if (!reached) {
            missed.add("%s: %.2f, the bar is %.2f".formatted(what, measured, bar));
        }
    }

    private static StatusReport.View open(Pair pair, Instant at) throws ProblemException {
        return pair.backupApi()
                .open(new ControlApi.OpenRequest(Pair.RESOURCE, Optional.of(at.toString())))
                .view();
    }

    private static StatusReport.Journal journal(Pair pair) throws ProblemException {
        return pair.backupApi()
                .status()
                .resource(Pair.RESOURCE)
                .orElseThrow()
                .journal()
                .orElseThrow();
    }

    private static double secondsSince(long nanos) {
        return (System.nanoTime() - nanos) / 1e9;
    }
}
