package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

/// A roll-forward rests while somebody waits for a sync, and not too long.
class RollPaceTest {
    private static final long MS = 1_000_000;

    private long now = 77;

    /// For so long the committer has something to do.
    private long busyMillis;

    private boolean hurries;
    private int waits;

    private final RollPace pace = new RollPace(this::awaitIdle, () -> hurries, () -> now);

    private boolean awaitIdle(long nanos) {
        waits++;
        assertTrue(nanos > 0 && nanos <= 20 * MS, nanos + " ns");
        long waited = Math.min(nanos, busyMillis * MS);
        now += waited;
        busyMillis -= waited / MS;
        return busyMillis == 0;
    }

    private long rest(long pieceMillis) {
        now += pieceMillis * MS;
        long from = now;
        pace.did(RollPace.PIECE_BYTES);
        return (now - from) / MS;
    }

    @Test
    void itRestsBetweenPiecesOnly() {
        busyMillis = 1000;
        now += 10 * MS;
        pace.did(RollPace.PIECE_BYTES - 1);
        assertEquals(0, waits);
        pace.did(1);
        assertTrue(waits > 0);
    }

    @Test
    void itGoesOnAsSoonAsNobodyWaits() {
        assertEquals(0, rest(10));
        busyMillis = 30;
        assertEquals(30, rest(10));
        assertEquals(0, rest(10));
    }

    @Test
    void itRestsFourTimesAsLongAsAPieceTakesAtMost() {
        busyMillis = 1000;
        assertEquals(40, rest(10));
        assertEquals(400, rest(100));
        assertEquals(560, busyMillis);
    }

    @Test
    void itDoesNotRestInAHurryAndSyncsLess() {
        busyMillis = 1000;
        hurries = true;
        int syncs = 0;
        for (int i = 0; i < 1000; i++) {
            now += 10 * MS;
            if (pace.wrote(RollPace.PIECE_BYTES)) {
                now += 100 * MS;
                pace.synced();
                syncs++;
            }
        }
        assertEquals(0, waits);
        assertEquals(8, syncs, "behind 4, 8, 16, 32, 64 and 128 MiB, then each 256");
        hurries = false;
        assertTrue(pace.wrote(1), "what a hurry has left unsynced");
    }

    /// 120 writes a second, each of a block: 1 GiB of them is synced in half an hour, and a sync
    /// that takes ten seconds would be said to hang.
    @Test
    void aSlowDiskIsSyncedSoOftenThatNoSyncOfItSeemsToHang() {
        hurries = true;
        long longest = 0;
        long unsynced = 0;
        for (int i = 0; i < 8192; i++) {
            unsynced++;
            if (pace.wrote(4096)) {
                long took = unsynced * 1000 / 120;
                longest = Math.max(longest, took);
                now += took * MS;
                pace.synced();
                unsynced = 0;
            }
        }
        assertTrue(longest < Hangs.LONG.toMillis(), longest + " ms");
        assertTrue(unsynced < 250, unsynced + " blocks wait for the last sync");
    }

    /// Fewer bytes in front of each would only make it more syncs.
    @Test
    void aDiskWhoseSyncsTakeThreeSecondsWhateverTheyCoverIsSyncedSeldom() {
        hurries = true;
        int syncs = 0;
        for (int i = 0; i < 16384; i++) {
            if (pace.wrote(64 << 10)) {
                now += 3000 * MS;
                pace.synced();
                syncs++;
            }
        }
        assertTrue(syncs < 16, syncs + " syncs of a GiB");
    }

    /// Its syncs have a price each and one for each byte: none seems to hang, and it does not
    /// crawl.
    @Test
    void aDiskWhoseSyncsCostBothIsRolledAndNoneSeemsToHang() {
        hurries = true;
        long longest = 0;
        long unsynced = 0;
        long all = 0;
        for (int i = 0; i < 16384; i++) {
            unsynced += 64 << 10;
            if (pace.wrote(64 << 10)) {
                long took = 5000 + unsynced / 10_000;
                longest = Math.max(longest, took);
                all += took;
                now += took * MS;
                pace.synced();
                unsynced = 0;
            }
        }
        assertTrue(longest < Hangs.LONG.toMillis(), longest + " ms");
        assertTrue(all < (1L << 30) / 1000, all + " ms for a GiB: less than 1 MB/s");
    }

    @Test
    void aHurryEndsARest() {
        busyMillis = Long.MAX_VALUE / MS;
        RollPace other =
                new RollPace(
                        nanos -> {
                            hurries = ++waits == 3;
                            now += nanos;
                            return false;
                        },
                        () -> hurries,
                        () -> now);
        now += 1000 * MS;
        other.did(RollPace.PIECE_BYTES);
        assertEquals(3, waits);
    }

    @Test
    void theBaseIsSyncedInPortions() {
        int synced = 0;
        for (int i = 0; i < 16; i++) {
            if (pace.wrote(RollPace.PIECE_BYTES)) {
                pace.synced();
                synced++;
            }
        }
        assertEquals(16L * RollPace.PIECE_BYTES / RollPace.SYNC_BYTES, synced);
    }
}
