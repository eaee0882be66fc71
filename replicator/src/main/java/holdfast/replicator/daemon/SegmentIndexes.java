package holdfast.replicator.daemon;

import holdfast.replicator.device.DeviceException;
import holdfast.replicator.device.JournalFiles;
import holdfast.replicator.journal.ImageBuilder;
import holdfast.replicator.journal.JournalIndex;
import holdfast.replicator.journal.JournalRecord;
import holdfast.replicator.journal.JournalRecord.Found;
import holdfast.replicator.journal.JournalScan;
import holdfast.replicator.journal.SegmentIndex;
import holdfast.replicator.state.Backup;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.Executor;
import java.util.function.LongConsumer;

/// The indexes of the whole segments of one journal: made beside the work when a segment is full
/// and durable, and used instead of reading it. A journal of 10 GiB is opened, and any moment of
/// it, from 1 % of its size.
///
/// Lost, broken or not written for want of space they cost time, nothing else.
final class SegmentIndexes {
    private static final Logger LOG = LoggerFactory.getLogger(SegmentIndexes.class);

    private final UUID resource;
    private final JournalFiles journal;
    private final Executor pool;
    private final LongConsumer made;
    private final long segmentBytes;

    // Guarded by this.
    private long nextSegment;
    private long durableSegment;
    private boolean making;
    private boolean stopped;

    /// @param made hears of each segment, by where it begins, when its index is made
    SegmentIndexes(UUID resource, JournalFiles journal, Executor pool, LongConsumer made) {
        this.resource = resource;
        this.journal = journal;
        this.pool = pool;
        this.made = made;
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
        } catch (DeviceException | RuntimeException e) {
            LOG.warn("{}: the index of the segment at {}: {}", journal, address, e.getMessage());
        }
        journal.dropNote(address);
        return null;
    }

    /// Whether the segment ends as it did when the index was made.
    private boolean isOf(SegmentIndex index) throws DeviceException {
        if (index.lastRecord() < 0) {
            return true;
        }
        ByteBuffer header = ByteBuffer.allocate(JournalRecord.HEADER_BYTES);
        journal.read(index.lastRecord(), header);
        return JournalRecord.decode(header.flip()) instanceof Found.Good(JournalRecord last)
                && last.address() == index.lastRecord()
                && header.getInt(JournalRecord.HEADER_BYTES - 4) == index.lastCrc();
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

    synchronized boolean isMaking() {
        return making;
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
        return false;
    }

    private JournalScan scan() {
        return new JournalScan(resource, segmentBytes, journal::readDamaged);
    }

    /// What is to be rolled, with each record's checksum looked at.
    ///
    /// @throws DeviceException if one is damaged; the next opening of the journal finds it as well
    JournalIndex checkedImage(Backup.Roll roll) throws IOException {
        return image(roll.from(), roll.to(), roll.begun().movedBy(), JournalScan.Indexes.NONE);
    }

    private SegmentIndex.Builder builder() {
        return new SegmentIndex.Builder(segmentBytes / Backup.MOMENTS_IN_SEGMENT);
    }

    /// What the journal holds of the committed image from one offset to another, both in front of a
    /// record.
    ///
    /// @param oldestIncarnation none of the records from there on is of an earlier opening
    /// @throws DeviceException if a record is damaged or gone
    JournalIndex image(long from, long to, long oldestIncarnation) throws IOException {
        return image(from, to, oldestIncarnation, this::of);
    }

    private JournalIndex image(
            long from, long to, long oldestIncarnation, JournalScan.Indexes indexes)
            throws IOException {
        ImageBuilder image = new ImageBuilder();
        SegmentIndex.Builder builder =
                new SegmentIndex.Builder(segmentBytes / Backup.MOMENTS_IN_SEGMENT, image::add);
        JournalScan.End end = scan().run(from, to, oldestIncarnation, indexes, builder);
        if (end.end() < to) {
            journal.dropNote(end.end());
            throw new DeviceException(
                    0, "%s is damaged at offset %d".formatted(journal, end.end()));
        }
        builder.finishPart();
        return image.image();
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
            throw new DeviceException(
                    0, "%s is damaged at offset %d".formatted(journal, end.end()));
        }
        return records;
    }
}
