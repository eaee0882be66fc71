package holdfast.replicator.journal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.journal.JournalIndex.Run;

import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;

class JournalIndexTest {
    private static final int SIZE = 400;

    /// For each device byte the journal byte that holds it: -2 the base, -1 zero.
    private final long[] model = new long[SIZE];

    private final long[] record = new long[SIZE];
    private final JournalIndex index = new JournalIndex();

    @Test
    void theNewestRecordWinsForEachByte() {
        Arrays.fill(model, -2);
        SplittableRandom random = new SplittableRandom(1);
        long address = 1000;
        for (int step = 0; step < 3000; step++) {
            int from = random.nextInt(SIZE);
            int length = 1 + random.nextInt(Math.min(SIZE - from, random.nextBoolean() ? 8 : SIZE));
            boolean zero = random.nextInt(4) == 0;
            index.put(new Run(from, length, zero ? Run.ZEROES : address + 128, address, zero));
            for (int i = 0; i < length; i++) {
                model[from + i] = zero ? -1 : address + 128 + i;
                record[from + i] = address;
            }
            address += 1000;
            if (step % 97 == 0) {
                long below = address - 1000L * (1 + random.nextInt(60));
                index.dropBelow(below);
                for (int i = 0; i < SIZE; i++) {
                    if (record[i] < below) {
                        model[i] = -2;
                    }
                }
            }
            assertSameAsModel(index);
        }
    }

    private void assertSameAsModel(JournalIndex index) {
        long[] found = new long[SIZE];
        Arrays.fill(found, -2);
        long end = 0;
        for (Run run : index.all()) {
            assertTrue(
                    run.lengthBytes() > 0 && run.offsetBytes() >= end, "runs overlap or are empty");
            end = run.endBytes();
            for (long at = run.offsetBytes(); at < end; at++) {
                found[(int) at] = run.isZero() ? -1 : run.dataAddress() + at - run.offsetBytes();
            }
        }
        assertEquals(Arrays.toString(model), Arrays.toString(found));
        for (int at = 0; at < SIZE; at += 13) {
            Run run = index.at(at);
            int next = at;
            while (next < SIZE && model[next] == -2) {
                next++;
            }
            if (next == SIZE) {
                assertNull(run);
            } else {
                assertEquals(next, run.offsetBytes());
                assertEquals(model[next], run.dataAddress());
            }
        }
    }

    @Test
    void indexesInOneAreTheSameAsTheirRecordsInOrder() {
        SplittableRandom random = new SplittableRandom(2);
        for (int round = 0; round < 300; round++) {
            JournalIndex whole = new JournalIndex();
            List<JournalIndex> parts = new ArrayList<>();
            int count = random.nextInt(6);
            for (int i = 0; i < count; i++) {
                JournalIndex part = new JournalIndex();
                int records = random.nextInt(400);
                for (int j = 0; j < records; j++) {
                    long address = (i * 1000L + j) * 1000;
                    Run run =
                            new Run(
                                    random.nextInt(2000),
                                    1 + random.nextInt(random.nextBoolean() ? 8 : 600),
                                    random.nextInt(4) == 0 ? Run.ZEROES : address + 128,
                                    address,
                                    random.nextBoolean());
                    part.put(run);
                    whole.put(run);
                }
                parts.add(part);
            }
            JournalIndex merged = JournalIndex.merged(parts);
            assertEquals(list(whole), list(merged));
            assertEquals(list(whole).size(), merged.size());
            JournalIndex one = new JournalIndex();
            parts.forEach(one::putAll);
            assertEquals(list(whole), list(one));
        }
    }

    private static List<Run> list(JournalIndex index) {
        List<Run> runs = new ArrayList<>();
        index.all().forEach(runs::add);
        return runs;
    }

    /// The promise of the class's page, with the objects around the arrays: in the order in which a
    /// disk is written as in none.
    @Test
    void aRunTakesFewerThan64Bytes() {
        for (boolean random : new boolean[] {false, true}) {
            JournalIndex filled = new JournalIndex();
            SplittableRandom places = new SplittableRandom(3);
            int count = 0;
            for (long i = 0; filled.size() < 200_000; i++) {
                long block = random ? places.nextLong(1 << 30) : 2 * i;
                filled.put(new Run(block * 4096, 4096, i * 4224 + 128, i * 4224, false));
                count++;
            }
            assertTrue(count >= 200_000);
            assertTrue(
                    filled.chunkBytes() < 64L * filled.size(),
                    filled.chunkBytes() / filled.size() + " bytes a run");
        }
    }

    @Test
    void whatIsSharedByCopiesIsChangedInOneOfThem() {
        for (long i = 0; i < 1000; i++) {
            index.put(new Run(i * 10, 10, i * 1000 + 128, i * 1000, false));
        }
        JournalIndex copy = index.copy();
        JournalIndex second = copy.copy();
        copy.put(new Run(5000, 100, 9_000_128, 9_000_000, false));
        index.dropBelow(500_000);
        second.put(new Run(0, 10_000, Run.ZEROES, 9_000_000, true));
        assertEquals(500, index.size());
        assertEquals(991, copy.size());
        assertEquals(1, second.size());
        assertEquals(9_000_128, copy.at(5000).dataAddress());
        assertEquals(128, copy.at(0).dataAddress());
    }

    @Test
    void aCopyStandsStill() {
        index.put(new Run(0, 10, 128, 0, false));
        JournalIndex copy = index.copy();
        index.put(new Run(5, 10, 1128, 1000, false));
        assertEquals(1, copy.size());
        assertEquals(10, copy.at(0).lengthBytes());
    }

    @Test
    void anotherIndexIsTakenInAsNewer() {
        index.put(new Run(0, 10, 128, 0, false));
        JournalIndex newer = new JournalIndex();
        newer.put(new Run(4, 2, 1128, 1000, false));
        index.putAll(newer);
        assertEquals(3, index.size());
        assertEquals(1128, index.at(4).dataAddress());
        assertEquals(134, index.at(6).dataAddress());
    }
}
