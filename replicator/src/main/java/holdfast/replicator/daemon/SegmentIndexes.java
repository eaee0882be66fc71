package holdfast.replicator.daemon;

import holdfast.replicator.device.DeviceException;
import holdfast.replicator.device.JournalFiles;
import holdfast.replicator.device.PackedSegment;
import holdfast.replicator.journal.ImageBuilder;
import holdfast.replicator.journal.JournalIndex;
import holdfast.replicator.journal.JournalRecord;
import holdfast.replicator.journal.JournalRecord.Found;
import holdfast.replicator.journal.JournalScan;
import holdfast.replicator.journal.SegmentIndex;
import holdfast.replicator.nbd.Errno;
import holdfast.replicator.state.Backup;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.UUID;
import java.util.concurrent.Executor;
import java.util.function.BooleanSupplier;
import java.util.function.LongConsumer;

/// The indexes of the whole segments of one journal: made beside the work when a segment is full
/// and durable, and used instead of reading it. A journal of 10 GiB is opened, and any moment of
/// it, from 1 % of its size.
///
/// Lost, broken or not written for want of space they cost time, and where the segment is damaged
/// what is behind that: they alone know it.
final class SegmentIndexes {
    private static final Logger LOG = LoggerFactory.getLogger(SegmentIndexes.class);

    private final UUID resource;
    private final JournalFiles journal;
    private final Executor pool;
    private final LongConsumer made;
    private final LongConsumer damaged;
    private final long segmentBytes;

    // Guarded by this.
    private long nextSegment;
    private long durableSegment;
    private boolean making;
    private boolean stopped;

    /// Records that are being looked at.
    private final Set<Long> suspected = new HashSet<>();

    /// @param made hears of each segment, by where it begins, when its index is made
    /// @param damaged hears where the journal is damaged, when that is found beside a roll: where
    ///   the record begins
    SegmentIndexes(
            UUID resource,
            JournalFiles journal,
            Executor pool,
            LongConsumer made,
            LongConsumer damaged) {
        this.resource = resource;
        this.journal = journal;
        this.pool = pool;
        this.made = made;
        this.damaged = damaged;
        this.segmentBytes = journal.segmentBytes();
    }

    /// The index of the segment that begins there, or null: then the segment is read.
    SegmentIndex of(long address) {
        try {
            ByteBuffer note = journal.note(address);
            if (note == null) {
                return null;
            }
            SegmentIndex index = SegmentIndex.decode(note, resource, address);
            if (isOf(index)) {
                return index;
            }
            LOG.warn("{}: the index of the segment at {} is of another one", journal, address);
        } catch (DeviceException e) {
            // It may be read another time.
            LOG.warn("{}: the index of the segment at {}: {}", journal, address, e.getMessage());
            return null;
        } catch (RuntimeException e) {
            LOG.warn("{}: the index of the segment at {}: {}", journal, address, e.getMessage());
        }
        journal.dropNote(address);
        return null;
    }

    /// Whether the segment ends as it did when the index was made. Where it is damaged since, the
    /// index alone knows what was in it: then nothing in front of the damage, and behind, is lost.
    private boolean isOf(SegmentIndex index) throws DeviceException {
        if (index.lastRecord() < 0) {
            return true;
        }
        ByteBuffer header = ByteBuffer.allocate(JournalRecord.HEADER_BYTES);
        read(index.lastRecord(), header);
        return switch (JournalRecord.decode(header.flip())) {
            case Found.Good(JournalRecord last) ->
                    last.address() == index.lastRecord()
                            && header.getInt(JournalRecord.HEADER_BYTES - 4) == index.lastCrc();
            case Found.Bad _ -> true;
        };
    }

    /// What the disk cannot read is damaged as well: it is no record.
    private int read(long address, ByteBuffer into) throws DeviceException {
        int from = into.position();
        try {
            return journal.readDamaged(address, into);
        } catch (DeviceException e) {
            if (e.errno() != Errno.EIO) {
                throw e;
            }
            LOG.warn("{}: {}", journal, e.getMessage());
            into.position(from);
            int bytes = into.remaining();
            Holes.zero(into);
            return bytes;
        }
    }

