package holdfast.replicator.device;

import com.github.luben.zstd.ZstdCompressCtx;
import com.github.luben.zstd.ZstdDecompressCtx;
import com.github.luben.zstd.ZstdException;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Optional;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicReferenceArray;
import java.util.zip.CRC32C;

/// A whole segment of a journal in less space: chunks of 16 KiB, each compressed by itself and with
/// a checksum, so that any place is read by decompressing what lies around it and rot is told from
/// data at every read. What the bytes mean is not known here.
///
/// | offset | bytes | field        | meaning                                             |
/// |-------:|------:|--------------|-----------------------------------------------------|
/// |      0 |     4 | magic        | `0x48464a50`, "HFJP"                                |
/// |      4 |     4 | version      | 1                                                   |
/// |      8 |     8 | segmentBytes | of the segment, unpacked                            |
/// |     16 |     8 | number       | of the segment                                      |
/// |     24 |     4 | chunkBytes   | 16384; the last chunk may be shorter                |
/// |     28 |     4 | tableCrc     | CRC-32C of the table                                |
/// |     32 |    28 | zero         |                                                     |
/// |     60 |     4 | headerCrc    | CRC-32C of bytes 0 to 59                            |
/// |     64 | 8 × chunks | table   | of each chunk: stored bytes, CRC-32C of these       |
/// | behind |       | chunks       | one zstd frame each, or as it is where it is as long |
///
/// Any number of threads may read.
public final class PackedSegment {
    /// Behind the name of the segment.
    public static final String SUFFIX = ".packed";

    static final int CHUNK_BYTES = 16 << 10;

    private static final int MAGIC = 0x48464a50;
    private static final int VERSION = 1;
    private static final int HEADER_BYTES = 64;
    private static final long MAX_SEGMENT_BYTES = 1 << 30;
    private static final int ENTRY_BYTES = 8;

    /// Of zstd: level 3 takes half as much time again and saves a twentieth, measured on 64 KiB.
    private static final int LEVEL = 1;

    /// A first look at so many chunks tells what does not compress.
    private static final int SAMPLES = 128;

    /// Contexts of zstd cost more than decompressing a chunk does.
    private static final ConcurrentLinkedQueue<ZstdDecompressCtx> CONTEXTS =
            new ConcurrentLinkedQueue<>();

    /// What is read from a file or written to it.
    public interface Source<E extends IOException> {
        /// Fills `into`, or throws.
        ///
        /// @return false if the file was closed meanwhile
        boolean read(long offsetBytes, ByteBuffer into) throws E;
    }

    /// Where a packed segment is written to.
    interface Sink {
        void write(long offsetBytes, ByteBuffer bytes) throws DeviceException;
    }

    private record Chunk(int number, byte[] bytes) {}

    private final String name;
    private final long segmentBytes;
    private final int[] crcs;

    /// Of each chunk in the file, and the end of the last.
    private final int[] offsets;

    /// The chunks that were read last: records are read in two steps, and one after the other.
    private final AtomicReferenceArray<Chunk> last = new AtomicReferenceArray<>(2);

    private PackedSegment(String name, long segmentBytes, int[] crcs, int[] offsets) {
        this.name = name;
        this.segmentBytes = segmentBytes;
        this.crcs = crcs;
        this.offsets = offsets;
    }

    // ---- reading
    // ---------------------------------------------------------------------------------------------

    /// How many bytes the segment of a file has, unpacked.
    ///
    /// @throws DamagedException if its header cannot be relied on
    public static <E extends IOException> long segmentBytes(Source<E> file, String name)
            throws E, DamagedException {
        ByteBuffer header = header(file, name);
        return header == null ? 0 : header.getLong(8);
    }

    private static <E extends IOException> ByteBuffer header(Source<E> file, String name)
            throws E, DamagedException {
        ByteBuffer header = ByteBuffer.allocate(HEADER_BYTES);
        if (!file.read(0, header)) {
            return null;
        }
        header.flip();
        if (header.getInt(0) != MAGIC
                || header.getInt(4) != VERSION
                || header.getInt(24) != CHUNK_BYTES
                || header.getLong(8) < 1
                || header.getLong(8) > MAX_SEGMENT_BYTES
                || header.getInt(60) != crcOf(header.array(), 60)) {
            throw new DamagedException(name + ": the header of a packed segment is damaged");
        }
        return header;
    }

