package holdfast.replicator.daemon;

import holdfast.replicator.control.Extract;
import holdfast.replicator.device.DeltaFile;
import holdfast.replicator.device.DeviceException;
import holdfast.replicator.device.FileBlockDevice;
import holdfast.replicator.device.PackedSegment;
import holdfast.replicator.device.TwoSlotFile;
import holdfast.replicator.journal.DeltaLog;
import holdfast.replicator.journal.JournalIndex;
import holdfast.replicator.journal.JournalRecord;
import holdfast.replicator.journal.JournalRecord.Found;
import holdfast.replicator.journal.JournalScan;
import holdfast.replicator.journal.SegmentIndex;
import holdfast.replicator.metadata.CorruptFormatException;
import holdfast.replicator.metadata.PinList;
import holdfast.replicator.metadata.Superblock;
import holdfast.replicator.state.Marks;
import holdfast.replicator.state.Pins;
import holdfast.tunnel.wire.Position;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.time.ZoneId;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.UUID;
import java.util.stream.Stream;

/// Joins a base and its journal to the image of a moment, in a new file. Nothing of the copy is
/// changed, and nothing is needed but its files (docs/on-disk-format.md has all that this knows).
///
/// All records that are there are laid over the base, also those that it holds already: the newest
/// of each block counts, so that the watermark need not be known. For an older moment it must be:
/// the base may hold more than that.
final class Extraction {
    private static final int COPY_BYTES = 1 << 20;

    private final Extract.Request request;
    private final Extract.Progress progress;

    Extraction(Extract.Request request, Extract.Progress progress) {
        this.request = request;
        this.progress = progress;
    }

    /// @throws IOException if the files are not what they should be, or the moment is not in them;
    ///   nothing is left of the new file then
    Extract.Reply run() throws IOException {
        try (Segments segments = Segments.of(request.journal());
                FileBlockDevice base = FileBlockDevice.openReadOnly(request.base())) {
            if (request.at().filter(Pins::isName).isPresent() && isKept(request.at().get())) {
                return runKept(segments, base, request.at().get());
            }
            Optional<JournalRecord> first = segments.firstRecord();
            Optional<Superblock> superblock = superblock(first);
            Moment moment = moment(segments, first, superblock);
            long size = superblock.map(Superblock::sizeBytes).orElse(base.sizeBytes());
            if (base.sizeBytes() < size) {
                throw new IOException(
                        "%s has %d bytes, the copy has %d"
                                .formatted(request.base(), base.sizeBytes(), size));
            }
            write(base, segments, moment.index(), size, List.of());
            return new Extract.Reply(
                    request.to().toString(),
                    moment.position().toString(),
                    moment.labelMillis() == 0
                            ? Optional.empty()
                            : Optional.of(Instant.ofEpochMilli(moment.labelMillis())),
                    size,
                    moment.end() - segments.begin(),
                    moment.damage());
        }
    }

    /// What is kept goes before what was marked; without the pins only that can be found.
    private boolean isKept(String name) throws IOException {
        return request.pins().isPresent()
                && PinStore.list(request.pins().get()).entries().stream()
                        .anyMatch(each -> each.pin().name().equals(name));
    }

    /// One that is kept under a name: the journal's up to it where the base is in front of it; else
    /// what was saved since lies over the base.
    private Extract.Reply runKept(Segments segments, FileBlockDevice base, String name)
            throws IOException {
        if (request.superblock().isEmpty()) {
            throw new IOException(
                    "a kept moment wants the superblock too, STATE/resources/NAME/superblock");
        }
        PinList list = PinStore.list(request.pins().get());
        Superblock superblock = superblock(list.resource());
        int at = 0;
        while (!list.entries().get(at).pin().name().equals(name)) {
            at++;
        }
        if (list.entries().get(at).pin().damaged()) {
            throw new IOException("what is kept under the name " + name + " is damaged");
        }
        Pins.Pin pin = list.entries().get(at).pin();
        long address = pin.moment().address();
        JournalIndex index = new JournalIndex();
        if (address > superblock.watermark()) {
            Finder upTo = new Finder(Long.MAX_VALUE, address);
            new JournalScan(list.resource(), segments.segmentBytes(), segments::read)
                    .run(segments.begin(), 0, upTo);
            if (upTo.end != address) {
                throw new IOException(
                        "%s: it does not reach offset %d".formatted(request.journal(), address));
            }
            index = upTo.moment("").index();
        }
        List<DeltaFile> files = new ArrayList<>();
        try {
            for (PinList.Entry each : list.entries().subList(at, list.entries().size())) {
                if (!each.delta().isEmpty()) {
                    long id = each.pin().id();
                    DeltaFile file =
                            DeltaFile.openReadOnly(
                                    PinStore.delta(request.pins().get(), id),
                                    list.resource(),
                                    id,
                                    each.delta());
                    files.addFirst(file);
                }
            }
            write(
                    base,
                    segments,
                    index,
                    pin.sizeBytes(),
                    files.stream().map(DeltaFile::log).toList());
        } finally {
            files.forEach(DeltaFile::close);
        }
        return new Extract.Reply(
                request.to().toString(),
                pin.moment().position().toString(),
                Optional.of(Instant.ofEpochMilli(pin.moment().labelMillis())),
                pin.sizeBytes(),
                0,
                "");
    }

