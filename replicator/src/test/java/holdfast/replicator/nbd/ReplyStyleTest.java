package holdfast.replicator.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.HexFormat;
import java.util.List;
import java.util.function.Consumer;

/// Every reply, byte for byte, written down from the protocol's text.
class ReplyStyleTest {
    private static final long COOKIE = 0x0102030405060708L;
    private static final long OFFSET = 0x1112131415161718L;
    private static final String COOKIE_HEX = "0102030405060708";
    private static final String OFFSET_HEX = "1112131415161718";

    @Test
    void simple() {
        assertBytes(
                "67446698" + "00000000" + COOKIE_HEX,
                out -> ReplyStyle.SIMPLE.putDone(out, COOKIE, OFFSET, 0));
        assertBytes(
                "67446698" + "0000001c" + COOKIE_HEX,
                out -> ReplyStyle.SIMPLE.putDone(out, COOKIE, OFFSET, 28));
        assertBytes(
                "67446698" + "00000005" + COOKIE_HEX,
                out -> ReplyStyle.SIMPLE.putEmpty(out, COOKIE, OFFSET, 5));
        assertBytes(
                "67446698" + "00000000" + COOKIE_HEX,
                out -> ReplyStyle.SIMPLE.putReadHeader(out, COOKIE, OFFSET, 512));
    }

    @Test
    void structured() {
        ReplyStyle style = ReplyStyle.STRUCTURED;
        assertBytes(
                "67446698" + "0000001c" + COOKIE_HEX,
                out -> style.putDone(out, COOKIE, OFFSET, 28));
        assertBytes(
                "668e33ef" + "0001" + "0000" + COOKIE_HEX + "00000000",
                out -> style.putEmpty(out, COOKIE, OFFSET, 0));
        assertBytes(
                "668e33ef" + "0001" + "8001" + COOKIE_HEX + "00000006" + "00000016" + "0000",
                out -> style.putEmpty(out, COOKIE, OFFSET, 22));
        assertBytes(
                "668e33ef" + "0001" + "0001" + COOKIE_HEX + "00000208" + OFFSET_HEX,
                out -> style.putReadHeader(out, COOKIE, OFFSET, 512));
        assertBytes(
                "668e33ef"
                        + "0001"
                        + "0005"
                        + COOKIE_HEX
                        + "00000014"
                        + "00000001"
                        + "00001000"
                        + "00000003"
                        + "ffffffff"
                        + "00000000",
                out ->
                        style.putExtents(
                                out,
                                COOKIE,
                                OFFSET,
                                List.of(Extent.hole(4096), Extent.data(0xffffffffL))));
    }

    @Test
    void extended() {
        ReplyStyle style = ReplyStyle.EXTENDED;
        assertBytes(
                "6e8a278c" + "0001" + "0000" + COOKIE_HEX + OFFSET_HEX + "0000000000000000",
                out -> style.putDone(out, COOKIE, OFFSET, 0));
        assertBytes(
                "6e8a278c"
                        + "0001"
                        + "8001"
                        + COOKIE_HEX
                        + OFFSET_HEX
                        + "0000000000000006"
                        + "00000001"
                        + "0000",
                out -> style.putEmpty(out, COOKIE, OFFSET, 1));
        assertBytes(
                "6e8a278c"
                        + "0001"
                        + "0001"
                        + COOKIE_HEX
                        + OFFSET_HEX
                        + "0000000000000208"
                        + OFFSET_HEX,
                out -> style.putReadHeader(out, COOKIE, OFFSET, 512));
        assertBytes(
                "6e8a278c"
                        + "0001"
                        + "0006"
                        + COOKIE_HEX
                        + OFFSET_HEX
                        + "0000000000000018"
                        + "00000001"
                        + "00000001"
                        + "0000010000000000"
                        + "0000000000000003",
                out -> style.putExtents(out, COOKIE, OFFSET, List.of(Extent.hole(1L << 40))));
    }

    @Test
    void sizesThatWereAnnouncedAreThoseWritten() {
        for (ReplyStyle style : ReplyStyle.values()) {
            ByteBuffer out = ByteBuffer.allocate(200);
            style.putReadHeader(out, COOKIE, OFFSET, 1);
            assertEquals(style.readHeaderBytes(), out.position());
            if (style != ReplyStyle.SIMPLE) {
                style.putExtents(
                        out.clear(), COOKIE, OFFSET, List.of(Extent.data(1), Extent.hole(1)));
                assertEquals(style.extentsBytes(2), out.position());
            }
        }
    }

    private static void assertBytes(String expected, Consumer<ByteBuffer> put) {
        ByteBuffer out = ByteBuffer.allocate(200);
        put.accept(out);
        assertEquals(expected, HexFormat.of().formatHex(out.array(), 0, out.position()));
    }
}
