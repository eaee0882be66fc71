package holdfast.bench;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.status.StatusReport;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.ToDoubleFunction;

/// What does it cost to come back? Sketch: after a short outage the stream goes on, and only what
/// was on its way goes twice; of skipped blocks those that were written go once; where nobody knows
/// what differs, digests of 256 MiB say so in 32 bytes, and 1 % of scattered blocks lie in nearly
/// every fourth part of 128 KiB, of which each costs the digests of 32 blocks.
///
/// Every byte that TCP carries is counted, in both directions and TLS included, by a [Relay]; what
/// rsync needs for the same images is counted by another.
final class CatchUp {
    /// How many bars there are when every case is measured.
    static final int BARS = 8;

    private static final int BLOCK = 4096;
    private static final int MIB = 1 << 20;
    private static final int DEVICE_MIB = 64;

    /// So that 64 extents of 4 MiB can be active.
    private static final int LARGE_MIB = 256;

    /// So that what a fresh process has to learn is little of it.
    private static final int GREAT_MIB = 1024;

    /// What takes a fifth of a second is measured so often; an odd number.
    private static final int TIMES = 5;

    private static final int EXTENT = 4 * MIB;
    private static final int SKIPPED_BLOCKS = 1000;

    /// The beginning of the device holds pages of text, the rest is random.
    private static final int PAGES = 1000;

    private static final int CHANGED_BYTES = 100;
    private static final int OUTAGE_SECONDS = 30;
    private static final double WRITES_PER_SECOND = 200;

    /// A Write in the stream: its header, and the block.
    private static final int WRITE_FRAME_BYTES = 52 + BLOCK;

    /// Control and heartbeats of an outage and what surrounds it.
    private static final int SLACK_BYTES = 4 << 10;

    private static final long LIMIT_SECONDS = 120;

    private final PrintWriter out;
    private final Path work;
    private final long delayMillis;
    private final String cases;
    private final List<String> missed = new ArrayList<>();
    private int judged;

    private Relay relay;
    private Pair pair;
    private Rsync rsync;

    /// @param bytes from the server and to it
    /// @param seconds from the connection, or the order, to two equal copies
    private record Cost(Relay.Bytes bytes, double seconds) {}

    /// @param work an empty directory
    /// @param delayMillis of the line, in each direction
    /// @param cases letters of those to measure
    CatchUp(PrintWriter out, Path work, long delayMillis, String cases) {
        this.out = out;
        this.work = work;
        this.delayMillis = delayMillis;
        this.cases = cases;
    }

    /// Measures, prints, and says which bars were missed.
    List<String> run() throws Exception {
        try (var program = new Rsync(work, delayMillis)) {
            rsync = program;
            out.printf(
                    "%n%-46s %12s %12s %8s %14s %8s   %s%n",
                    "catching up, device of 64 MiB or as it says",
                    "bytes sent",
                    "received",
                    "seconds",
                    "rsync, bytes",
                    "seconds",
                    "DRBD 8.4, bytes");
            if (!cases.replaceAll("[cg]", "").isEmpty()) {
                start("small", DEVICE_MIB);
                try {
                    small();
                } finally {
                    stop();
                }
            }
            if (wants('c')) {
                start("large", LARGE_MIB);
                try {
                    crash();
                } finally {
                    stop();
                }
            }
            if (wants('g')) {
                start("great", GREAT_MIB);
                try {
                    compareScattered("(g) the same on a device of 1 GiB", GREAT_MIB, "");
                } finally {
                    stop();
                }
            }
        }
        return missed;
    }

    int judged() {
        return judged;
    }

    private void small() throws Exception {
        if (wants('a')) {
            outage();
        }
        if (wants('b')) {
            skipped();
        }
        if (wants('d')) {
            compareEqual();
        }
        if (wants('e')) {
            String what = "(e) 1 % of the blocks differ, scattered";
            long bytes = compareScattered(what, DEVICE_MIB, "54-58 MB (csums-alg)");
            atMost("(e) bytes", bytes, 1_500_000);
        }
        if (wants('f')) {
            littleChanged();
        }
    }

    private boolean wants(char letter) {
        return cases.indexOf(letter) >= 0;
    }

    private void start(String name, int mib) throws Exception {
        Path directory = Files.createDirectories(work.resolve(name));
        fill(directory.resolve(Pair.RESOURCE), mib);
        pair =
                Pair.start(
                        directory,
                        Pair.Setup.PLAIN,
                        2L * mib * MIB,
                        port -> {
                            relay = new Relay(port, delayMillis);
                            return relay.port();
                        });
    }

