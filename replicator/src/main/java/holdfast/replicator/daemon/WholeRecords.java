package holdfast.replicator.daemon;

import holdfast.replicator.device.DeviceException;
import holdfast.replicator.device.JournalFiles;
import holdfast.replicator.device.PackedSegment;
import holdfast.replicator.journal.JournalIndex;
import holdfast.replicator.journal.JournalRecord;
import holdfast.replicator.journal.JournalRecord.Found;

import java.nio.ByteBuffer;
import java.util.UUID;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.zip.CRC32C;

/// Data of the journal for those who read the copy, with the checksum looked at: that of a packed
/// segment's chunk, and else that of the record.
///
/// A record of up to 64 KiB is read whole each time: one of 4 KiB takes one reading, as without its
/// checksum. A larger one is read whole once and remembered as good, so that a reader of 4 KiB does
/// not read 2 MiB each time: what rots of it later is not seen here as long as it is remembered.
///
/// Any number of threads may read.
final class WholeRecords {
    private static final int SMALL_BYTES = 64 << 10;
    private static final int REMEMBERED = 1 << 10;

    /// As many as there were readers at once.
    private static final ConcurrentLinkedQueue<ByteBuffer> BUFFERS = new ConcurrentLinkedQueue<>();

    private final UUID resource;
    private final JournalFiles journal;

    /// Large records that were whole: at a place that follows from the address, the address plus
    /// one, the latest of that place. Addresses do not come again, so nothing has to leave it when
    /// the journal is freed.
    private final AtomicLongArray whole = new AtomicLongArray(REMEMBERED);

    WholeRecords(UUID resource, JournalFiles journal) {
        this.resource = resource;
        this.journal = journal;
    }

    /// Fills `into` with the run's data from its beginning. When it throws, what it has put there
    /// is not to be used.
    ///
    /// @throws PackedSegment.DamagedException if the record is not whole
    void read(JournalIndex.Run run, ByteBuffer into) throws DeviceException {
        long record = run.recordAddress();
        if (whole.get(place(record)) == record + 1 || journal.isPacked(record)) {
            fill(run.dataAddress(), into);
            return;
        }
        ByteBuffer buffer = BUFFERS.poll();
        if (buffer == null) {
            buffer = ByteBuffer.allocateDirect(JournalRecord.HEADER_BYTES + SMALL_BYTES);
        }
        try {
            readChecked(record, run.dataAddress() - record, into, buffer);
        } finally {
            BUFFERS.add(buffer);
        }
    }

    /// @param from where in the record the wanted data begin
    private void readChecked(long record, long from, ByteBuffer into, ByteBuffer buffer)
            throws DeviceException {
        long to = from + into.remaining();
        // As a rule that is all: whole records are read, and small ones.
        buffer.clear().limit((int) Math.min(to, buffer.capacity()));
        fill(record, buffer);
        buffer.flip();
        if (!(JournalRecord.decode(buffer) instanceof Found.Good(JournalRecord header))
                || !header.resource().equals(resource)
                || header.address() != record
                || to > JournalRecord.HEADER_BYTES + header.dataBytes()) {
            throw damaged(record);
        }
        int end = JournalRecord.HEADER_BYTES + header.dataBytes();
        CRC32C crc = new CRC32C();
        // Where in the record the buffer begins, and what has been read of the record.
        long begin = 0;
        long done = buffer.limit();
        if (done < end && end <= buffer.capacity()) {
            buffer.position((int) done).limit(end);
            fill(record + done, buffer);
            buffer.flip();
            done = end;
        }
        buffer.position(JournalRecord.HEADER_BYTES);
        while (true) {
            crc.update(buffer);
            if (begin < to && done > from) {
                int first = (int) Math.max(from - begin, 0);
                int last = (int) (Math.min(to, done) - begin);
                into.put(buffer.limit(last).position(first));
            }
            if (done == end) {
                break;
            }
            begin = done;
            buffer.clear().limit((int) Math.min(end - begin, buffer.capacity()));
            fill(record + begin, buffer);
            buffer.flip();
            done = begin + buffer.limit();
        }
        if ((int) crc.getValue() != header.dataCrc()) {
            throw damaged(record);
        }
        if (end > buffer.capacity()) {
            whole.set(place(record), record + 1);
        }
    }

    private static int place(long record) {
        // Records begin at multiples of 8, and large ones often at equal distances.
        return (int) (record * 0x9e3779b97f4a7c15L >>> 54);
    }

    private PackedSegment.DamagedException damaged(long record) {
        return new PackedSegment.DamagedException(
                "%s: the record at offset %d is damaged".formatted(journal, record));
    }

    /// Fills `into` from this offset, for who has looked at the checksum.
    void fill(long address, ByteBuffer into) throws DeviceException {
        journal.read(address, into);
        if (into.hasRemaining()) {
            throw new DeviceException(
                    0,
                    "%s: %d bytes are missing of the data at offset %d"
                            .formatted(journal, into.remaining(), address));
        }
    }
}
