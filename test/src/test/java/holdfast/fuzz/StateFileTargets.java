package holdfast.fuzz;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import static java.nio.charset.StandardCharsets.US_ASCII;

import com.github.luben.zstd.Zstd;

import holdfast.replicator.device.DeviceException;
import holdfast.replicator.device.PackedSegment;
import holdfast.replicator.device.TwoSlotFile;
import holdfast.replicator.journal.AncestryCodec;
import holdfast.replicator.journal.DeltaLog;
import holdfast.replicator.journal.JournalIndex;
import holdfast.replicator.journal.JournalRecord;
import holdfast.replicator.journal.JournalRecord.Kind;
import holdfast.replicator.journal.SegmentIndex;
import holdfast.replicator.metadata.ChangeList;
import holdfast.replicator.metadata.CorruptFormatException;
import holdfast.replicator.metadata.Grown;
import holdfast.replicator.metadata.Parted;
import holdfast.replicator.metadata.PinList;
import holdfast.replicator.metadata.TwoSlots;
import holdfast.replicator.state.History.Moment;
import holdfast.replicator.state.OwnChanges;
import holdfast.replicator.state.Pins.Pin;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;

/// What is read of the files beside the journal and in the directory of a resource.
final class StateFileTargets {
    private static final long SEGMENT_AT = 3L * 16384;
    private static final long PIN = 77;
    private static final int CHUNK = 16 << 10;
    private static final int PACKED_BYTES = 2 * CHUNK + 4096;
    private static final int DELTA_MAGIC = 0x48464b44;
    private static final int TABLE_MAGIC = 0x48464b54;

    private StateFileTargets() {}

    static Stream<Target> all() {
        return Stream.of(
                new Target(
                        "pins",
                        List.of(pins(0), pins(3)),
                        1 << 20,
                        StateFileTargets::pins,
                        StateFileTargets::repairEnd),
                new Target(
                        "changed",
                        List.of(changed(0), changed(5)),
                        1 << 20,
                        StateFileTargets::changed,
                        StateFileTargets::repairEnd),
                new Target(
                        "segment-index",
                        List.of(segmentIndex(), damageNote(), bridgeNote()),
                        4 << 20,
                        StateFileTargets::segmentIndex,
                        StateFileTargets::repairEnd),
                new Target(
                        "delta",
                        List.of(delta(1), delta(2)),
                        4 << 20,
                        StateFileTargets::delta,
                        StateFileTargets::repairDelta),
                new Target(
                        "packed",
                        List.of(packed(1), packed(2)),
                        4 << 20,
                        StateFileTargets::packed,
                        StateFileTargets::repairPacked),
                new Target(
                        "two-slots",
                        List.of(twoSlots(1), twoSlots(2)),
                        1 << 20,
                        StateFileTargets::twoSlots,
                        StateFileTargets::repairTwoSlots),
                new Target(
                        "grown",
                        List.of(new Grown(1 << 24, 0).encode(), new Grown(1 << 24, -7).encode()),
                        1 << 20,
                        StateFileTargets::grown),
                new Target(
                        "parted",
                        List.of(new byte[0], parted(1), parted(16)),
                        1 << 20,
                        StateFileTargets::parted));
    }

    /// The checksum at the end, of all before.
    static byte[] repairEnd(byte[] input) {
        int end = input.length - 4;
        if (end >= 0) {
            ByteBuffer.wrap(input).putInt(end, DiskTargets.crc(input, 0, end));
        }
        return input;
    }

    // ---- kept moments, and what a copy has changed