    private void stop() throws IOException {
        pair.close();
        relay.close();
    }

    // ---- the cases ---------------------------------------------------------------------------

    /// The link is gone for a while, and the send buffer holds all that is written meanwhile.
    private void outage() throws Exception {
        long number = numberOf(pair.resource().position());
        long raw = pair.sentRawBytes();
        long writes = 0;
        Relay.Bytes before;
        long inFlight;
        try (BlockClient client = pair.client()) {
            Random random = new Random(1);
            writes += write(client, random, 3);
            relay.cut();
            until("disconnected", () -> !isConnected());
            inFlight =
                    pair.sentRawBytes()
                            - raw
                            - (numberOf(pair.resource().committed()) - number) * WRITE_FRAME_BYTES;
            writes += write(client, random, OUTAGE_SECONDS);
            before = relay.bytes();
            relay.mend();
            awaitInSync();
        }
        Cost cost = new Cost(relay.bytes().minus(before), seconds(relay.accepted(), Instant.now()));
        long again = pair.sentRawBytes() - raw - writes * WRITE_FRAME_BYTES;
        print("(a) outage of 30 s, %d writes".formatted(writes), cost, null, "");
        out.printf(
                "    %d bytes of frames were on their way at the cut, %d were sent again%n",
                Math.max(0, inFlight), Math.max(0, again));
        atMost("(a) bytes sent again", again, inFlight + SLACK_BYTES);
    }

    /// At a steady pace.
    ///
    /// @return how many
    private static long write(BlockClient client, Random random, int seconds) throws IOException {
        long count = (long) (seconds * WRITES_PER_SECOND);
        long began = System.nanoTime();
        for (long i = 0; i < count; i++) {
            long due = began + (long) (i * 1e9 / WRITES_PER_SECOND);
            for (long left = due - System.nanoTime(); left > 0; left = due - System.nanoTime()) {
                LockSupport.parkNanos(left);
            }
            client.write(block(random) * BLOCK, noise(random, BLOCK), false);
        }
        return count;
    }

    /// Blocks written while the peer is away, beyond what the buffer keeps.
    private void skipped() throws Exception {
        Random random = new Random(2);
        List<Long> blocks = distinct(random, SKIPPED_BLOCKS, DEVICE_MIB);
        Behind behind =
                writeBehind(
                        client -> {
                            for (long block : blocks) {
                                client.write(block * BLOCK, noise(random, BLOCK), false);
                            }
                        });
        Rsync.Cost beside = rsync.bringOn(behind.old(), pair.disk());
        print("(b) 1,000 random blocks skipped", behind.cost(), beside, "4.33 MB");
        // Random blocks do not compress.
        long bar = (long) (1.05 * SKIPPED_BLOCKS * BLOCK) + (16 << 10);
        atMost("(b) bytes", behind.cost().bytes().both(), bar);
    }

    /// In each of many pages of text a few bytes change, in one place.
    private void littleChanged() throws Exception {
        byte[] pages = new byte[PAGES * BLOCK];
        try (FileChannel disk = FileChannel.open(pair.disk())) {
            disk.read(ByteBuffer.wrap(pages), 0);
        }
        Random random = new Random(3);
        for (int page = 0; page < PAGES; page++) {
            int at = page * BLOCK + random.nextInt(BLOCK - CHANGED_BYTES);
            System.arraycopy(text(random, CHANGED_BYTES), 0, pages, at, CHANGED_BYTES);
        }
        Behind behind =
                writeBehind(
                        client -> {
                            for (int page = 0; page < PAGES; page++) {
                                client.write(
                                        (long) page * BLOCK,
                                        ByteBuffer.wrap(pages, page * BLOCK, BLOCK),
                                        false);
                            }
                        });
        Rsync.Cost beside = rsync.bringOn(behind.old(), pair.disk());
        print("(f) 1,000 pages of text, 100 bytes changed", behind.cost(), beside, "");
    }

    private interface Writing {
        void by(BlockClient client) throws IOException;
    }

    /// @param old the image before
    private record Behind(Cost cost, Path old) {}

    /// A clean stop makes bits of what the send buffer holds (R9).
    private Behind writeBehind(Writing writing) throws Exception {
        Path old = copyOfDisk();
        relay.cut();
        until("disconnected", () -> !isConnected());
        try (BlockClient client = pair.client()) {
            writing.by(client);
        }
        ControlApi.NameRequest name = new ControlApi.NameRequest(Pair.RESOURCE);
        pair.api().detach(name);
        pair.api().attach(name);
        Relay.Bytes before = relay.bytes();
        long since = lastEvent();
        relay.mend();
        Instant done = awaitDone(since);
        return new Behind(
                new Cost(relay.bytes().minus(before), seconds(relay.accepted(), done)), old);
    }