    /// Segments from there on are to have an index.
    synchronized void begin(long address) {
        nextSegment = address / segmentBytes;
    }

    /// All below this offset is on stable storage.
    synchronized void durable(long endOffset) {
        durableSegment = endOffset / segmentBytes;
        if (!making && !stopped && nextSegment < durableSegment) {
            making = true;
            pool.execute(this::make);
        }
    }

    /// No more are made. One that is being made is let be: its file is replaced at once or not.
    synchronized void stop() {
        stopped = true;
    }

    /// Whether the journal is being read.
    synchronized boolean isMaking() {
        return making || !suspected.isEmpty();
    }

    /// Somebody could not read the data of a record: it is looked at, beside everything else.
    ///
    /// @param record journal offset of its first byte
    synchronized void suspect(long record) {
        if (!stopped && suspected.add(record)) {
            pool.execute(() -> look(record));
        }
    }

    private void look(long record) {
        try {
            tell(record);
        } catch (IOException | RuntimeException e) {
            LOG.warn("{}: the record at {}: {}", journal, record, e.getMessage());
        } finally {
            synchronized (this) {
                suspected.remove(record);
            }
        }
    }

    private void make() {
        for (long segment = next(); segment >= 0; segment = next()) {
            long address = segment * segmentBytes;
            try {
                if (address >= journal.firstOffset() && journal.note(address) == null) {
                    if (make(address)) {
                        made.accept(address);
                    }
                }
            } catch (IOException | RuntimeException e) {
                LOG.warn("{}: no index of the segment at {}: {}", journal, address, e.getMessage());
            }
        }
    }

    private synchronized long next() {
        if (stopped || nextSegment >= durableSegment) {
            making = false;
            return -1;
        }
        return nextSegment++;
    }

    /// @return false if it ends too early: it is damaged
    private boolean make(long address) throws IOException {
        SegmentIndex.Builder builder = builder();
        JournalScan.End end =
                scan().run(address, address + segmentBytes, 0, JournalScan.Indexes.NONE, builder);
        if (end.end() == address + segmentBytes) {
            journal.note(
                    address, builder.finish(resource, address, end.lastIncarnation()).encode());
            return true;
        }
        tell(end.end());
        return false;
    }

    private JournalScan scan() {
        return new JournalScan(resource, segmentBytes, this::read);
    }

    private JournalScan scan(RollPace pace) {
        return new JournalScan(
                resource,
                segmentBytes,
                (address, into) -> {
                    int bytes = read(address, into);
                    pace.did(bytes);
                    return bytes;
                });
    }

    /// A record is not what was written there.
    static final class DamagedException extends DeviceException {
        private static final long serialVersionUID = 1;

        private final long address;

        private DamagedException(JournalFiles journal, long address) {
            super(0, "%s is damaged at offset %d".formatted(journal, address));
            this.address = address;
        }

        /// Journal offset.
        long address() {
            return address;
        }
    }

    /// What is to be rolled, with each record's checksum looked at.
    ///
    /// @throws DamagedException if one is damaged
    JournalIndex checkedImage(Backup.Roll roll, RollPace pace) throws IOException {
        Backup.Bridge over = roll.over();
        if (over != null) {
            SortedSet<Long> bad = unreadable(over.index(), pace, () -> false);
            if (!bad.isEmpty()) {
                throw new DamagedException(journal, bad.getFirst());
            }
        }
        for (boolean again = false; ; again = true) {
            try {
                return image(
                        roll.from(),
                        roll.to(),
                        over,
                        roll.begun().movedBy(),
                        JournalScan.Indexes.NONE,
                        scan(pace),
                        _ -> {});
            } catch (DamagedException e) {
                if (again || isDamaged(e.address())) {
                    throw e;
                }
            }
        }
    }

    /// Looked at once more: moments end for it, and a disk may fail to read once.
    private boolean isDamaged(long address) throws IOException {
        return !scan().isWhole(address);
    }

