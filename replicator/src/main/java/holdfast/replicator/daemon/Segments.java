package holdfast.replicator.daemon;

import holdfast.replicator.device.PackedSegment;
import holdfast.replicator.journal.JournalRecord;
import holdfast.replicator.journal.JournalRecord.Found;
import holdfast.replicator.journal.SegmentIndex;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.TreeMap;
import java.util.UUID;
import java.util.stream.Stream;

/// The segment files of a journal, read and nothing else.
final class Segments implements AutoCloseable {
    private final Path directory;
    private final TreeMap<Long, Path> files = new TreeMap<>();
    private final long segmentBytes;
    private long open = -1;
    private FileChannel channel;

    /// Null where the open segment is not packed.
    private PackedSegment packed;

    private Segments(Path directory, List<Path> found) throws IOException {
        this.directory = directory;
        for (Path each : found) {
            // Both are there when packing was cut off; the packed one comes behind.
            files.putIfAbsent(
                    Long.parseUnsignedLong(each.getFileName().toString().substring(0, 16), 16),
                    each);
        }
        long most = 0;
        for (Path each : files.values()) {
            most = Math.max(most, sizeOf(each));
        }
        if (most == 0) {
            throw new IOException("no segment can be read: the headers of all are damaged");
        }
        segmentBytes = most;
        for (long number = files.firstKey(); number <= files.lastKey(); number++) {
            Path file = files.get(number);
            if (file == null || sizeOf(file) != segmentBytes && !isDamaged(file)) {
                throw new IOException(
                        "segment %016x is missing or has another size than %d bytes"
                                .formatted(number, segmentBytes));
            }
        }
    }

    static Segments of(Path directory) throws IOException {
        List<Path> found = named(directory, "[0-9a-f]{16}(\\.packed)?");
        if (found.isEmpty()) {
            throw new IOException(directory + " holds no segment of a journal");
        }
        return new Segments(directory, found);
    }

    private static boolean isPacked(Path file) {
        return file.toString().endsWith(PackedSegment.SUFFIX);
    }

    /// Nothing says what it held: it reads as zeroes, and ends what can be had of the journal.
    private static boolean isDamaged(Path file) throws IOException {
        return isPacked(file) && sizeOf(file) == 0;
    }

    /// Of what it holds; 0 if that cannot be told.
    private static long sizeOf(Path file) throws IOException {
        if (!isPacked(file)) {
            return Files.size(file);
        }
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            return PackedSegment.segmentBytes(source(channel), file.toString());
        } catch (PackedSegment.DamagedException e) {
            return 0;
        }
    }

    private static PackedSegment.Source<IOException> source(FileChannel channel) {
        return (offset, into) -> {
            for (long at = offset; into.hasRemaining(); ) {
                int got = channel.read(into, at);
                if (got < 0) {
                    throw new PackedSegment.DamagedException("a packed segment ends at byte " + at);
                }
                at += got;
            }
            return true;
        };
    }

    long segmentBytes() {
        return segmentBytes;
    }

    long begin() {
        return files.firstKey() * segmentBytes;
    }

    /// Where the last one ends.
    long end() {
        return (files.lastKey() + 1) * segmentBytes;
    }

    /// What is noted of damage, in the order of the journal; one that is broken says nothing, as at
    /// a start.
    List<SegmentIndex> notes(UUID resource) throws IOException {
        List<SegmentIndex> notes = new ArrayList<>();
        for (Path each : named(directory, "[0-9a-f]{16}\\.damage")) {
            long address =
                    Long.parseUnsignedLong(each.getFileName().toString().substring(0, 16), 16);
            note(each, resource, address).ifPresent(notes::add);
        }
        return notes;
    }

    private static Optional<SegmentIndex> note(Path file, UUID resource, long address)
            throws IOException {
        ByteBuffer content = ByteBuffer.wrap(Files.readAllBytes(file));
        try {
            return Optional.of(SegmentIndex.decode(content, resource, address));
        } catch (RuntimeException e) {
            return Optional.empty();
        }
    }

    private static List<Path> named(Path directory, String pattern) throws IOException {
        try (Stream<Path> files = Files.list(directory)) {
            return files.filter(each -> each.getFileName().toString().matches(pattern))
                    .sorted()
                    .toList();
        }
    }

    Optional<JournalRecord> firstRecord() throws IOException {
        ByteBuffer header = ByteBuffer.allocate(JournalRecord.HEADER_BYTES);
        read(begin(), header);
        return JournalRecord.decode(header.flip()) instanceof Found.Good(JournalRecord found)
                        && found.address() == begin()
                ? Optional.of(found)
                : Optional.empty();
    }

    int read(long address, ByteBuffer into) throws IOException {
        int asked = into.remaining();
        long at = address;
        int limit = into.limit();
        while (into.position() < limit && files.containsKey(at / segmentBytes)) {
            long inSegment = at % segmentBytes;
            into.limit(
                    into.position()
                            + (int) Math.min(limit - into.position(), segmentBytes - inSegment));
            int got = read(at / segmentBytes, inSegment, into);
            if (got <= 0) {
                break;
            }
            at += got;
            into.limit(limit);
        }
        into.limit(limit);
        return asked - into.remaining();
    }

    private int read(long number, long inSegment, ByteBuffer into) throws IOException {
        open(number);
        if (packed == null && !isPacked(files.get(number))) {
            return channel.read(into, inSegment);
        }
        if (packed == null) {
            int asked = into.remaining();
            Holes.zero(into);
            return asked;
        }
        int asked = into.remaining();
        // What is damaged reads as zeroes, which are no record.
        packed.read(source(channel), inSegment, into, true);
        return asked;
    }

    private void open(long number) throws IOException {
        if (open != number) {
            close();
            Path file = files.get(number);
            channel = FileChannel.open(file, StandardOpenOption.READ);
            open = number;
            if (isPacked(file)) {
                try {
                    packed =
                            PackedSegment.open(
                                    source(channel), number, segmentBytes, file.toString());
                } catch (PackedSegment.DamagedException e) {
                    packed = null;
                }
            }
        }
    }

    @Override
    public void close() throws IOException {
        if (channel != null) {
            channel.close();
            channel = null;
            packed = null;
            open = -1;
        }
    }
}