    /// Everything is active, and nothing differs: it is compared.
    private void crash() throws Exception {
        try (BlockClient client = pair.client()) {
            Random random = new Random(4);
            for (int extent = 0; extent < LARGE_MIB * MIB / EXTENT; extent++) {
                client.write((long) extent * EXTENT, noise(random, BLOCK), true);
                // So slowly that what is acknowledged becomes durable at the server meanwhile.
                LockSupport.parkNanos(100_000_000);
            }
        }
        awaitInSync();
        Path old = copyOfDisk();
        Relay.Bytes before = relay.bytes();
        pair.crashServer();
        Instant done = awaitDone(0); // Its events begin anew with the daemon.
        Cost cost = new Cost(relay.bytes().minus(before), seconds(relay.accepted(), done));
        Rsync.Cost beside = rsync.bringOn(old, pair.disk());
        print("(c) crash with 64 active extents (of 256 MiB)", cost, beside, "");
    }

    private void compareEqual() throws Exception {
        Path old = copyOfDisk();
        Relay.Bytes before = relay.bytes();
        long since = lastEvent();
        Instant began = Instant.now();
        pair.api().invalidateRemote(new ControlApi.NameRequest(Pair.RESOURCE));
        Instant done = awaitDone(since);
        Cost cost = new Cost(relay.bytes().minus(before), seconds(began, done));
        Rsync.Cost beside = rsync.bringOn(old, pair.disk());
        print("(d) comparison of equal devices", cost, beside, "2.3-3.2 MB (verify)");
        atMost("(d) bytes", cost.bytes().both(), 4 << 10);
    }

    /// The disk was written to past us, and what differs is to be found: [#TIMES] times, in turns
    /// with rsync, and judged by the medians. The first is what a process takes that has compared
    /// nothing yet.
    ///
    /// @param drbd its bytes for the same work
    /// @return what the dearest took
    private long compareScattered(String what, int mib, String drbd) throws Exception {
        List<Cost> costs = new ArrayList<>();
        List<Rsync.Cost> besides = new ArrayList<>();
        Random random = new Random(5);
        for (int i = 0; i < TIMES; i++) {
            Path old = writePast(random, mib);
            costs.add(compare());
            besides.add(rsync.bringOn(old, pair.disk()));
        }
        print(what + ", the first", costs.getFirst(), besides.getFirst(), drbd);
        Cost cost = middle(costs, Cost::seconds);
        Rsync.Cost beside = middle(besides, Rsync.Cost::seconds);
        print("    median of %d".formatted(TIMES), cost, beside, "");
        String letter = what.substring(0, 3);
        long most = costs.stream().mapToLong(each -> each.bytes().both()).max().orElseThrow();
        long least = besides.stream().mapToLong(each -> each.bytes().both()).min().orElseThrow();
        atMost(letter + " bytes, beside rsync's", most, least);
        judged++;
        if (cost.seconds() > beside.seconds()) {
            missed.add(
                    "%s took %.2f s, rsync %.2f s"
                            .formatted(letter, cost.seconds(), beside.seconds()));
        }
        return most;
    }

    /// @return the image before
    private Path writePast(Random random, int mib) throws Exception {
        pair.api().detach(new ControlApi.NameRequest(Pair.RESOURCE));
        Path old = copyOfDisk();
        int count = Math.ceilDiv(mib * (MIB / BLOCK), 100);
        try (FileChannel disk = FileChannel.open(pair.disk(), StandardOpenOption.WRITE)) {
            for (long block : distinct(random, count, mib)) {
                disk.write(noise(random, BLOCK), block * BLOCK);
            }
        }
        return old;
    }

    private Cost compare() throws Exception {
        long since = lastEvent();
        Relay.Bytes before = relay.bytes();
        Instant began = Instant.now();
        pair.api().attach(new ControlApi.NameRequest(Pair.RESOURCE));
        Instant done = awaitDone(since);
        return new Cost(relay.bytes().minus(before), seconds(began, done));
    }

    private static <C> C middle(List<C> costs, ToDoubleFunction<C> seconds) {
        return costs.stream()
                .sorted(Comparator.comparingDouble(seconds))
                .skip(costs.size() / 2)
                .findFirst()
                .orElseThrow();
    }