    /// For whoever reads while it is not known what is damaged.
    ///
    /// @throws PackedSegment.DamagedException if the record there is not whole: it is looked at
    void requireWhole(long record) throws DeviceException {
        boolean isWhole;
        try {
            isWhole = scan().isWhole(record);
        } catch (DeviceException e) {
            throw e;
        } catch (IOException e) {
            throw new DeviceException(Errno.EIO, e.getMessage(), e);
        }
        if (!isWhole) {
            suspect(record);
            throw new PackedSegment.DamagedException(
                    "%s: the record at offset %d is damaged".formatted(journal, record));
        }
    }

    private void tell(long address) throws IOException {
        if (isDamaged(address)) {
            damaged.accept(address);
        }
    }

    /// The records, by where they begin, that are not whole of those whose data an image needs.
    ///
    /// @param stopped asked often
    /// @return null if it was stopped
    SortedSet<Long> unreadable(JournalIndex image, RollPace pace, BooleanSupplier stopped)
            throws IOException {
        long[] records = new long[image.size()];
        int count = 0;
        for (JournalIndex.Run run : image.all()) {
            if (!run.isZero()) {
                records[count++] = run.recordAddress();
            }
        }
        Arrays.sort(records, 0, count);
        JournalScan scan = scan(pace);
        SortedSet<Long> bad = new TreeSet<>();
        for (int i = 0; i < count; i++) {
            if (stopped.getAsBoolean()) {
                return null;
            }
            // Twice, for a disk may fail to read once.
            if ((i == 0 || records[i] != records[i - 1])
                    && !scan.isWhole(records[i])
                    && !scan.isWhole(records[i])) {
                bad.add(records[i]);
            }
        }
        return bad;
    }

    private SegmentIndex.Builder builder() {
        return new SegmentIndex.Builder(segmentBytes / Backup.MOMENTS_IN_SEGMENT);
    }

    /// What the journal holds of the committed image from one offset to another, both in front of a
    /// record.
    ///
    /// @param over what is damaged in between, null for nothing
    /// @param oldestIncarnation none of the records from there on is of an earlier opening
    /// @param room as [ImageBuilder] asks it
    /// @throws DamagedException if a record is damaged or gone
    JournalIndex image(
            long from, long to, Backup.Bridge over, long oldestIncarnation, LongConsumer room)
            throws IOException {
        try {
            return image(from, to, over, oldestIncarnation, this::of, scan(), room);
        } catch (DamagedException e) {
            tell(e.address());
            throw e;
        }
    }

    private JournalIndex image(
            long from,
            long to,
            Backup.Bridge over,
            long oldestIncarnation,
            JournalScan.Indexes indexes,
            JournalScan scan,
            LongConsumer room)
            throws IOException {
        ImageBuilder image = new ImageBuilder(room);
        SegmentIndex.Builder builder =
                new SegmentIndex.Builder(segmentBytes / Backup.MOMENTS_IN_SEGMENT, image::add);
        long begin = over == null ? from : over.address();
        if (begin < to) {
            JournalScan.End end = scan.run(begin, to, oldestIncarnation, indexes, builder);
            if (end.end() < to) {
                throw new DamagedException(journal, end.end());
            }
            builder.finishPart();
        }
        if (over == null) {
            return image.image();
        }
        JournalIndex behind = image.image();
        room.accept(2L * over.index().size() + 3L * behind.size());
        JournalIndex all = over.index().copy();
        all.putAll(behind);
        return all;
    }

    /// The records from one offset to another, both in front of a record.
    List<JournalRecord> records(long from, long to, long oldestIncarnation) throws IOException {
        List<JournalRecord> records = new ArrayList<>();
        JournalScan.End end =
                scan().run(
                                from,
                                to,
                                oldestIncarnation,
                                JournalScan.Indexes.NONE,
                                (record, _) -> records.add(record));
        if (end.end() < to) {
            tell(end.end());
            throw new DamagedException(journal, end.end());
        }
        return records;
    }
}
