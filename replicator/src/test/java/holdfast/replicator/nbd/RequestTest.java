package holdfast.replicator.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;

import java.net.ProtocolException;
import java.nio.ByteBuffer;
import java.util.HexFormat;
import java.util.List;

class RequestTest {
    private final Request request = new Request();

    @Test
    void compactHeader() throws ProtocolException {
        request.read(
                bytes(
                        "25609513"
                                + "8001"
                                + "0006"
                                + "fffffffffffffffe"
                                + "0000000100000000"
                                + "ffffffff"),
                false);
        assertEquals(0x8001, request.flags);
        assertEquals(6, request.command);
        assertEquals(-2, request.cookie);
        assertEquals(1L << 32, request.offset);
        assertEquals(0xffffffffL, request.length);
        assertEquals(0, request.payloadLength(false));
    }

    @Test
    void extendedHeader() throws ProtocolException {
        request.read(
                bytes(
                        "21e41c71"
                                + "0020"
                                + "0007"
                                + "0000000000000009"
                                + "0000000000001000"
                                + "000000000000000c"),
                true);
        assertEquals(7, request.command);
        assertEquals(12, request.length);
        assertEquals(12, request.payloadLength(true));
    }

    @Test
    void everyFlippedBitOfTheMagicIsNoticed() {
        for (int bit = 0; bit < 32; bit++) {
            ByteBuffer bytes = ByteBuffer.allocate(28).putInt(0, 0x25609513 ^ 1 << bit);
            assertThrows(ProtocolException.class, () -> request.read(bytes, false));
        }
        assertThrows(
                ProtocolException.class,
                () -> request.read(bytes("25609513" + "00".repeat(28)), true));
    }

    @Test
    void writeHasItsPayloadEvenWithoutTheFlag() throws ProtocolException {
        request.read(
                bytes("21e41c71" + "0000" + "0001" + "00".repeat(16) + "0000000000000200"), true);
        assertEquals(512, request.payloadLength(true));
    }

    @Test
    void neighboursThatSayTheSameAreOneExtent() {
        List<Extent> found =
                List.of(
                        new Extent(0, true, true),
                        Extent.data(5),
                        Extent.data(5),
                        Extent.hole(10),
                        Extent.data(100));
        assertEquals(
                List.of(Extent.data(10), Extent.hole(10), Extent.data(30)),
                Connection.tidy(found, 50, 9));
        assertEquals(List.of(Extent.data(10)), Connection.tidy(found, 50, 1));
        assertEquals(List.of(Extent.data(50)), Connection.tidy(List.of(), 50, 1));
    }

    @Test
    void errorsThatNbdDoesNotKnowAreTranslated() {
        assertEquals(Errno.ENOSPC, Errno.toWire(122, false));
        assertEquals(Errno.ENOSPC, Errno.toWire(27, false));
        assertEquals(Errno.EPERM, Errno.toWire(30, false));
        assertEquals(Errno.EIO, Errno.toWire(110, false));
        assertEquals(Errno.EIO, Errno.toWire(Errno.ENOTSUP, false));
        assertEquals(Errno.ENOTSUP, Errno.toWire(Errno.ENOTSUP, true));
        assertEquals(Errno.EIO, Errno.toWire(Errno.EOVERFLOW, false));
        assertEquals(Errno.EIO, Errno.toWire(-1, false));
    }

    private static ByteBuffer bytes(String hex) {
        return ByteBuffer.wrap(HexFormat.of().parseHex(hex));
    }
}