    // ---- the parts of them -------------------------------------------------------------------

    private static void fill(Path disk, int mib) throws IOException {
        Random random = new Random(6);
        try (FileChannel file =
                FileChannel.open(disk, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
            file.write(ByteBuffer.wrap(text(random, PAGES * BLOCK)), 0);
            for (long at = PAGES * BLOCK; at < (long) mib * MIB; at += MIB) {
                int length = (int) Math.min(MIB, (long) mib * MIB - at);
                file.write(noise(random, length), at);
            }
        }
    }

    private static ByteBuffer noise(Random random, int length) {
        byte[] bytes = new byte[length];
        random.nextBytes(bytes);
        return ByteBuffer.wrap(bytes);
    }

    /// Lines as a log has them: zstd makes a third of them.
    private static byte[] text(Random random, int length) {
        String[] words = {
            "error", "session", "opened", "for", "user", "closed", "from", "address", "status",
            "query", "SELECT", "UPDATE", "INSERT", "accounts", "balance", "WHERE", "id", "duration"
        };
        StringBuilder text = new StringBuilder(length + 64);
        while (text.length() < length) {
            text.append(words[random.nextInt(words.length)])
                    .append(random.nextInt(4) == 0 ? "=" + random.nextInt(100_000) : "")
                    .append(random.nextInt(12) == 0 ? '\n' : ' ');
        }
        return text.substring(0, length).getBytes(StandardCharsets.US_ASCII);
    }

    private static long block(Random random) {
        return (long) PAGES + random.nextInt(DEVICE_MIB * MIB / BLOCK - PAGES);
    }

    /// Blocks of a device of so many MiB behind its pages of text, each once.
    private static List<Long> distinct(Random random, int count, int mib) {
        TreeSet<Long> blocks = new TreeSet<>();
        while (blocks.size() < count) {
            blocks.add((long) PAGES + random.nextInt(mib * (MIB / BLOCK) - PAGES));
        }
        return List.copyOf(blocks);
    }

    private Path copyOfDisk() throws IOException {
        return Files.copy(pair.disk(), work.resolve("old"));
    }

    private boolean isConnected() throws ProblemException {
        Optional<StatusReport.Link> link = pair.api().status().link();
        return link.map(StatusReport.Link::isConnected).orElse(false);
    }

    /// The number of the server's newest event.
    private long lastEvent() throws ProblemException, InterruptedException {
        long[] last = new long[1];
        pair.api().events(new ControlApi.EventsRequest(0, false), each -> last[0] = each.number());
        return last[0];
    }

    /// Waits for the commit by which the copy has caught up, and asks seldom: whoever is asked does
    /// something else meanwhile.
    ///
    /// @param since the last event that is not meant
    /// @return when that was
    private Instant awaitDone(long since) throws Exception {
        List<Instant> done = new ArrayList<>();
        ControlApi.EventsRequest request = new ControlApi.EventsRequest(since, false);
        until(
                "caught up",
                () -> {
                    pair.api()
                            .events(
                                    request,
                                    each -> {
                                        if (each.kind().equals("epoch-committed")) {
                                            done.add(each.time());
                                        }
                                    });
                    return !done.isEmpty();
                });
        awaitInSync();
        return done.getLast();
    }

    private void awaitInSync() throws Exception {
        until("in sync", pair::isInSync);
    }

    private interface Check {
        boolean holds() throws Exception;
    }

    private static void until(String what, Check check) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(LIMIT_SECONDS);
        while (!check.holds()) {
            if (System.nanoTime() > deadline) {
                throw new IOException("not within %d s: %s".formatted(LIMIT_SECONDS, what));
            }
            LockSupport.parkNanos(50_000_000);
        }
    }

    private static double seconds(Instant from, Instant to) {
        return Duration.between(from, to).toNanos() / 1e9;
    }

    private static long numberOf(String position) {
        return Long.parseLong(position.substring(position.indexOf('/') + 1));
    }

    private void print(String what, Cost cost, Rsync.Cost beside, String drbd) {
        out.printf(
                "%-46s %12d %12d %8.2f %14s %8s   %s%n",
                what,
                cost.bytes().forth(),
                cost.bytes().back(),
                cost.seconds(),
                beside == null ? "" : Long.toString(beside.bytes().both()),
                beside == null ? "" : "%.2f".formatted(beside.seconds()),
                drbd);
    }

    private void atMost(String what, long bytes, long bar) {
        judged++;
        if (bytes > bar) {
            missed.add("%s: %d, should be %d at most".formatted(what, bytes, bar));
        }
    }
}
