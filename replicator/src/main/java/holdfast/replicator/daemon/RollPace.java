package holdfast.replicator.daemon;

import holdfast.replicator.device.Committer;
import holdfast.throttle.NanoClock;

import java.util.function.BooleanSupplier;
import java.util.function.LongPredicate;

/// Makes a roll-forward give way to what somebody waits for to be durable: it reads and writes a
/// piece, and then rests for as long as the committer has something to do.
///
/// ```
///  nobody waits:     [piece][piece][piece][sync][piece]…
///  always somebody:  [piece]........[piece]........[sync]........      a fifth of the time
///  in a hurry:       [piece][piece][piece][piece][piece]…[sync][piece]…
/// ```
///
/// A rest is [#REST] times as long as the piece took, at most: so a copy whose primary never stops
/// writing is rolled as well, at a fifth of what its disk can do. Where that is too slow the
/// journal fills, the roll is in a hurry then, and does not rest.
final class RollPace {
    /// At 100 MB/s that is 10 ms, which whoever waits for a sync waits longer.
    static final int PIECE_BYTES = 1 << 20;

    /// The base is synced behind so many bytes: one sync of all that a roll writes, a GiB at most,
    /// would hold every other one up for ten seconds. As much as a share of the committer's.
    static final int SYNC_BYTES = 4 << 20;

    /// In a hurry it is synced behind as much as the disk makes durable in this time, so that one
    /// that is slow is not taken for one that hangs ([Hangs#LONG]).
    private static final long SYNC_NANOS = 2_000_000_000;

    /// 64 blocks, anywhere: a disk that needs 10 s for them is as good as none.
    private static final long SYNC_LEAST_BYTES = 256 << 10;

    private static final long SYNC_MOST_BYTES = 256 << 20;

    /// Two syncs tell what bytes cost when one has so many times as many of them.
    private static final double DIFFERS = 4.0 / 3;

    private static final int REST = 4;

    /// How late it is seen that there is a hurry.
    private static final long LOOK_NANOS = 20_000_000;

    private final LongPredicate awaitIdle;
    private final BooleanSupplier hurries;
    private final NanoClock clock;

    // Of the piece that is under way.
    private long bytes;
    private long beganNanos;

    private long unsyncedBytes;

    /// What a sync may have in front of it, as the last ones went.
    private long portionBytes = SYNC_BYTES;

    // Of the last sync.
    private long lastBytes;
    private long lastNanos;

    private long syncBeganNanos;

    /// @param hurries asked often: whether somebody waits for the end of the roll
    RollPace(Committer committer, BooleanSupplier hurries) {
        this(committer::awaitIdle, hurries, NanoClock.system());
    }

    /// @param awaitIdle as [Committer#awaitIdle]
    RollPace(LongPredicate awaitIdle, BooleanSupplier hurries, NanoClock clock) {
        this.awaitIdle = awaitIdle;
        this.hurries = hurries;
        this.clock = clock;
        this.beganNanos = clock.nanoTime();
    }

    /// So many bytes were read, or written: may wait.
    void did(long more) {
        bytes += more;
        if (bytes >= PIECE_BYTES) {
            rest();
        }
    }

    /// So many bytes were written to the base: may wait.
    ///
    /// @return whether it should be synced now; then [#synced]
    boolean wrote(long more) {
        unsyncedBytes += more;
        did(more);
        boolean due = unsyncedBytes >= portionBytes;
        if (!due && unsyncedBytes >= SYNC_BYTES) {
            due = !hurries.getAsBoolean();
        }
        syncBeganNanos = clock.nanoTime();
        return due;
    }

    /// The base was.
    void synced() {
        long took = Math.max(1, clock.nanoTime() - syncBeganNanos);
        double fits = (double) unsyncedBytes * SYNC_NANOS / took;
        if (costsTheSame(unsyncedBytes, took)) {
            fits = Math.max(fits, 2.0 * unsyncedBytes);
        }
        lastBytes = unsyncedBytes;
        lastNanos = took;
        // Twice at most: the disk's own memory takes the first of them.
        portionBytes =
                Math.clamp(
                        (long) Math.min(fits, 2.0 * portionBytes),
                        SYNC_LEAST_BYTES,
                        SYNC_MOST_BYTES);
        unsyncedBytes = 0;
        rest();
    }

    /// Whether of this sync and the last one that with fewer bytes took about as long. Where each
    /// has its price, whatever is in front of it, less in front of it would only make more of them:
    /// a disk that takes 3 s for any would end with 85 KB/s. A second apart is not the same however
    /// long they take: the next one is to stay below what is said to hang.
    private boolean costsTheSame(long bytes, long nanos) {
        boolean fewer = bytes < lastBytes;
        double more = fewer ? (double) lastBytes / bytes : (double) bytes / lastBytes;
        double longer = fewer ? (double) lastNanos / nanos : (double) nanos / lastNanos;
        return lastBytes > 0
                && more >= DIFFERS
                && longer < DIFFERS
                && Math.abs(nanos - lastNanos) < SYNC_NANOS / 2;
    }

    private void rest() {
        long now = clock.nanoTime();
        long until = now + REST * (now - beganNanos);
        while (now - until < 0
                && !hurries.getAsBoolean()
                && !awaitIdle.test(Math.min(until - now, LOOK_NANOS))) {
            now = clock.nanoTime();
        }
        bytes = 0;
        beganNanos = clock.nanoTime();
    }
}
