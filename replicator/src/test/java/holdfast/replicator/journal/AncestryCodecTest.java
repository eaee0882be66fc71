package holdfast.replicator.journal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Ancestry.Reason;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.UUID;

class AncestryCodecTest {
    private static Ancestry ancestry() {
        Ancestry all = Ancestry.EMPTY;
        Position parent = Position.NONE;
        for (Reason reason : Reason.values()) {
            long generation = 100L + reason.ordinal();
            all = all.plus(new Ancestry.Entry(generation, parent, reason, new UUID(3, 4), 17));
            parent = new Position(generation, 9);
        }
        return all;
    }

    @Test
    void everyReasonComesBack() {
        assertEquals(ancestry(), AncestryCodec.decode(AncestryCodec.encode(ancestry())));
        assertEquals(Ancestry.EMPTY, AncestryCodec.decode(ByteBuffer.allocate(0)));
    }

    @Test
    void theBytesOfVersionOneStay() throws IOException {
        byte[] bytes = new byte[AncestryCodec.encode(ancestry()).remaining()];
        AncestryCodec.encode(ancestry()).get(bytes);
        try (var in = AncestryCodecTest.class.getResourceAsStream("/golden/disk/ancestry-v1.hex")) {
            String golden = new String(in.readAllBytes(), StandardCharsets.UTF_8).strip();
            assertEquals(golden, HexFormat.of().formatHex(bytes));
        }
    }

    @Test
    void everyTruncationThatCutsAnEntryIsRefused() {
        int whole = AncestryCodec.encode(ancestry()).remaining();
        for (int length = 0; length < whole; length++) {
            ByteBuffer cut = AncestryCodec.encode(ancestry()).limit(length);
            if (length % Ancestry.Entry.BYTES != 0) {
                assertThrows(IllegalArgumentException.class, () -> AncestryCodec.decode(cut));
            }
        }
    }

    @Test
    void anUnknownReasonIsRefused() {
        ByteBuffer bytes = AncestryCodec.encode(ancestry());
        bytes.put(24, (byte) 0);
        assertThrows(IllegalArgumentException.class, () -> AncestryCodec.decode(bytes.duplicate()));
        bytes.put(24, (byte) (Reason.values().length + 1));
        assertThrows(IllegalArgumentException.class, () -> AncestryCodec.decode(bytes.duplicate()));
    }

    @Test
    void anAncestryThatIsTooLongIsRefusedBeforeItIsRead() {
        ByteBuffer bytes = ByteBuffer.allocate((Ancestry.MAX_ENTRIES + 1) * Ancestry.Entry.BYTES);
        assertThrows(IllegalArgumentException.class, () -> AncestryCodec.decode(bytes));
    }
}
