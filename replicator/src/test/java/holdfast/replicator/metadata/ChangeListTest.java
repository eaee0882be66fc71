package holdfast.replicator.metadata;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import holdfast.replicator.state.OwnChanges;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.List;
import java.util.UUID;

class ChangeListTest {
    private static ChangeList sample() {
        return new ChangeList(
                new UUID(1, 2),
                new OwnChanges(
                        9,
                        new Position(7, 8),
                        40,
                        39,
                        List.of(
                                new Frame.KeptRange(4096, 8192),
                                new Frame.KeptRange(1L << 40, 4096))));
    }

    @Test
    void whatIsWrittenReadsBack() {
        assertEquals(sample(), ChangeList.decode(sample().encode()));
        ChangeList nothing =
                new ChangeList(
                        new UUID(1, 2), new OwnChanges(9, new Position(7, 8), 1, 0, List.of()));
        assertEquals(nothing, ChangeList.decode(nothing.encode()));
    }

    @Test
    void theBytesAreThoseOfThePage() throws IOException {
        byte[] bytes = new byte[sample().encode().remaining()];
        sample().encode().get(bytes);
        try (var in = ChangeListTest.class.getResourceAsStream("/golden/disk/changes-v1.hex")) {
            String golden = new String(in.readAllBytes(), StandardCharsets.UTF_8).strip();
            assertEquals(golden, HexFormat.of().formatHex(bytes));
        }
    }

    @Test
    void whatIsCutOrFlippedOrOverlapsIsRefused() {
        ByteBuffer bytes = sample().encode();
        for (int length = 0; length < bytes.limit(); length++) {
            ByteBuffer cut = bytes.slice(0, length);
            assertThrows(IllegalArgumentException.class, () -> ChangeList.decode(cut));
        }
        for (int bit = 0; bit < bytes.limit() * 8; bit++) {
            ByteBuffer flipped = sample().encode();
            flipped.put(bit / 8, (byte) (flipped.get(bit / 8) ^ 1 << bit % 8));
            assertThrows(IllegalArgumentException.class, () -> ChangeList.decode(flipped));
        }
        Frame.KeptRange range = new Frame.KeptRange(4096, 8192);
        ChangeList twice =
                new ChangeList(
                        new UUID(1, 2),
                        new OwnChanges(9, new Position(7, 8), 1, 0, List.of(range, range)));
        assertThrows(IllegalArgumentException.class, () -> ChangeList.decode(twice.encode()));
    }
}
