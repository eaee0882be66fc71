package holdfast.fuzz;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.journal.AncestryCodec;
import holdfast.replicator.journal.JournalRecord;
import holdfast.replicator.journal.JournalRecord.Kind;
import holdfast.replicator.journal.JournalScan;
import holdfast.replicator.metadata.BitmapCodec;
import holdfast.replicator.metadata.Superblock;
import holdfast.replicator.state.BlockSet;
import holdfast.replicator.state.Role;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Position;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.UUID;
import java.util.stream.Stream;
import java.util.zip.CRC32C;

/// What is read from disks.
final class DiskTargets {
    static final UUID RESOURCE = new UUID(0x1122, 0x3344);
    static final Position POSITION = new Position(0x0102030405060708L, 1000);
    static final Ancestry ANCESTRY =
            new Ancestry(
                    List.of(
                            new Ancestry.Entry(
                                    7, Position.NONE, Ancestry.Reason.CREATE, RESOURCE, 1),
                            new Ancestry.Entry(
                                    8, new Position(7, 41), Ancestry.Reason.PROMOTE, RESOURCE, 2)));
    private static final int SEGMENT = 16 << 10;
    private static final long BLOCKS = 100_000;

    private DiskTargets() {}

    static Stream<Target> all() {
        return Stream.of(
                new Target(
                        "superblock",
                        List.of(superblock(Role.PRIMARY), superblock(Role.SECONDARY)),
                        1 << 20,
                        DiskTargets::superblock),
                new Target(
                        "ancestry",
                        List.of(bytes(AncestryCodec.encode(ANCESTRY)), new byte[0]),
                        1 << 20,
                        DiskTargets::ancestry),
                new Target(
                        "bitmap",
                        List.of(bitmap(1), bitmap(2)),
                        4 << 20,
                        DiskTargets::bitmap,
                        DiskTargets::repairBitmap),
                new Target(
                        "journal",
                        List.of(journal(1), journal(2)),
                        4 << 20,
                        DiskTargets::journal,
                        DiskTargets::repairJournal));
    }

    static byte[] bytes(ByteBuffer buffer) {
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        return bytes;
    }

    static int crc(byte[] bytes, int at, int length) {
        var crc = new CRC32C();
        crc.update(bytes, at, length);
        return (int) crc.getValue();
    }

    // ---- superblock and ancestry

    private static byte[] superblock(Role role) {
        return bytes(
                new Superblock(
                                RESOURCE, role, 1L << 30, true, true, false, false, false, POSITION,
                                POSITION, 5, 6, 7, 8, ANCESTRY)
                        .encode());
    }

    private static void superblock(byte[] input) {
        Superblock read;
        try {
            read = Superblock.decode(ByteBuffer.wrap(input));
        } catch (IllegalArgumentException e) {
            return;
        }
        assertArrayEquals(input, bytes(read.encode()));
    }

    private static void ancestry(byte[] input) {
        Ancestry read;
        try {
            read = AncestryCodec.decode(ByteBuffer.wrap(input));
        } catch (IllegalArgumentException e) {
            return;
        }
        assertArrayEquals(input, bytes(AncestryCodec.encode(read)));
    }

    // ---- bitmap

    private static byte[] bitmap(int seed) {
        var random = new Random(seed);
        var dirty = new BlockSet(BLOCKS);
        var suspect = new BlockSet(BLOCKS);
        for (int i = 0; i < 50; i++) {
            dirty.add(random.nextLong(BLOCKS));
            suspect.add(random.nextLong(BLOCKS / 2));
        }
        dirty.addRange(0, 1 << 15);
        return written(new BitmapCodec.Sets(dirty, suspect));
    }

    private static byte[] written(BitmapCodec.Sets sets) {
        var out = new ByteArrayOutputStream();
        BitmapCodec.encode(RESOURCE, 3, sets, piece -> out.writeBytes(bytes(piece)));
        return out.toByteArray();
    }

