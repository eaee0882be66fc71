package holdfast.replicator.metadata;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import holdfast.replicator.journal.DeltaLog;
import holdfast.replicator.state.History.Moment;
import holdfast.replicator.state.Pins.Pin;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.List;
import java.util.UUID;

class PinListTest {
    private static final Ancestry ANCESTRY =
            Ancestry.EMPTY.plus(
                    new Ancestry.Entry(
                            7, Position.NONE, Ancestry.Reason.CREATE, new UUID(3, 4), 5));

    private static PinList sample() {
        Moment moment = new Moment(4096, new Position(7, 8), ANCESTRY, 100, 101, 9, 2, 0);
        return new PinList(
                new UUID(1, 2),
                6,
                List.of(
                        new PinList.Entry(
                                new Pin(3, "before-upgrade", moment, 1 << 20, 102, 999, false),
                                new DeltaLog.Extent(8192, 12288)),
                        new PinList.Entry(
                                new Pin(6, "", moment, 1 << 20, 103, 998, true),
                                DeltaLog.Extent.NONE)));
    }

    @Test
    void whatIsWrittenReadsBack() {
        assertEquals(sample(), PinList.decode(sample().encode()));
        PinList nothing = new PinList(new UUID(1, 2), 6, List.of());
        assertEquals(nothing, PinList.decode(nothing.encode()));
    }

    @Test
    void theBytesAreThoseOfThePage() throws IOException {
        byte[] bytes = new byte[sample().encode().remaining()];
        sample().encode().get(bytes);
        try (var in = PinListTest.class.getResourceAsStream("/golden/disk/pins-v1.hex")) {
            String golden = new String(in.readAllBytes(), StandardCharsets.UTF_8).strip();
            assertEquals(golden, HexFormat.of().formatHex(bytes));
        }
    }

    @Test
    void whatIsCutOrFlippedIsRefused() {
        ByteBuffer bytes = sample().encode();
        for (int length = 0; length < bytes.limit(); length++) {
            ByteBuffer cut = bytes.slice(0, length);
            assertThrows(IllegalArgumentException.class, () -> PinList.decode(cut));
        }
        for (int bit = 0; bit < bytes.limit() * 8; bit++) {
            ByteBuffer flipped = sample().encode();
            flipped.put(bit / 8, (byte) (flipped.get(bit / 8) ^ 1 << bit % 8));
            assertThrows(IllegalArgumentException.class, () -> PinList.decode(flipped));
        }
    }
}