    /// Opens a file that [#pack] has written.
    ///
    /// @param name for messages
    /// @return null if the file was closed meanwhile
    /// @throws DamagedException if its header or table is not what was written
    public static <E extends IOException> PackedSegment open(
            Source<E> file, long number, long segmentBytes, String name)
            throws E, DamagedException {
        ByteBuffer header = header(file, name);
        if (header == null) {
            return null;
        }
        if (header.getLong(8) != segmentBytes || header.getLong(16) != number) {
            throw new DamagedException(
                    "%s is segment %016x of %d bytes"
                            .formatted(name, header.getLong(16), header.getLong(8)));
        }
        int chunks = chunksOf(segmentBytes);
        ByteBuffer table = ByteBuffer.allocate(chunks * ENTRY_BYTES);
        if (!file.read(HEADER_BYTES, table)) {
            return null;
        }
        if (header.getInt(28) != crcOf(table.array(), table.capacity())) {
            throw new DamagedException(name + ": the table of a packed segment is damaged");
        }
        int[] crcs = new int[chunks];
        int[] offsets = new int[chunks + 1];
        offsets[0] = HEADER_BYTES + table.capacity();
        for (int i = 0; i < chunks; i++) {
            int stored = table.getInt(i * ENTRY_BYTES);
            if (stored < 1 || stored > lengthOf(i, segmentBytes)) {
                throw new DamagedException(
                        "%s: chunk %d cannot have %d bytes".formatted(name, i, stored));
            }
            offsets[i + 1] = offsets[i] + stored;
            crcs[i] = table.getInt(i * ENTRY_BYTES + 4);
        }
        return new PackedSegment(name, segmentBytes, crcs, offsets);
    }

    /// Fills `into` with what stands in the segment there.
    ///
    /// @param zeroes reads zeroes where a chunk is damaged
    /// @return false if the file was closed meanwhile: `into` is as it was
    /// @throws DamagedException if a chunk is not what was written
    public <E extends IOException> boolean read(
            Source<E> file, long offsetBytes, ByteBuffer into, boolean zeroes)
            throws E, DamagedException {
        int begin = into.position();
        int end = into.limit();
        for (long at = offsetBytes;
                into.position() < end;
                at = offsetBytes + into.position() - begin) {
            int number = (int) (at / CHUNK_BYTES);
            int inChunk = (int) (at % CHUNK_BYTES);
            int part = Math.min(end - into.position(), lengthOf(number, segmentBytes) - inChunk);
            byte[] bytes;
            try {
                bytes = chunk(file, number);
            } catch (DamagedException e) {
                if (!zeroes) {
                    throw e;
                }
                bytes = new byte[CHUNK_BYTES];
            }
            if (bytes == null) {
                into.position(begin);
                return false;
            }
            into.put(bytes, inChunk, part);
        }
        return true;
    }

    private <E extends IOException> byte[] chunk(Source<E> file, int number)
            throws E, DamagedException {
        Chunk known = last.get(number & 1);
        if (known != null && known.number == number) {
            return known.bytes;
        }
        byte[] stored = new byte[offsets[number + 1] - offsets[number]];
        if (!file.read(offsets[number], ByteBuffer.wrap(stored))) {
            return null;
        }
        if (crcOf(stored, stored.length) != crcs[number]) {
            throw damaged(number, "its checksum differs");
        }
        int length = lengthOf(number, segmentBytes);
        byte[] bytes = stored.length == length ? stored : unpacked(stored, number, length);
        last.set(number & 1, new Chunk(number, bytes));
        return bytes;
    }

    private byte[] unpacked(byte[] stored, int number, int length) throws DamagedException {
        ZstdDecompressCtx context = CONTEXTS.poll();
        if (context == null) {
            context = new ZstdDecompressCtx();
        }
        try {
            byte[] bytes = new byte[length];
            int got = context.decompressByteArray(bytes, 0, length, stored, 0, stored.length);
            if (got != length) {
                throw damaged(number, "it holds %d bytes, not %d".formatted(got, length));
            }
            return bytes;
        } catch (ZstdException e) {
            throw damaged(number, e.getMessage());
        } finally {
            CONTEXTS.add(context);
        }
    }

    private DamagedException damaged(int number, String why) {
        return new DamagedException(
                "%s is damaged in byte %d to %d: %s"
                        .formatted(name, offsets[number], offsets[number + 1], why));
    }

    // ---- packing
    // ---------------------------------------------------------------------------------------------

