package holdfast.tunnel.wire;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.tunnel.wire.AddressSpace.Run;
import holdfast.tunnel.wire.AddressSpace.Segment;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;

class AddressSpaceTest {
    private static final long UNIT = AddressSpace.UNIT_BYTES;

    /// What each unit of [#GRAIN] bytes of the address space is, one by one: `volume:offset`, or
    /// empty for a gap. It grows as the rule says, in the plainest way there is.
    private static final class Naive {
        private static final long GRAIN = 512 << 10;

        private final List<String> addresses = new ArrayList<>();
        private final List<Long> sizes = new ArrayList<>();
        private int last = -1;

        void append(int volume, long bytes) {
            if (volume != last) {
                while (addresses.size() * GRAIN % UNIT != 0) {
                    addresses.add("");
                }
            }
            last = volume;
            if (volume == sizes.size()) {
                sizes.add(0L);
            }
            for (long i = 0; i < bytes; i += GRAIN) {
                addresses.add(volume + ":" + (sizes.get(volume) + i));
            }
            sizes.set(volume, sizes.get(volume) + bytes);
        }

        void requireSame(AddressSpace space) {
            assertEquals(addresses.size() * GRAIN, space.sizeBytes());
            assertEquals(sizes, space.volumeSizes());
            for (int i = 0; i < addresses.size(); i++) {
                AddressSpace.Place at = space.at(i * GRAIN + 7);
                String found =
                        at.volume() == AddressSpace.GAP
                                ? ""
                                : at.volume() + ":" + (at.offsetBytes() - 7);
                assertEquals(addresses.get(i), found, "at " + i * GRAIN);
                if (!found.isEmpty()) {
                    assertEquals(
                            List.of(new Run(i * GRAIN + 7, GRAIN - 7)),
                            space.runs(at.volume(), at.offsetBytes(), GRAIN - 7));
                }
            }
        }
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8})
    void growthsInAnyOrderMoveNothing(long seed) {
        Random random = new Random(seed);
        Naive naive = new Naive();
        List<Long> sizes = new ArrayList<>();
        int volumes = 1 + random.nextInt(4);
        for (int i = 0; i < volumes; i++) {
            long bytes = (1 + random.nextInt(20)) * Naive.GRAIN;
            naive.append(i, bytes);
            sizes.add(bytes);
        }
        AddressSpace space = AddressSpace.ofVolumes(sizes);
        naive.requireSame(space);
        for (int i = 0; i < 10; i++) {
            int volume = random.nextInt(volumes);
            long more = (1 + random.nextInt(20)) * Naive.GRAIN;
            sizes.set(volume, sizes.get(volume) + more);
            AddressSpace larger = space.grown(sizes);
            naive.append(volume, more);
            naive.requireSame(larger);
            assertTrue(space.growsTo(larger));
            assertFalse(larger.growsTo(space));
            assertEquals(space, larger.upTo(space.sizeBytes()), "what it was, it can be again");
            assertEquals(larger, AddressSpace.parse(larger.text()));
            space = larger;
        }
    }

    @Test
    void oneVolumeHasItsOwnOffsets() {
        AddressSpace space = AddressSpace.of(10_000);
        assertEquals(10_000, space.sizeBytes());
        assertEquals(new AddressSpace.Place(0, 9_000, 1_000), space.at(9_000));
        assertEquals(AddressSpace.of(20_000), space.grown(List.of(20_000L)));
        assertEquals("10000", space.text());
        assertThrows(IndexOutOfBoundsException.class, () -> space.at(10_000));
    }

    @Test
    void aRangeOverTheEndOfASegmentIsInTwoRuns() {
        AddressSpace space = AddressSpace.ofVolumes(List.of(UNIT + 512, 512L));
        AddressSpace larger = space.grown(List.of(2 * UNIT, 512L));
        assertEquals(
                List.of(new Run(UNIT, 512), new Run(3 * UNIT, 1024)), larger.runs(0, UNIT, 1536));
        assertThrows(IndexOutOfBoundsException.class, () -> larger.runs(0, 2 * UNIT - 1, 2));
        assertThrows(IndexOutOfBoundsException.class, () -> larger.runs(2, 0, 1));
    }

    @Test
    void twoGrowthsTogetherAreThoseOfTheLastSegmentFirst() {
        AddressSpace space = AddressSpace.ofVolumes(List.of(UNIT, UNIT));
        AddressSpace larger = space.grown(List.of(2 * UNIT, 3 * UNIT));
        assertEquals("0:4194304 1:12582912 0:4194304", larger.text());
    }

    @Test
    void whatIsNoGrowthIsKnown() {
        AddressSpace space = AddressSpace.ofVolumes(List.of(UNIT, UNIT));
        assertTrue(space.growsTo(space));
        assertFalse(space.growsTo(AddressSpace.of(9 * UNIT)), "a volume less");
        assertFalse(space.growsTo(AddressSpace.ofVolumes(List.of(UNIT, UNIT, UNIT))), "one more");
        assertFalse(space.growsTo(AddressSpace.ofVolumes(List.of(2 * UNIT, UNIT))), "what moves");
        assertThrows(
                IllegalArgumentException.class, () -> space.grown(List.of(UNIT - 512, 2 * UNIT)));
    }

    @Test
    void whatIsNoAddressSpaceIsRefused() {
        List<List<Segment>> wrong =
                List.of(
                        List.of(),
                        List.of(new Segment(1, 512)),
                        List.of(new Segment(0, 0)),
                        List.of(new Segment(0, -512)),
                        List.of(new Segment(0, 512), new Segment(0, 512)),
                        List.of(new Segment(0, 512), new Segment(2, 512)),
                        List.of(new Segment(0, 512), new Segment(-1, 512)),
                        List.of(new Segment(0, 1L << 62), new Segment(1, 1L << 62)));
        for (List<Segment> each : wrong) {
            assertThrows(
                    IllegalArgumentException.class, () -> new AddressSpace(each), each.toString());
        }
        List<Segment> many = new ArrayList<>();
        for (int i = 0; i <= AddressSpace.MAX_SEGMENTS; i++) {
            many.add(new Segment(i % 2, 512));
        }
        assertThrows(IllegalArgumentException.class, () -> new AddressSpace(many));
        for (String each : List.of("", "0:", ":512", "0:512  1:512", "1:5", "0:512 1")) {
            assertThrows(IllegalArgumentException.class, () -> AddressSpace.parse(each), each);
        }
    }
}