    private static void bitmap(byte[] input) {
        BitmapCodec.Sets read;
        try {
            read = BitmapCodec.decode(RESOURCE, 3, BLOCKS, ByteBuffer.wrap(input));
        } catch (IllegalArgumentException e) {
            return;
        }
        byte[] again = written(read);
        BitmapCodec.Sets twice = BitmapCodec.decode(RESOURCE, 3, BLOCKS, ByteBuffer.wrap(again));
        assertEquals(read.dirty().count(), twice.dirty().count());
        assertEquals(read.suspect().count(), twice.suspect().count());
        // Nothing is set beyond the device.
        assertTrue(read.dirty().count() <= BLOCKS && read.suspect().count() <= BLOCKS);
    }

    private static byte[] repairBitmap(byte[] input) {
        ByteBuffer b = ByteBuffer.wrap(input);
        if (input.length < 48) {
            return input;
        }
        b.putInt(44, crc(input, 0, 44));
        int at = 48;
        while (at + 12 <= input.length) {
            int length = b.get(at + 1) == 1 ? 12 : 12 + BlockSet.PAGE_BYTES;
            if (at + length > input.length) {
                break;
            }
            var crc = new CRC32C();
            crc.update(input, at, 8);
            crc.update(input, at + 12, length - 12);
            b.putInt(at + 8, (int) crc.getValue());
            at += length;
        }
        return input;
    }

    // ---- journal

    private static byte[] journal(int seed) {
        var random = new Random(seed);
        var image = ByteBuffer.allocate(3 * SEGMENT);
        for (Kind kind : Kind.values()) {
            byte[] data = new byte[kind == Kind.PAD ? 0 : random.nextInt(3000)];
            random.nextBytes(data);
            int at = image.position();
            var record =
                    new JournalRecord(
                            kind,
                            false,
                            RESOURCE,
                            at,
                            at / 2,
                            1,
                            0,
                            data.length,
                            POSITION,
                            2,
                            4096L * seed,
                            4096,
                            11,
                            12,
                            JournalRecord.crcOf(ByteBuffer.wrap(data)));
            if (at % SEGMENT + record.totalBytes() > SEGMENT) {
                break;
            }
            image.put(record.encode()).put(data);
            image.position(Math.toIntExact(at + record.totalBytes()));
        }
        return image.array();
    }

    private static void journal(byte[] input) throws Exception {
        List<JournalRecord> seen = new ArrayList<>();
        JournalScan.End end =
                new JournalScan(
                                RESOURCE,
                                SEGMENT,
                                (address, into) -> {
                                    int length =
                                            (int)
                                                    Math.max(
                                                            0,
                                                            Math.min(
                                                                    into.remaining(),
                                                                    input.length - address));
                                    into.put(input, (int) Math.min(address, input.length), length);
                                    return length;
                                })
                        .run(
                                0,
                                (record, data) -> {
                                    seen.add(record);
                                    assertEquals(record.dataBytes(), data.remaining());
                                });
        assertTrue(end.end() >= 0);
        for (JournalRecord record : seen) {
            assertArrayEquals(
                    Arrays.copyOfRange(
                            input,
                            Math.toIntExact(record.address()),
                            Math.toIntExact(record.address()) + JournalRecord.HEADER_BYTES),
                    bytes(record.encode()));
        }
    }

    private static byte[] repairJournal(byte[] input) {
        ByteBuffer b = ByteBuffer.wrap(input);
        for (int at = 0; at + JournalRecord.HEADER_BYTES <= input.length; at += 8) {
            if (b.getInt(at) == 0x48464a52) {
                int length = b.getInt(at + 52);
                int room = input.length - at - JournalRecord.HEADER_BYTES;
                if (length >= 0 && length <= room) {
                    b.putInt(at + 112, crc(input, at + JournalRecord.HEADER_BYTES, length));
                }
                b.putInt(at + 124, crc(input, at, 124));
            }
        }
        return input;
    }
}
