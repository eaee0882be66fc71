package holdfast.replicator.journal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;

import holdfast.replicator.journal.JournalRecord.Found;
import holdfast.replicator.journal.JournalRecord.Kind;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.nio.ByteBuffer;
import java.util.HexFormat;
import java.util.UUID;

class JournalRecordTest {
    static final UUID RESOURCE = new UUID(0x0102030405060708L, 0x090a0b0c0d0e0f10L);

    static JournalRecord record(
            Kind kind, long address, long durableBefore, long incarnation, ByteBuffer data) {
        return new JournalRecord(
                kind,
                true,
                kind == Kind.EPOCH_BEGIN,
                RESOURCE,
                address,
                durableBefore,
                incarnation,
                0,
                data.remaining(),
                new Position(0x1122334455667788L, 7),
                3,
                8192,
                data.remaining(),
                1_700_000_000_000L,
                1_700_000_000_500L,
                JournalRecord.crcOf(data),
                9);
    }

    private final JournalRecord write =
            record(
                    Kind.WRITE,
                    4096,
                    2048,
                    5,
                    ByteBuffer.wrap("four".getBytes(java.nio.charset.StandardCharsets.US_ASCII)));

    /// To edit these bytes is to change the format: docs/on-disk-format.md.
    @Test
    void theBytesOfVersionOneStay() {
        assertEquals(
                "48464a52010100010102030405060708090a0b0c0d0e0f100000000000001000"
                        + "0000000000000800000000000000000500000000000000041122334455667788"
                        + "0000000000000007000000000000000300000000000020000000000000000004"
                        + "0000018bcfe568000000018bcfe569f4e8f33a6e0000000000000009dcd8d173",
                HexFormat.of().formatHex(write.encode().array()));
    }

    @ParameterizedTest
    @EnumSource(Kind.class)
    void everyKindComesBackAsItWas(Kind kind) {
        JournalRecord record = record(kind, 1 << 20, 1 << 19, 9, ByteBuffer.allocate(512));
        assertEquals(new Found.Good(record), JournalRecord.decode(record.encode()));
    }

    @Test
    void everyTruncationIsSeen() {
        for (int length = 0; length < JournalRecord.HEADER_BYTES; length++) {
            assertInstanceOf(Found.Bad.class, JournalRecord.decode(write.encode().limit(length)));
        }
    }

    @Test
    void everyFlippedBitIsSeen() {
        for (int bit = 0; bit < JournalRecord.HEADER_BYTES * 8; bit++) {
            ByteBuffer bytes = write.encode();
            bytes.put(bit / 8, (byte) (bytes.get(bit / 8) ^ 1 << bit % 8));
            assertInstanceOf(Found.Bad.class, JournalRecord.decode(bytes), "bit " + bit);
        }
    }

    /// With a right checksum: a disk is not trusted to hold what this program wrote.
    @Test
    void aPositionThatCannotBeIsNoRecord() {
        ByteBuffer bytes = write.encode();
        bytes.putLong(64, -7);
        bytes.putInt(124, JournalRecord.crcOf(bytes.slice(0, 124)));
        assertInstanceOf(JournalRecord.Found.Bad.class, JournalRecord.decode(bytes));
    }

    @Test
    void aRecordAfterThisOneBeginsAtAMultipleOfEight() {
        assertEquals(128, JournalRecord.totalBytes(0));
        assertEquals(136, JournalRecord.totalBytes(1));
        assertEquals(136, write.totalBytes());
    }
}
