package holdfast.fuzz;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.journal.AncestryCodec;
import holdfast.replicator.journal.JournalRecord;
import holdfast.replicator.journal.JournalRecord.Kind;
import holdfast.replicator.journal.JournalScan;
import holdfast.replicator.metadata.Evidence;
import holdfast.replicator.metadata.MetadataLayout;
import holdfast.replicator.metadata.Superblock;
import holdfast.replicator.state.BlockSet;
import holdfast.replicator.state.Kept;
import holdfast.replicator.state.PeerCopy;
import holdfast.replicator.state.Role;
import holdfast.replicator.state.Transaction;
import holdfast.tunnel.wire.AddressSpace;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Position;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.UUID;
import java.util.stream.Stream;
import java.util.zip.CRC32C;

/// What is read from disks: the journal, and the superblock and metadata of a resource.
final class DiskTargets {
    static final UUID RESOURCE = new UUID(0x1122, 0x3344);
    static final Position POSITION = new Position(0x0102030405060708L, 1000);
    static final AddressSpace SPACE = AddressSpace.parse("0:1048576 1:524288 0:4096");
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
                        "evidence",
                        List.of(evidence(0), evidence(3)),
                        1 << 20,
                        DiskTargets::evidence,
                        StateFileTargets::repairEnd),
                new Target(
                        "ancestry",
                        List.of(bytes(AncestryCodec.encode(ANCESTRY)), new byte[0]),
                        1 << 20,
                        DiskTargets::ancestry),
                new Target(
                        "metadata",
                        List.of(metadata(1), metadata(2)),
                        4 << 20,
                        DiskTargets::metadata,
                        DiskTargets::repairMetadata),
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
                                RESOURCE, role, SPACE, true, true, false, false, false, POSITION,
                                POSITION, 5, 6, 7, 8, 9, 10, 11, 12, ANCESTRY)
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

    private static byte[] evidence(int count) {
        List<Evidence.Sign> signs = new ArrayList<>();
        List<Evidence.Sample> samples = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            signs.add(new Evidence.Sign("the mounts of " + i, "ü".repeat(i * 20)));
            samples.add(new Evidence.Sample(i * 7L, i, -i));
        }
        return bytes(new Evidence(RESOURCE, 5, 1L << 30, 6, signs, samples).encode());
    }

    private static void evidence(byte[] input) {
        Evidence read;
        try {
            read = Evidence.decode(ByteBuffer.wrap(input));
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

    // ---- activity log and bitmap

    private static MetadataLayout layout() {
        return new MetadataLayout(RESOURCE, BLOCKS * BlockSet.BLOCK_BYTES, 64, 2);
    }

    private static byte[] metadata(int seed) {
        var random = new Random(seed);
        byte[] file = new byte[Math.toIntExact(layout().fileBytes())];
        for (int number = 1; number <= 3; number++) {
            long[] bits = new long[31];
            for (int i = 0; i < bits.length; i++) {
                bits[i] = random.nextLong();
            }
            Transaction t =
                    new Transaction(
                            number,
                            1,
                            Transaction.Blank.values()[seed % 3],
                            new PeerCopy(POSITION, POSITION.plus(3), 9, 0),
                            false,
                            List.of(new Transaction.Page(number, random.nextInt(), bits)),
                            List.of((long) number, 17L, (1L << 31) - 1));
            List<MetadataLayout.Piece> pieces = new ArrayList<>(layout().pages(t));
            pieces.addAll(layout().records(t));
            for (MetadataLayout.Piece piece : pieces) {
                piece.data().get(file, (int) piece.offsetBytes(), piece.data().remaining());
            }
        }
        return file;
    }

    private static void metadata(byte[] input) {
        byte[] file = Arrays.copyOf(input, Math.toIntExact(layout().fileBytes()));
        Kept kept;
        try {
            kept =
                    layout().recover(
                                    new MetadataLayout.Source() {
                                        @Override
                                        public void read(long offsetBytes, ByteBuffer into) {
                                            into.put(file, (int) offsetBytes, into.remaining());
                                        }

                                        @Override
                                        public long nextData(long offsetBytes) {
                                            return offsetBytes;
                                        }
                                    })
                            .kept();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        // Nothing is set beyond the device, and what is known of an active extent is that it is
        // suspect.
        for (BlockSet set : List.of(kept.dirty(), kept.suspect(), kept.onDisk())) {
            assertTrue(set.count() <= BLOCKS && set.next(BLOCKS - 1) < BLOCKS);
        }
        for (long extent : kept.extents()) {
            long first = extent * 64;
            if (first < BLOCKS) {
                assertEquals(
                        Math.min(64, BLOCKS - first), kept.suspect().runEnd(first, 64) - first);
            }
        }
    }

    private static byte[] repairMetadata(byte[] input) {
        ByteBuffer b = ByteBuffer.wrap(input);
        for (int at = 0; at + 4096 <= input.length; at += 4096) {
            var crc = new CRC32C();
            crc.update(input, at, 124);
            crc.update(input, at + 128, 4096 - 128);
            b.putInt(at + 124, (int) crc.getValue());
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
                            kind == Kind.EPOCH_BEGIN,
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
                            JournalRecord.crcOf(ByteBuffer.wrap(data)),
                            9);
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