    /// Writes a segment packed, unless that saves less than an eighth of it. Not durable before the
    /// sink is synced.
    ///
    /// @param segment what is packed; nobody writes to it any more
    /// @return bytes of the file, or empty: then what was written to the sink means nothing
    static <E extends IOException> Optional<Long> pack(
            Source<E> segment, long number, long segmentBytes, Sink to) throws E, DeviceException {
        long most = segmentBytes / 8 * 7;
        int chunks = chunksOf(segmentBytes);
        // Direct ones: no garbage collection waits for a thread that gives way to all others.
        ByteBuffer raw = ByteBuffer.allocateDirect(CHUNK_BYTES);
        ByteBuffer packed = ByteBuffer.allocateDirect(2 * CHUNK_BYTES);
        ByteBuffer again = ByteBuffer.allocateDirect(CHUNK_BYTES);
        try (var context = new ZstdCompressCtx().setLevel(LEVEL);
                var unpacking = new ZstdDecompressCtx()) {
            long sampled = 0;
            long looked = 0;
            for (int i = 0; i < chunks; i += Math.max(1, chunks / SAMPLES)) {
                int length = lengthOf(i, segmentBytes);
                if (!read(segment, i, raw.clear().limit(length))) {
                    return Optional.empty();
                }
                sampled += Math.min(length, pack(context, raw, packed));
                looked += length;
            }
            if (sampled > looked / 8 * 7) {
                return Optional.empty();
            }
            ByteBuffer table = ByteBuffer.allocate(chunks * ENTRY_BYTES);
            ByteBuffer out = ByteBuffer.allocateDirect(64 * CHUNK_BYTES);
            long at = (long) HEADER_BYTES + table.capacity();
            for (int i = 0; i < chunks; i++) {
                int length = lengthOf(i, segmentBytes);
                if (!read(segment, i, raw.clear().limit(length))) {
                    return Optional.empty();
                }
                ByteBuffer stored = raw;
                if (pack(context, raw, packed) < length) {
                    requireSame(unpacking, packed, raw, again);
                    stored = packed;
                }
                table.putInt(stored.remaining()).putInt(crcOf(stored));
                if (out.remaining() < stored.remaining()) {
                    at += drain(out, at, to);
                }
                out.put(stored);
                if (at + out.position() > most) {
                    return Optional.empty();
                }
            }
            at += drain(out, at, to);
            to.write(HEADER_BYTES, table.flip());
            to.write(0, header(number, segmentBytes, crcOf(table.array(), table.capacity())));
            return Optional.of(at);
        }
    }

    /// @param into its limit is at the chunk's end
    private static <E extends IOException> boolean read(
            Source<E> segment, int chunk, ByteBuffer into) throws E {
        boolean read = segment.read((long) chunk * CHUNK_BYTES, into);
        into.flip();
        return read;
    }

    private static int pack(ZstdCompressCtx context, ByteBuffer raw, ByteBuffer into) {
        into.clear();
        int size =
                context.compressDirectByteBuffer(into, 0, into.capacity(), raw, 0, raw.remaining());
        into.limit(size);
        return size;
    }

    /// What is packed takes the place of the only copy, so it is unpacked once.
    private static void requireSame(
            ZstdDecompressCtx context, ByteBuffer packed, ByteBuffer raw, ByteBuffer again)
            throws DeviceException {
        int size =
                context.decompressDirectByteBuffer(
                        again, 0, again.capacity(), packed, 0, packed.remaining());
        if (!again.clear().limit(size).equals(raw)) {
            throw new DeviceException(
                    0, "what was compressed is another when it is decompressed: test the memory");
        }
    }

    private static int crcOf(ByteBuffer bytes) {
        CRC32C crc = new CRC32C();
        crc.update(bytes.duplicate());
        return (int) crc.getValue();
    }

    private static int drain(ByteBuffer out, long at, Sink to) throws DeviceException {
        int length = out.flip().remaining();
        to.write(at, out);
        out.clear();
        return length;
    }

    private static ByteBuffer header(long number, long segmentBytes, int tableCrc) {
        ByteBuffer header = ByteBuffer.allocate(HEADER_BYTES);
        header.putInt(MAGIC).putInt(VERSION).putLong(segmentBytes).putLong(number);
        header.putInt(CHUNK_BYTES).putInt(tableCrc);
        header.putInt(60, crcOf(header.array(), 60));
        return header.clear();
    }

    private static int chunksOf(long segmentBytes) {
        return Math.toIntExact((segmentBytes + CHUNK_BYTES - 1) / CHUNK_BYTES);
    }

    private static int lengthOf(int chunk, long segmentBytes) {
        return (int) Math.min(CHUNK_BYTES, segmentBytes - (long) chunk * CHUNK_BYTES);
    }

    private static int crcOf(byte[] bytes, int length) {
        CRC32C crc = new CRC32C();
        crc.update(bytes, 0, length);
        return (int) crc.getValue();
    }

    /// What was read is not what was written there.
    public static final class DamagedException extends DeviceException {
        private static final long serialVersionUID = 1;

        public DamagedException(String message) {
            super(0, message);
        }
    }
}
