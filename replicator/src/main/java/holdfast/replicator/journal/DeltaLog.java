package holdfast.replicator.journal;

import holdfast.replicator.journal.JournalIndex.Run;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.UUID;
import java.util.zip.CRC32C;

/// What was in the base before it was written over, of one pin, in a file of its own (the pins'
/// page in docs/on-disk-format.md). It only grows, and what of it counts is said elsewhere, in the
/// list of the pins: [Extent]. So a batch counts as a whole or not at all, and what a crash leaves
/// behind the end means nothing and is written over.
///
/// ```
///  0        4096
///  │ header │ blocks of 4096 bytes … │ table │ blocks … │ table │ … whatever
///                                                               │
///                                                               extent: where the last table begins, and ends
/// ```
///
/// The header, a block: i32 magic `0x48464b44` "HFKD", i32 version, id of the resource (16), i64 id
/// of the pin, i32 CRC-32C of all before, zeroes.
///
/// A table, whole blocks:
///
/// | offset | bytes | field    | meaning                                                       |
/// |-------:|------:|----------|---------------------------------------------------------------|
/// |      0 |     4 | magic    | `0x48464b54`, "HFKT"                                          |
/// |      4 |     4 | version  | [#VERSION]                                                    |
/// |      8 |    16 | resource | id                                                            |
/// |     24 |     8 | pin      | id                                                            |
/// |     32 |     8 | address  | its own place                                                 |
/// |     40 |     8 | previous | place of the table before it; 0 for none                      |
/// |     48 |     8 | data     | place of the first of its blocks, where the table before it ends |
/// |     56 |     4 | blocks   | how many lie between there and the table                      |
/// |     60 |     4 | runs     | how many                                                      |
/// |     64 |       | runs     | each i64 offset in the device, i64 length, i64 place of its first block or -1: it reads zero |
/// |        |       | crcs     | i32 CRC-32C of each block                                     |
/// |        |     4 | crc      | CRC-32C of all before; zeroes up to the end of the block follow |
///
/// Runs are whole blocks, also the last of a device, which is filled up with zeroes. One caller at
/// a time, but for [#read].
public final class DeltaLog {
    public static final int VERSION = 1;
    public static final int BLOCK_BYTES = 4096;

    private static final int HEADER_MAGIC = 0x48464b44;
    private static final int TABLE_MAGIC = 0x48464b54;
    private static final int HEADER_BYTES = 36;
    private static final int FIXED_BYTES = 64;
    private static final int RUN_BYTES = 24;

    /// A batch has 64 MiB of blocks at most, so its table less than 512 KiB.
    private static final int BATCH_BLOCKS = 1 << 14;

    /// Places of the file.
    public interface Storage {
        void write(long address, ByteBuffer data) throws IOException;

        /// Fills `into`, or throws.
        void read(long address, ByteBuffer into) throws IOException;
    }

    /// What counts of a delta.
    ///
    /// @param table place of its last table; 0 while there is none, and nothing counts
    /// @param end behind it
    public record Extent(long table, long end) {
        public static final Extent NONE = new Extent(0, 0);

        public boolean isEmpty() {
            return table == 0;
        }
    }

    private final UUID resource;
    private final long pin;
    private final Storage storage;
    private Extent extent;
    private final JournalIndex index = new JournalIndex();

    /// By block of the file. Replaced, never changed where it was read.
    private volatile int[] crcs = {};

    // What was written since and does not count yet.
    private JournalIndex added = new JournalIndex();
    private int[] addedCrcs = {};
    private long table;
    private long end;

    // The batch under way.
    private long data;
    private JournalIndex runs = new JournalIndex();
    private int blocks;

    private DeltaLog(UUID resource, long pin, Storage storage, Extent extent) {
        this.resource = resource;
        this.pin = pin;
        this.storage = storage;
        this.extent = extent;
        abandon();
    }

    /// A new one, of which nothing counts.
    public static DeltaLog create(UUID resource, long pin, Storage storage) throws IOException {
        ByteBuffer header = ByteBuffer.allocate(BLOCK_BYTES);
        header.putInt(HEADER_MAGIC).putInt(VERSION);
        header.putLong(resource.getMostSignificantBits());
        header.putLong(resource.getLeastSignificantBits()).putLong(pin);
        header.putInt(crcOf(header, 0, HEADER_BYTES - 4));
        storage.write(0, header.clear());
        return new DeltaLog(resource, pin, storage, Extent.NONE);
    }