    private interface Content {
        void read(long address, ByteBuffer into) throws IOException;
    }

    /// A file that was there already is not ours, and stays.
    ///
    /// @param deltas in the order in which they are laid over the base
    private void write(
            FileBlockDevice base,
            Segments segments,
            JournalIndex index,
            long sizeBytes,
            List<DeltaLog> deltas)
            throws IOException {
        FileBlockDevice to = FileBlockDevice.create(request.to(), sizeBytes);
        try (to) {
            copy(base, to);
            for (DeltaLog each : deltas) {
                overlay(each::read, each.index(), to);
            }
            overlay(segments::read, index, to);
            to.sync();
        } catch (IOException | RuntimeException e) {
            Files.deleteIfExists(request.to());
            throw e;
        }
    }

    private Optional<Superblock> superblock(Optional<JournalRecord> first) throws IOException {
        if (request.superblock().isEmpty() || first.isEmpty()) {
            return Optional.empty();
        }
        Superblock found = superblock(first.get().resource());
        if (found.mixture()) {
            throw new IOException(
                    "the copy is the image of no moment: its journal was damaged while it was"
                            + " rolled into the base, and its primary has not mended it");
        }
        return Optional.of(found);
    }

    private Superblock superblock(UUID resource) throws IOException {
        try {
            return TwoSlotFile.look(request.superblock().orElseThrow(), resource, Superblock.CODEC)
                    .value();
        } catch (CorruptFormatException e) {
            throw new IOException(e.getMessage(), e);
        }
    }

    /// @param end journal offset behind its last record
    /// @param damage what ends the journal too early, or empty
    private record Moment(
            JournalIndex index, Position position, long labelMillis, long end, String damage) {}

    private Moment moment(
            Segments segments, Optional<JournalRecord> first, Optional<Superblock> superblock)
            throws IOException {
        if (first.isEmpty()) {
            if (request.at().isPresent()) {
                throw new IOException("the journal is empty: there is the newest moment alone");
            }
            return new Moment(new JournalIndex(), Position.NONE, 0, segments.begin(), "");
        }
        UUID resource = first.get().resource();
        JournalScan scan = new JournalScan(resource, segments.segmentBytes(), segments::read);
        // Records in front of the watermark are of the base already, but they are needed for the
        // times of what follows.
        Finder all = new Finder(Long.MAX_VALUE, Long.MAX_VALUE);
        JournalScan.End end = scan.run(segments.begin(), 0, all);
        String damage = end.damage() == null ? "" : end.damage();
        long rollingTo = superblock.map(Superblock::rollingTo).orElse(0L);
        if (end.end() < rollingTo) {
            throw new IOException(
                    "%s: it ends at offset %d, and the base was rolled on to %d: the two are the image of no moment"
                            .formatted(request.journal(), end.end(), rollingTo));
        }
        if (request.at().isEmpty()) {
            return all.moment(damage);
        }
        if (superblock.isEmpty()) {
            throw new IOException(
                    "an older moment can be told from what the base holds by the superblock alone: name it,"
                            + " it is STATE/resources/NAME/superblock");
        }
        Finder asked = asked(request.at().get(), all);
        scan.run(segments.begin(), 0, asked);
        if (asked.end < rollingTo || asked.position.isNone()) {
            throw new IOException(
                    "the moment is older than what the base holds, which is of %s"
                            .formatted(Instant.ofEpochMilli(superblock.get().labelMillis())));
        }
        return asked.moment("");
    }

