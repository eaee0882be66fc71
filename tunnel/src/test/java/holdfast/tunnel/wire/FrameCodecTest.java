package holdfast.tunnel.wire;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.lang.reflect.RecordComponent;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.HexFormat;
import java.util.List;
import java.util.UUID;
import java.util.function.Consumer;

class FrameCodecTest {
    private static final Path GOLDEN = Path.of("src/test/resources/golden/wire");

    @Test
    void everyKindHasItsPlaceInTheListAsTypeNumber() {
        assertEquals(Frame.KINDS.size(), Samples.ALL.size());
        for (Frame frame : Samples.ALL) {
            assertEquals(
                    Frame.KINDS.indexOf(frame.getClass()) + 1,
                    FrameCodec.type(frame),
                    frame.toString());
        }
    }

    @Test
    void everyKindComesBackAsItWas() throws Exception {
        for (Frame frame : Samples.ALL) {
            ByteBuffer bytes = Samples.encoded(frame);
            Frame back = FrameCodec.decode(bytes);
            assertFalse(bytes.hasRemaining());
            assertSame(frame, back);
        }
    }

    /// To edit one of these files is to change the protocol. A new kind writes its own with
    /// `JAVA_TOOL_OPTIONS=-Dholdfast.golden.write=true`, once.
    @Test
    void everyKindIsWrittenAsTheGoldenFilesSay() throws Exception {
        for (Frame frame : Samples.ALL) {
            Path file =
                    GOLDEN.resolve(
                            "%02d-%s.hex"
                                    .formatted(
                                            FrameCodec.type(frame),
                                            frame.getClass().getSimpleName()));
            byte[] bytes = Samples.encoded(frame).array();
            if (Boolean.getBoolean("holdfast.golden.write") && Files.notExists(file)) {
                Files.writeString(
                        file, HexFormat.of().formatHex(bytes).replaceAll("(.{64})", "$1\n") + "\n");
            }
            byte[] golden = HexFormat.of().parseHex(Files.readString(file).replace("\n", ""));
            assertArrayEquals(golden, bytes, file.toString());
            assertSame(frame, FrameCodec.decode(ByteBuffer.wrap(golden)));
        }
    }

    @Test
    void everyTruncationIsRefused() {
        for (Frame frame : Samples.ALL) {
            byte[] bytes = Samples.encoded(frame).array();
            for (int length = 0; length < bytes.length; length++) {
                var cut = ByteBuffer.wrap(bytes, 0, length);
                assertThrows(
                        ProtocolException.class, () -> FrameCodec.decode(cut), frame.toString());
            }
        }
    }

    @Test
    void everyShorterBodyIsRefusedOrIsAnotherRightFrame() throws Exception {
        for (Frame frame : Samples.ALL) {
            byte[] bytes = Samples.encoded(frame).array();
            for (int body = 0; body < bytes.length - FrameCodec.HEADER_BYTES; body++) {
                var cut =
                        ByteBuffer.wrap(bytes.clone(), 0, FrameCodec.HEADER_BYTES + body)
                                .putInt(4, body);
                try {
                    byte[] again = Samples.encoded(FrameCodec.decode(cut)).array();
                    assertEquals(body, again.length - FrameCodec.HEADER_BYTES, frame.toString());
                } catch (ProtocolException expected) {
                    continue;
                }
            }
        }
    }

    /// Nothing but [ProtocolException] comes out of any single damage, and what is still a frame
    /// has one spelling.
    @Test
    void anyFlippedBitIsRefusedOrIsAnotherRightFrame() throws Exception {
        for (Frame frame : Samples.ALL) {
            byte[] bytes = Samples.encoded(frame).array();
            int end = Math.min(bytes.length, 400);
            for (int bit = 0; bit < end * 8; bit++) {
                byte[] damaged = bytes.clone();
                damaged[bit / 8] ^= (byte) (1 << bit % 8);
                try {
                    Frame other = FrameCodec.decode(ByteBuffer.wrap(damaged));
                    int length = FrameCodec.sizeOf(other);
                    assertArrayEquals(
                            Arrays.copyOf(damaged, length), Samples.encoded(other).array());
                } catch (ProtocolException expected) {
                    continue;
                }
            }
        }
    }

    @Test
    void lengthsAreCheckedBeforeMemoryIsTaken() {
        refused(bytes(9, 16 + 4, out -> out.putLong(0).putLong(0).putInt(Integer.MAX_VALUE)));
        refused(bytes(9, 16 + 4, out -> out.putLong(0).putLong(0).putInt(-1)));
        refused(bytes(6, 4, out -> out.putInt(FrameCodec.MAX_REASON_BYTES + 1)));
        refused(ByteBuffer.allocate(8).putShort(0, (short) 18).putInt(4, Integer.MAX_VALUE));
        refused(ByteBuffer.allocate(8).putShort(0, (short) 18).putInt(4, -1));
    }