    /// @throws IOException if what counts of it cannot be read: then nothing of it is known
    public static DeltaLog open(UUID resource, long pin, Storage storage, Extent extent)
            throws IOException {
        ByteBuffer header = ByteBuffer.allocate(BLOCK_BYTES);
        storage.read(0, header);
        header.flip();
        boolean isOurs =
                header.getInt(HEADER_BYTES - 4) == crcOf(header, 0, HEADER_BYTES - 4)
                        && header.getInt() == HEADER_MAGIC
                        && header.getInt() == VERSION
                        && new UUID(header.getLong(), header.getLong()).equals(resource)
                        && header.getLong() == pin;
        require(isOurs, "its header is not that of pin " + pin);
        DeltaLog log = new DeltaLog(resource, pin, storage, extent);
        int[] crcs = {};
        long end = extent.end();
        for (long at = extent.table(); at != 0; ) {
            ByteBuffer table = log.table(at, end);
            if (crcs.length == 0) {
                // The file is as long as that: its last table was read.
                require(end / BLOCK_BYTES <= Integer.MAX_VALUE, "an end at %d".formatted(end));
                crcs = new int[(int) (end / BLOCK_BYTES)];
            }
            at = table.getLong(40);
            end = table.getLong(48);
            log.take(table, crcs);
        }
        require(end == (extent.isEmpty() ? 0 : BLOCK_BYTES), "its first table is missing");
        log.crcs = crcs;
        return log;
    }

    private ByteBuffer table(long at, long end) throws IOException {
        long bytes = end - at;
        require(
                at >= BLOCK_BYTES
                        && at % BLOCK_BYTES == 0
                        && bytes > 0
                        && bytes % BLOCK_BYTES == 0
                        && bytes <= 1 << 20,
                "a table of %d bytes at %d".formatted(bytes, at));
        ByteBuffer table = ByteBuffer.allocate((int) bytes);
        storage.read(at, table);
        table.flip();
        int blocks = table.getInt(56);
        int runs = table.getInt(60);
        long content = FIXED_BYTES + (long) runs * RUN_BYTES + 4L * blocks;
        require(
                table.getInt(0) == TABLE_MAGIC
                        && blocks >= 0
                        && runs >= 0
                        && content + 4 <= bytes
                        && table.getInt((int) content) == crcOf(table, 0, (int) content),
                "no table at %d, or its checksum differs".formatted(at));
        boolean isOurs =
                table.getInt(4) == VERSION
                        && new UUID(table.getLong(8), table.getLong(16)).equals(resource)
                        && table.getLong(24) == pin
                        && table.getLong(32) == at
                        && table.getLong(48) == at - (long) blocks * BLOCK_BYTES
                        && table.getLong(48) >= BLOCK_BYTES
                        && table.getLong(40) < at;
        require(isOurs, "the table at %d is another one".formatted(at));
        return table;
    }

    private void take(ByteBuffer table, int[] into) throws IOException {
        int blocks = table.getInt(56);
        int runs = table.getInt(60);
        table.position(FIXED_BYTES);
        for (int i = 0; i < runs; i++) {
            Run run = new Run(table.getLong(), table.getLong(), table.getLong(), 0, false);
            requireInside(run, table.getLong(48), table.getLong(32));
            index.put(run);
        }
        int first = (int) (table.getLong(48) / BLOCK_BYTES);
        for (int i = 0; i < blocks; i++) {
            into[first + i] = table.getInt();
        }
    }

    /// Whole blocks, that read zero or lie between these places of the file.
    private static void requireInside(Run run, long from, long to) throws IOException {
        boolean isInside =
                run.offsetBytes() >= 0
                        && run.lengthBytes() > 0
                        && run.offsetBytes() <= Long.MAX_VALUE - run.lengthBytes()
                        && run.offsetBytes() % BLOCK_BYTES == 0
                        && run.lengthBytes() % BLOCK_BYTES == 0
                        && (run.isZero()
                                || run.dataAddress() >= from
                                        && run.dataAddress() % BLOCK_BYTES == 0
                                        && run.dataAddress() <= to
                                        && run.lengthBytes() <= to - run.dataAddress());
        require(
                isInside,
                "the table at %d has %d bytes at %d in %d"
                        .formatted(to, run.lengthBytes(), run.offsetBytes(), run.dataAddress()));
    }

    private static void require(boolean holds, String otherwise) throws IOException {
        if (!holds) {
            throw new IOException(otherwise);
        }
    }

    // ---- what is added -----------------------------------------------------------------------