    private static byte[] pins(int count) {
        List<PinList.Entry> entries = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            Moment moment =
                    new Moment(
                            4096L * i, DiskTargets.POSITION, DiskTargets.ANCESTRY, 5, 6, 7, 8, 0);
            entries.add(
                    new PinList.Entry(
                            new Pin(i, "a".repeat(i), moment, 1 << 20, 9, 10, i == 1),
                            new DeltaLog.Extent(i * 4096L, i * 8192L)));
        }
        return DiskTargets.bytes(new PinList(DiskTargets.RESOURCE, count, entries).encode());
    }

    private static void pins(byte[] input) {
        PinList read;
        try {
            read = PinList.decode(ByteBuffer.wrap(input));
        } catch (IllegalArgumentException e) {
            return;
        }
        assertArrayEquals(input, DiskTargets.bytes(read.encode()));
    }

    private static byte[] changed(int count) {
        List<Frame.KeptRange> ranges = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            ranges.add(new Frame.KeptRange(i * 16384L, 8192));
        }
        return DiskTargets.bytes(
                new ChangeList(
                                DiskTargets.RESOURCE,
                                new OwnChanges(7, DiskTargets.POSITION, 8, 9, ranges))
                        .encode());
    }

    private static void changed(byte[] input) {
        ChangeList read;
        try {
            read = ChangeList.decode(ByteBuffer.wrap(input));
        } catch (IllegalArgumentException e) {
            return;
        }
        assertArrayEquals(input, DiskTargets.bytes(read.encode()));
        assertTrue(read.changes().blocks() >= 0);
    }

    private static void grown(byte[] input) {
        Grown read;
        try {
            read = Grown.decode(input);
        } catch (IllegalArgumentException e) {
            return;
        }
        assertEquals(read, Grown.decode(read.encode()));
    }

    private static byte[] parted(int count) {
        Parted noted = Parted.NONE;
        for (int i = 0; i < count; i++) {
            noted = noted.with(new Parted.Promotion(1_795_200_000_000L + i, -i * 77L));
        }
        return noted.encode();
    }

    private static void parted(byte[] input) {
        Parted read = Parted.decode(input);
        assertEquals(read, Parted.decode(read.encode()));
    }

    // ---- index of a segment, note of damage

    private static byte[] segmentIndex() {
        var builder = new SegmentIndex.Builder(2048);
        long at = SEGMENT_AT;
        for (int i = 0; i < 3; i++) {
            for (Kind kind : Kind.values()) {
                if (kind != Kind.PAD) {
                    JournalRecord record = record(kind, at, i);
                    builder.record(record, content(kind));
                    at += record.totalBytes();
                }
            }
        }
        return DiskTargets.bytes(builder.finish(DiskTargets.RESOURCE, SEGMENT_AT, 1).encode());
    }

    private static JournalRecord record(Kind kind, long at, int number) {
        boolean isSet = kind == Kind.EPOCH_COMMIT || kind == Kind.MARK;
        boolean hasData = kind == Kind.WRITE || kind == Kind.EPOCH_BLOCKS;
        return new JournalRecord(
                kind,
                kind == Kind.ZERO,
                kind == Kind.EPOCH_BEGIN && number == 1,
                DiskTargets.RESOURCE,
                at,
                at / 2,
                1,
                0,
                hasData ? 4096 : content(kind).remaining(),
                kind == Kind.WRITE || isSet ? DiskTargets.POSITION : Position.NONE,
                2,
                8192L * number + 4096L * kind.ordinal(),
                isSet ? 0 : 4096,
                11,
                12,
                0,
                9);
    }

    private static ByteBuffer content(Kind kind) {
        return switch (kind) {
            case EPOCH_COMMIT -> AncestryCodec.encode(DiskTargets.ANCESTRY);
            case MARK -> ByteBuffer.wrap("before-the-upgrade".getBytes(US_ASCII));
            default -> ByteBuffer.allocate(0);
        };
    }

    private static byte[] damageNote() {
        return DiskTargets.bytes(
                new SegmentIndex(DiskTargets.RESOURCE, SEGMENT_AT, 0, -1, 0, List.of()).encode());
    }

    private static byte[] bridgeNote() {
        List<Kind> kinds = List.of(Kind.EPOCH_BEGIN, Kind.EPOCH_BLOCKS, Kind.EPOCH_COMMIT);
        var builder = new SegmentIndex.Builder(Long.MAX_VALUE);
        kinds.forEach(kind -> builder.record(record(kind, SEGMENT_AT, 0), content(kind)));
        return DiskTargets.bytes(
                new SegmentIndex(DiskTargets.RESOURCE, SEGMENT_AT, 3, -1, 0, builder.parts())
                        .encode());
    }

    private static void segmentIndex(byte[] input) {
        SegmentIndex read;
        try {
            read = SegmentIndex.decode(ByteBuffer.wrap(input), DiskTargets.RESOURCE, SEGMENT_AT);
        } catch (IllegalArgumentException e) {
            return;
        }
        assertArrayEquals(input, DiskTargets.bytes(read.encode()));
        assertOrdered(SegmentIndex.image(read.parts()));
    }

    private static void assertOrdered(JournalIndex index) {
        long behind = 0;
        for (JournalIndex.Run run : index.all()) {
            assertTrue(run.offsetBytes() >= behind && run.endBytes() > run.offsetBytes());
            behind = run.endBytes();
        }
    }

    // ---- the delta of a kept moment

    /// A file as it lies in memory. What cannot be read of it is an error of the disk.
    private record Memory(byte[] bytes) implements DeltaLog.Storage {
        @Override
        public void write(long address, ByteBuffer data) {
            data.get(bytes, (int) address, data.remaining());
        }

        @Override
        public void read(long address, ByteBuffer into) throws IOException {
            if (address < 0 || address + into.remaining() > bytes.length) {
                throw new IOException("there are %d bytes".formatted(bytes.length));
            }
            into.put(bytes, (int) address, into.remaining());
        }
    }

    /// The file, and behind it what the list of the pins says of it.
    private static byte[] delta(int seed) {
        try {
            var random = new Random(seed);
            var file = new Memory(new byte[64 << 10]);
            DeltaLog log = DeltaLog.create(DiskTargets.RESOURCE, PIN, file);
            for (int batch = 0; batch < seed; batch++) {
                byte[] blocks = new byte[8192];
                random.nextBytes(blocks);
                log.add(batch * 65536L, ByteBuffer.wrap(blocks));
                log.addZero(batch * 65536L + 16384, 4096L << seed);
                log.counts(log.finish());
            }
            DeltaLog.Extent counts = log.extent();
            int end = (int) counts.end();
            return ByteBuffer.allocate(end + 16)
                    .put(file.bytes(), 0, end)
                    .putLong(counts.table())
                    .putLong(counts.end())
                    .array();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static void delta(byte[] input) {
        int length = input.length - 16;
        if (length < 0) {
            return;
        }
        ByteBuffer b = ByteBuffer.wrap(input);
        var counts = new DeltaLog.Extent(b.getLong(length), b.getLong(length + 8));
        try {
            var file = new Memory(Arrays.copyOf(input, length));
            DeltaLog log = DeltaLog.open(DiskTargets.RESOURCE, PIN, file, counts);
            assertOrdered(log.index());
            for (JournalIndex.Run run : log.index().all()) {
                if (!run.isZero()) {
                    log.read(run.dataAddress(), ByteBuffer.allocate((int) run.lengthBytes()));
                }
            }
        } catch (IOException e) {
            assertEquals(false, e.getMessage().isBlank());
        }
    }

    private static byte[] repairDelta(byte[] input) {
        ByteBuffer b = ByteBuffer.wrap(input);
        for (int at = 0; at + DeltaLog.BLOCK_BYTES <= input.length; at += DeltaLog.BLOCK_BYTES) {
            if (b.getInt(at) == DELTA_MAGIC) {
                b.putInt(at + 32, DiskTargets.crc(input, at, 32));
            } else if (b.getInt(at) == TABLE_MAGIC) {
                long content = 64 + 24L * b.getInt(at + 60) + 4L * b.getInt(at + 56);
                if (content >= 64 && at + content + 4 <= input.length) {
                    b.putInt(at + (int) content, DiskTargets.crc(input, at, (int) content));
                }
            }
        }
        return input;
    }

    // ---- packed segment

    private static byte[] packed(int seed) {
        var random = new Random(seed);
        int chunks = Math.ceilDiv(PACKED_BYTES, CHUNK);
        ByteBuffer table = ByteBuffer.allocate(chunks * 8);
        ByteBuffer content = ByteBuffer.allocate(2 * PACKED_BYTES);
        for (int i = 0; i < chunks; i++) {
            byte[] raw = new byte[Math.min(CHUNK, PACKED_BYTES - i * CHUNK)];
            if (i == 1) {
                random.nextBytes(raw);
            } else {
                Arrays.fill(raw, (byte) random.nextInt());
            }
            byte[] stored = i == 1 ? raw : Zstd.compress(raw);
            table.putInt(stored.length).putInt(DiskTargets.crc(stored, 0, stored.length));
            content.put(stored);
        }
        ByteBuffer file = ByteBuffer.allocate(64 + table.capacity() + content.position());
        file.putInt(0x48464a50).putInt(1).putLong(PACKED_BYTES).putLong(9).putInt(CHUNK);
        file.position(64).put(table.flip()).put(content.flip());
        return repairPacked(file.array());
    }

    private static void packed(byte[] input) {
        PackedSegment.Source<DeviceException> file =
                (offset, into) -> {
                    if (offset < 0 || offset + into.remaining() > input.length) {
                        throw new DeviceException(0, "a file of %d bytes".formatted(input.length));
                    }
                    into.put(input, (int) offset, into.remaining());
                    return true;
                };
        ByteBuffer all = ByteBuffer.allocate(PACKED_BYTES);
        try {
            assertTrue(PackedSegment.segmentBytes(file, "it") > 0);
            PackedSegment.open(file, 9, PACKED_BYTES, "it").read(file, 0, all, false);
            assertEquals(0, all.remaining());
        } catch (DeviceException e) {
            assertEquals(false, e.getMessage().isBlank());
        }
    }

    private static byte[] repairPacked(byte[] input) {
        int content = 64 + 8 * Math.ceilDiv(PACKED_BYTES, CHUNK);
        if (input.length < content) {
            return input;
        }
        ByteBuffer b = ByteBuffer.wrap(input);
        int at = content;
        for (int entry = 64; entry < content; entry += 8) {
            int stored = b.getInt(entry);
            if (stored < 0 || stored > input.length - at) {
                break;
            }
            b.putInt(entry + 4, DiskTargets.crc(input, at, stored));
            at += stored;
        }
        b.putInt(28, DiskTargets.crc(input, 64, content - 64));
        b.putInt(60, DiskTargets.crc(input, 0, 60));
        return input;
    }

    // ---- a value in two slots

    private static final TwoSlots.Codec<String> TEXT =
            new TwoSlots.Codec<>() {
                @Override
                public ByteBuffer encode(String value) {
                    return ByteBuffer.wrap(value.getBytes(US_ASCII));
                }

                @Override
                public String decode(ByteBuffer in) {
                    if (in.remaining() > 400) {
                        throw new IllegalArgumentException("a text of " + in.remaining());
                    }
                    return US_ASCII.decode(in).toString();
                }
            };

    private static byte[] twoSlots(int writes) {
        return inFile(
                path -> {
                    try (var file =
                            TwoSlotFile.create(path, DiskTargets.RESOURCE, 400, TEXT, "first")) {
                        for (int i = 0; i < writes; i++) {
                            file.write("value " + i);
                        }
                    }
                    return Files.readAllBytes(path);
                });
    }

    private static void twoSlots(byte[] input) {
        inFile(
                path -> {
                    Files.write(path, input);
                    try {
                        var seen = TwoSlotFile.look(path, DiskTargets.RESOURCE, TEXT);
                        assertEquals(seen.counter() % 2, seen.slot());
                    } catch (CorruptFormatException e) {
                        assertEquals(false, e.getMessage().isBlank());
                    }
                    return input;
                });
    }

    private static byte[] repairTwoSlots(byte[] input) {
        ByteBuffer b = ByteBuffer.wrap(input);
        int slot = input.length / 2;
        for (int at : new int[] {0, slot}) {
            if (slot >= 64) {
                int length = b.getInt(at + 40);
                if (length >= 0 && length <= slot - 64) {
                    b.putInt(at + 44, DiskTargets.crc(input, at + 64, length));
                }
                b.putInt(at + 60, DiskTargets.crc(input, at, 60));
            }
        }
        return input;
    }

    @FunctionalInterface
    private interface OfPath {
        byte[] with(Path path) throws IOException, CorruptFormatException;
    }

    private static byte[] inFile(OfPath use) {
        try {
            Path directory = Files.createTempDirectory("holdfast-fuzz");
            Path file = directory.resolve("slots");
            try {
                return use.with(file);
            } finally {
                Files.deleteIfExists(file);
                Files.delete(directory);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (CorruptFormatException e) {
            throw new AssertionError(e);
        }
    }
}
