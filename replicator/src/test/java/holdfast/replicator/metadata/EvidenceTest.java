package holdfast.replicator.metadata;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.metadata.Evidence.Sample;
import holdfast.replicator.metadata.Evidence.Sign;
import holdfast.tunnel.wire.AddressSpace;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import java.util.UUID;

class EvidenceTest {
    private static final long MIB = 1 << 20;
    private static final AddressSpace SPACE = AddressSpace.of(MIB);

    private static final List<Sign> SIGNS =
            List.of(new Sign("the mounts", "7"), new Sign("größe", ""));

    private static Evidence sample() {
        return of(
                MIB,
                SIGNS,
                List.of(
                        Sample.of(0, ByteBuffer.wrap(new byte[] {1})),
                        new Sample(3, 4, 5),
                        new Sample(255, 6, 7)));
    }

    private static Evidence of(long sizeBytes, List<Sign> signs, List<Sample> samples) {
        return new Evidence(new UUID(1, 2), 3, sizeBytes, 4, signs, samples);
    }

    // ---- the format --------------------------------------------------------------------------

    @Test
    void whatIsWrittenReadsBack() {
        assertEquals(sample(), Evidence.decode(sample().encode()));
        Evidence nothing = of(0, List.of(), List.of());
        assertEquals(nothing, Evidence.decode(nothing.encode()));
    }

    @Test
    void theBytesAreThoseOfThePage() throws IOException {
        byte[] bytes = new byte[sample().encode().remaining()];
        sample().encode().get(bytes);
        try (var in = EvidenceTest.class.getResourceAsStream("/golden/disk/evidence-v1.hex")) {
            String golden = new String(in.readAllBytes(), StandardCharsets.UTF_8).strip();
            assertEquals(golden, HexFormat.of().formatHex(bytes));
        }
    }

    @Test
    void whatIsCutOrFlippedIsRefused() {
        ByteBuffer bytes = sample().encode();
        for (int length = 0; length < bytes.limit(); length++) {
            ByteBuffer cut = bytes.slice(0, length);
            assertThrows(IllegalArgumentException.class, () -> Evidence.decode(cut));
        }
        for (int bit = 0; bit < bytes.limit() * 8; bit++) {
            ByteBuffer flipped = sample().encode();
            flipped.put(bit / 8, (byte) (flipped.get(bit / 8) ^ 1 << bit % 8));
            assertThrows(IllegalArgumentException.class, () -> Evidence.decode(flipped));
        }
    }

    // ---- where it looks ----------------------------------------------------------------------

    @Test
    void theEndsAndWhatWasWrittenLastAreAmongThePlaces() {
        long blocks = 1L << 28;
        List<Long> recent = new ArrayList<>();
        for (long i = 0; i < 100; i++) {
            recent.add(1_000_000 + i);
        }
        List<Long> places =
                Evidence.places(AddressSpace.of(blocks * 4096 - 512), recent, new Random(1));
        for (long i = 0; i < 17; i++) {
            assertTrue(places.contains(i));
        }
        for (long i = blocks - 9; i < blocks; i++) {
            assertTrue(places.contains(i));
        }
        assertTrue(places.containsAll(recent.subList(0, 32)));
        assertEquals(17 + 9 + 32 + 32, places.size());
        assertEquals(places.stream().sorted().toList(), places);
        assertTrue(places.stream().anyMatch(each -> each > 10_000_000 && each < blocks - 9));
    }

    @Test
    void ofASmallDeviceEachBlockIsThereOnce() {
        assertEquals(
                List.of(0L), Evidence.places(AddressSpace.of(512), List.of(0L), new Random(1)));
        assertEquals(
                List.of(0L, 1L), Evidence.places(AddressSpace.of(4097), List.of(), new Random(1)));
    }

    @Test
    void ofSeveralVolumesTheEndsOfEachAreAmongThePlaces() {
        // Blocks 0 to 1279, a gap, 2048 to 2303 of volume 1, a gap, 3072 to 3077 of volume 0 again.
        AddressSpace space = AddressSpace.parse("0:5242880 1:1048576 0:24064");
        List<Long> places = Evidence.places(space, List.of(), new Random(1));
        for (long i = 0; i < 17; i++) {
            assertTrue(places.contains(i));
            assertTrue(places.contains(2048 + i));
        }
        for (long i : List.of(1277L, 1278L, 1279L, 3072L, 3077L, 2295L, 2303L)) {
            assertTrue(places.contains(i), "block " + i);
        }
        Evidence was = of(space.sizeBytes(), List.of(), List.of(new Sample(2049, 1, 2)));
        Evidence now = of(space.sizeBytes(), List.of(), List.of(new Sample(2049, 1, 3)));
        assertEquals(
                List.of("1 of 1 sampled blocks differ, the first at byte 4096 of volume 1"),
                was.differences(now, space));
    }

    // ---- what it finds -----------------------------------------------------------------------

    @Test
    void whatHoldsIsNoDifference() {
        Evidence now = new Evidence(new UUID(1, 2), 3, MIB, 99, SIGNS, sample().samples());
        assertEquals(List.of(), sample().differences(now, SPACE));
    }

    @Test
    void eachDifferenceIsNamed() {
        Evidence now =
                of(
                        2 * MIB,
                        List.of(new Sign("the mounts", "8"), new Sign("new", "x")),
                        List.of(sample().samples().getFirst(), new Sample(3, 4, 6)));
        assertEquals(
                List.of(
                        "it has 2097152 bytes, it had 1048576",
                        "the mounts is 8, was 7",
                        "größe is gone, was ",
                        "new is x, was not there",
                        "2 of 3 sampled blocks differ, the first at byte 12288"),
                sample().differences(now, SPACE));
    }

    @Test
    void aBlockIsItsBytes() {
        ByteBuffer data = ByteBuffer.wrap(new byte[4096]);
        Sample before = Sample.of(5, data);
        assertEquals(0, data.position());
        assertEquals(before, Sample.of(5, ByteBuffer.wrap(new byte[4096])));
        data.put(4095, (byte) 1);
        assertTrue(!before.equals(Sample.of(5, data)));
    }
}