    /// Takes blocks that are not held yet.
    ///
    /// @param content whole blocks, which are written and may be used again
    public void add(long offsetBytes, ByteBuffer content) throws IOException {
        int count = content.remaining() / BLOCK_BYTES;
        if (blocks + count > BATCH_BLOCKS) {
            finishBatch();
        }
        int first = (int) (end / BLOCK_BYTES);
        if (addedCrcs.length < first + count) {
            addedCrcs = Arrays.copyOf(addedCrcs, Math.max(2 * addedCrcs.length, first + count));
        }
        for (int i = 0; i < count; i++) {
            addedCrcs[first + i] =
                    crcOf(content, content.position() + i * BLOCK_BYTES, BLOCK_BYTES);
        }
        runs.put(new Run(offsetBytes, (long) count * BLOCK_BYTES, end, 0, false));
        storage.write(end, content);
        end += (long) count * BLOCK_BYTES;
        blocks += count;
    }

    /// The same for blocks that read zero.
    public void addZero(long offsetBytes, long lengthBytes) throws IOException {
        if (runs.size() >= BATCH_BLOCKS) {
            finishBatch();
        }
        runs.put(new Run(offsetBytes, lengthBytes, Run.ZEROES, 0, false));
    }

    private void finishBatch() throws IOException {
        int content = FIXED_BYTES + runs.size() * RUN_BYTES + 4 * blocks;
        int bytes = (content + 4 + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
        ByteBuffer out = ByteBuffer.allocate(bytes);
        out.putInt(TABLE_MAGIC).putInt(VERSION);
        out.putLong(resource.getMostSignificantBits()).putLong(resource.getLeastSignificantBits());
        out.putLong(pin).putLong(end).putLong(table).putLong(data);
        out.putInt(blocks).putInt(runs.size());
        for (Run run : runs.all()) {
            out.putLong(run.offsetBytes()).putLong(run.lengthBytes()).putLong(run.dataAddress());
        }
        int first = (int) (data / BLOCK_BYTES);
        for (int i = 0; i < blocks; i++) {
            out.putInt(addedCrcs[first + i]);
        }
        out.putInt(crcOf(out, 0, out.position()));
        storage.write(end, out.clear());
        added.putAll(runs);
        runs = new JournalIndex();
        blocks = 0;
        table = end;
        end += bytes;
        data = end;
    }

    /// What was added is written; to be made durable, and then to be said to count.
    ///
    /// @return the extent with it, the same as before when nothing was added
    public Extent finish() throws IOException {
        if (runs.size() > 0) {
            finishBatch();
        }
        return added.size() == 0 ? extent : new Extent(table, end);
    }

    /// It counts: readers find it from now on.
    public void counts(Extent now) {
        int[] all = Arrays.copyOf(crcs, Math.toIntExact(now.end() / BLOCK_BYTES));
        int from = (int) (Math.max(extent.end(), BLOCK_BYTES) / BLOCK_BYTES);
        int to = Math.min(all.length, addedCrcs.length);
        if (to > from) {
            System.arraycopy(addedCrcs, from, all, from, to - from);
        }
        crcs = all;
        index.putAll(added);
        extent = now;
        abandon();
    }

    /// What was added and does not count is nothing.
    public void abandon() {
        added = new JournalIndex();
        addedCrcs = new int[0];
        runs = new JournalIndex();
        blocks = 0;
        table = extent.table();
        end = Math.max(extent.end(), BLOCK_BYTES);
        data = end;
    }

    /// Bytes of the file, what was added included.
    public long endBytes() {
        return end;
    }

    public Extent extent() {
        return extent;
    }

    /// Where of the device what lies; to be copied by whoever keeps it.
    public JournalIndex index() {
        return index;
    }

    /// Fills `into` from the blocks that lie there.
    ///
    /// @param address a run's place, or one within it
    /// @throws IOException if a block is not what was saved
    public void read(long address, ByteBuffer into) throws IOException {
        int wanted = into.remaining();
        long from = address / BLOCK_BYTES * BLOCK_BYTES;
        long to = (address + wanted + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
        ByteBuffer whole = ByteBuffer.allocate(Math.toIntExact(to - from));
        storage.read(from, whole);
        whole.flip();
        int[] expected = crcs;
        for (int at = 0; at < whole.limit(); at += BLOCK_BYTES) {
            int block = (int) ((from + at) / BLOCK_BYTES);
            require(
                    expected[block] == crcOf(whole, at, BLOCK_BYTES),
                    "the block at %d is damaged".formatted(from + at));
        }
        into.put(whole.slice((int) (address - from), wanted));
    }

    private static int crcOf(ByteBuffer of, int from, int length) {
        CRC32C crc = new CRC32C();
        crc.update(of.slice(from, length));
        return (int) crc.getValue();
    }
}