    @Test
    void rangesThatWrapAreRefused() {
        for (Frame frame :
                List.<Frame>of(
                        new Frame.Zero(0, Samples.STORED, 0, Long.MAX_VALUE, 1, false),
                        new Frame.Zero(0, Samples.STORED, 0, 0, 0, false),
                        new Frame.EpochZero(0, 1, -1, 4096),
                        new Frame.SyncBlocks(0, 1, Long.MAX_VALUE - 10, Samples.data(4096)),
                        new Frame.Write(-1, Samples.STORED, 0, 0, Samples.data(512)),
                        new Frame.Compare(0, 1, 0, FrameCodec.MAX_COMPARE_BYTES + 1, 4),
                        new Frame.Compare(0, 1, 0, 0, 0),
                        new Frame.Compare(0, 1, 512, 4096, 0),
                        new Frame.Compare(0, 1, 0, 4096, FrameCodec.MAX_COMPARE_LEVEL + 1),
                        new Frame.Verify(0, 1, 1, 0, FrameCodec.MAX_EXACT_BYTES + 1, 0, true),
                        new Frame.Verify(0, 1, 1, 0, 4096, 1, true),
                        new Frame.Verify(0, 1, 1, 512, 4096, 0, false),
                        new Frame.Verify(0, 1, 1, 0, FrameCodec.MAX_COMPARE_BYTES + 1, 4, false),
                        new Frame.VerifyReply(Samples.RESOURCE, 1, 1, 1, false, new byte[33]),
                        new Frame.Fetch(0, 1, 1, 0, FrameCodec.MAX_EXACT_BYTES + 1),
                        new Frame.Fetch(0, 1, 1, 512, 4096),
                        new Frame.Fetch(0, 1, 1, 0, 0),
                        new Frame.Fetched(Samples.RESOURCE, 1, 1, 1, new byte[0]),
                        new Frame.Credit(-1, 1),
                        new Frame.Credit(1, -1),
                        new Frame.CompareReply(Samples.RESOURCE, 1, 1, new byte[31]),
                        new Frame.CompareReply(Samples.RESOURCE, 1, 1, new byte[0]))) {
            refused(Samples.encoded(frame));
        }
    }

    /// Names are shown on terminals and typed there, and stand in lists beside each other.
    @Test
    void marksBearNamesOfMomentsAndNothingElse() {
        ByteBuffer good = Samples.encoded(new Frame.Mark(1, Samples.STORED, 0, "abcdefgh"));
        byte[] bytes = new byte[good.remaining()];
        good.get(bytes);
        int at = bytes.length - 8;
        for (String name :
                List.of(
                        "abcd\u001b[2J",
                        "abc\ndefg",
                        "../../ab",
                        "abc defg",
                        "-15mabcd",
                        "2026-11-",
                        "abc\0defg",
                        "ab\u00e9defg")) {
            ByteBuffer hostile = ByteBuffer.wrap(bytes.clone());
            hostile.put(at, name.getBytes(StandardCharsets.UTF_8), 0, 8);
            refused(hostile);
        }
        for (String name : List.of("", "latest", "a".repeat(41), "a".repeat(256))) {
            byte[] text = name.getBytes(StandardCharsets.UTF_8);
            refused(
                    bytes(
                            39,
                            8 + 16 + 8 + 4 + text.length,
                            out ->
                                    out.putLong(1)
                                            .putLong(7)
                                            .putLong(8)
                                            .putLong(0)
                                            .putInt(text.length)
                                            .put(text)));
            assertThrows(
                    IllegalArgumentException.class,
                    () -> Samples.encoded(new Frame.Mark(1, Samples.STORED, 0, name)));
        }
    }

    @Test
    void theEncoderRefusesWhatThePeerWould() {
        var text = "x".repeat(5000);
        assertThrows(
                IllegalArgumentException.class, () -> Samples.encoded(new Frame.Goodbye(text)));
        assertThrows(
                IllegalArgumentException.class,
                () ->
                        Samples.encoded(
                                new Frame.SyncBlocks(0, 1, 0, ByteBuffer.allocate((1 << 20) + 1))));
        assertThrows(
                IllegalArgumentException.class,
                () -> Samples.encoded(new Frame.Welcome(1, 0, new byte[31])));
    }

    @Test
    void dataIsAReadOnlyViewAndTheSendersBufferStaysAsItWas() throws Exception {
        ByteBuffer data = Samples.data(512);
        ByteBuffer bytes = Samples.encoded(new Frame.Write(0, Samples.STORED, 0, 0, data));
        assertEquals(512, data.remaining());
        var write = (Frame.Write) FrameCodec.decode(bytes);
        assertTrue(write.data().isReadOnly());
        bytes.put(bytes.limit() - 512, (byte) 0x77);
        assertEquals(0x77, write.data().get(0));
    }

    @Test
    void aFullAncestryAndTheLongestSettingsPass() throws Exception {
        var entry = Samples.ANCESTRY.entries().getFirst();
        var full = new Ancestry(Collections.nCopies(Ancestry.MAX_ENTRIES, entry));
        var commit = new Frame.EpochCommit(1, Samples.STORED, 0, 1, new byte[32], full);
        assertSame(commit, FrameCodec.decode(Samples.encoded(commit)));
        var offer =
                new Frame.Offer(
                        UUID.randomUUID(),
                        "n",
                        AddressSpace.of(1),
                        "x".repeat(FrameCodec.MAX_SETTINGS_BYTES),
                        false);
        assertSame(offer, FrameCodec.decode(Samples.encoded(offer)));
    }

    private static ByteBuffer bytes(int type, int body, Consumer<ByteBuffer> fill) {
        var out =
                ByteBuffer.allocate(8 + body)
                        .putShort((short) type)
                        .putShort((short) 0)
                        .putInt(body);
        fill.accept(out);
        return out.flip();
    }

    private static void refused(ByteBuffer bytes) {
        assertThrows(ProtocolException.class, () -> FrameCodec.decode(bytes));
    }

    /// Equal component by component: arrays by content, which a record's own `equals` does not.
    static void assertSame(Frame expected, Frame actual) throws ReflectiveOperationException {
        assertEquals(expected.getClass(), actual.getClass());
        for (RecordComponent c : expected.getClass().getRecordComponents()) {
            Object one = c.getAccessor().invoke(expected);
            Object other = c.getAccessor().invoke(actual);
            if (one instanceof byte[] bytes) {
                assertArrayEquals(bytes, (byte[]) other, c.getName());
            } else {
                assertEquals(one, other, c.getName());
            }
        }
    }
}