    private static Finder asked(String at, Finder all) throws IOException {
        if (!Pins.isName(at)) {
            return new Finder(labelOf(at, all.label), Long.MAX_VALUE);
        }
        Long markEnd = all.marks.get(at);
        if (markEnd == null) {
            throw new IOException(
                    "the journal has no mark of the name %s; a kept moment wants its directory as well, NAME.pins beside the journal"
                            .formatted(at));
        }
        return new Finder(Long.MAX_VALUE, markEnd);
    }

    private static long labelOf(String at, long newest) {
        return switch (AskedPoint.parse(at, ZoneId.systemDefault(), Instant.now())) {
            case AskedPoint.Newest _ -> Long.MAX_VALUE;
            case AskedPoint.Named _ -> throw new IllegalStateException("a name has no time");
            case AskedPoint.At(Instant time) -> time.toEpochMilli();
            case AskedPoint.Before(java.time.Duration before) -> newest - before.toMillis();
        };
    }

    /// Takes records in up to the last moment with a label not after the one asked for, and in
    /// front of an address.
    private static final class Finder implements JournalScan.Visitor {
        private final SegmentIndex.Builder builder = new SegmentIndex.Builder(Long.MAX_VALUE);
        private final long until;
        private final long untilAddress;
        private long label;
        private Position position = Position.NONE;
        private long end;
        private boolean over;

        /// Behind the record of each, by its name; of two the later one.
        private final Map<String, Long> marks = new HashMap<>();

        private Finder(long until, long untilAddress) {
            this.until = until;
            this.untilAddress = untilAddress;
        }

        @Override
        public void record(JournalRecord record, ByteBuffer data) {
            boolean moves = !record.position().isNone();
            long now = moves ? Math.max(label, record.primaryMillis()) : label;
            over |= moves && now > until || record.address() >= untilAddress;
            if (over) {
                return;
            }
            builder.record(record, data);
            if (record.kind() == JournalRecord.Kind.MARK) {
                marks.put(Marks.decode(data), record.address() + record.totalBytes());
            }
            if (moves) {
                label = now;
                position = record.position();
                end = record.address() + record.totalBytes();
            }
        }

        private Moment moment(String damage) {
            return new Moment(SegmentIndex.image(builder.parts()), position, label, end, damage);
        }
    }

    private void copy(FileBlockDevice base, FileBlockDevice to) throws DeviceException {
        ByteBuffer buffer = ByteBuffer.allocateDirect(COPY_BYTES);
        long size = to.sizeBytes();
        for (long at = base.nextData(0); at < size; ) {
            int part = (int) Math.min(COPY_BYTES, size - at);
            buffer.clear().limit(part);
            base.read(at, buffer);
            to.write(at, buffer.flip());
            progress.at(at + part, size);
            at = base.nextData(at + part);
        }
        progress.at(size, size);
    }

    private static void overlay(Content content, JournalIndex index, FileBlockDevice to)
            throws IOException {
        ByteBuffer buffer = ByteBuffer.allocateDirect(COPY_BYTES);
        for (JournalIndex.Run run : index.all()) {
            // A copy that has become larger since is cut to what the superblock says.
            long end = Math.min(run.endBytes(), to.sizeBytes());
            if (run.isZero()) {
                if (end > run.offsetBytes()) {
                    to.zero(run.offsetBytes(), end - run.offsetBytes(), true);
                }
                continue;
            }
            for (long at = run.offsetBytes(); at < end; ) {
                int part = (int) Math.min(COPY_BYTES, end - at);
                buffer.clear().limit(part);
                content.read(run.dataAddress() + at - run.offsetBytes(), buffer);
                to.write(at, buffer.flip());
                at += part;
            }
        }
    }

    /// The segment files of a journal, read and nothing else.
    private static final class Segments implements AutoCloseable {
        private final TreeMap<Long, Path> files = new TreeMap<>();
        private final long segmentBytes;
        private long open = -1;
        private FileChannel channel;

        /// Null where the open segment is not packed.
        private PackedSegment packed;

        private Segments(List<Path> found) throws IOException {
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
            try (Stream<Path> files = Files.list(directory)) {
                List<Path> found =
                        files.filter(
                                        each ->
                                                each.getFileName()
                                                        .toString()
                                                        .matches("[0-9a-f]{16}(\\.packed)?"))
                                .sorted()
                                .toList();
                if (found.isEmpty()) {
                    throw new IOException(directory + " holds no segment of a journal");
                }
                return new Segments(found);
            }
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
                        throw new PackedSegment.DamagedException(
                                "a packed segment ends at byte " + at);
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
                                + (int)
                                        Math.min(
                                                limit - into.position(), segmentBytes - inSegment));
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
}
