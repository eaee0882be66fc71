package holdfast.replicator.daemon;

import holdfast.replicator.state.BlockSet;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import java.util.Set;
import java.util.UUID;
import java.util.zip.CRC32C;

/// The blocks that a repair from the copy overwrites: what they held and what they are to hold. It
/// is whole and synced before the first of them is written, so that whoever goes on after a crash
/// needs no copy for that: the crash may have sent the damage there.
///
/// | offset | bytes | field     | meaning                                                     |
/// |-------:|------:|-----------|-------------------------------------------------------------|
/// |      0 |     8 | magic     | `HFREPAIR`                                                  |
/// |      8 |     4 | version   | 1                                                           |
/// |     12 |     4 | zero      |                                                             |
/// |     16 |    16 | resource  | its id                                                      |
/// |     32 |     8 | verified  | when the verification ended that found them, in ms of Unix  |
/// |     40 |     8 | sizeBytes | of the device                                               |
/// |     48 |     8 | blocks    | how many entries follow                                     |
/// |     56 |     4 | zero      |                                                             |
/// |     60 |     4 | crc       | CRC-32C of bytes 0 to 59                                    |
///
/// Each entry has 8,208 bytes: the offset in the device (8), the length (4; 4,096, of a last block
/// perhaps less), CRC-32C of the rest of the entry (4), what the block held (4,096) and what it is
/// to hold (4,096), both filled up with zeroes. Integers are big-endian.
final class RepairFile implements AutoCloseable {
    static final int HEADER_BYTES = 64;
    static final int ENTRY_BYTES = 16 + 2 * BlockSet.BLOCK_BYTES;

    private static final long MAGIC = 0x4846_5245_5041_4952L;
    private static final int VERSION = 1;

    /// @param verified when the verification ended that found the blocks
    record Header(UUID resource, Instant verified, long sizeBytes, long blocks) {}

    /// @param former what the block held, of its length
    /// @param right what it is to hold, likewise
    record Entry(long offsetBytes, byte[] former, byte[] right) {}

    private final Path path;
    private final FileChannel file;
    private Header header;

    private RepairFile(Path path, FileChannel file, Header header) {
        this.path = path;
        this.file = file;
        this.header = header;
    }

    /// A new one, without entries; what had its name is gone.
    static RepairFile create(Path path, UUID resource, Instant verified, long sizeBytes)
            throws IOException {
        Files.deleteIfExists(path);
        FileChannel file =
                FileChannel.open(
                        path,
                        Set.of(
                                StandardOpenOption.CREATE_NEW,
                                StandardOpenOption.READ,
                                StandardOpenOption.WRITE),
                        PosixFilePermissions.asFileAttribute(
                                PosixFilePermissions.fromString("rw-------")));
        return new RepairFile(path, file, new Header(resource, verified, sizeBytes, 0));
    }

    /// One that was finished by [#finish].
    ///
    /// @throws IOException also if it is damaged, or of another resource
    static RepairFile open(Path path, UUID resource) throws IOException {
        FileChannel file = FileChannel.open(path, StandardOpenOption.READ);
        try {
            ByteBuffer bytes = ByteBuffer.allocate(HEADER_BYTES);
            readFully(path, file, bytes, 0);
            if (bytes.getInt(60) != crc(bytes.array(), 0, 60)
                    || bytes.getLong() != MAGIC
                    || bytes.getInt() != VERSION
                    || bytes.getInt() != 0) {
                throw new IOException(path + " is damaged, or no file of a repair");
            }
            Header header =
                    new Header(
                            new UUID(bytes.getLong(), bytes.getLong()),
                            Instant.ofEpochMilli(bytes.getLong()),
                            bytes.getLong(),
                            bytes.getLong());
            if (bytes.getInt() != 0
                    || header.blocks < 0
                    || header.blocks > Integer.MAX_VALUE
                    || file.size() != HEADER_BYTES + header.blocks * ENTRY_BYTES) {
                throw new IOException(path + " is damaged: it has another size than it says");
            }
            if (!header.resource.equals(resource)) {
                throw new IOException(path + " is of another resource");
            }
            return new RepairFile(path, file, header);
        } catch (IOException e) {
            file.close();
            throw e;
        }
    }

    Header header() {
        return header;
    }

    void add(Entry entry) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(ENTRY_BYTES);
        bytes.putLong(entry.offsetBytes).putInt(entry.former.length);
        bytes.put(16, entry.former).put(16 + BlockSet.BLOCK_BYTES, entry.right);
        bytes.putInt(12, crcOfEntry(bytes));
        writeFully(bytes.clear(), HEADER_BYTES + header.blocks * ENTRY_BYTES);
        header = new Header(header.resource, header.verified, header.sizeBytes, header.blocks + 1);
    }

    /// It has all its entries: durable when this returns.
    void finish() throws IOException {
        file.force(true); // No header before them.
        ByteBuffer bytes = ByteBuffer.allocate(HEADER_BYTES);
        bytes.putLong(MAGIC).putInt(VERSION).putInt(0);
        bytes.putLong(header.resource.getMostSignificantBits());
        bytes.putLong(header.resource.getLeastSignificantBits());
        bytes.putLong(header.verified.toEpochMilli());
        bytes.putLong(header.sizeBytes).putLong(header.blocks).putInt(0);
        bytes.putInt(crc(bytes.array(), 0, 60));
        writeFully(bytes.flip(), 0);
        file.force(true);
    }

    Entry entry(long index) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(ENTRY_BYTES);
        readFully(path, file, bytes, HEADER_BYTES + index * ENTRY_BYTES);
        long offset = bytes.getLong();
        int length = bytes.getInt();
        if (bytes.getInt() != crcOfEntry(bytes)
                || length < 1
                || length > BlockSet.BLOCK_BYTES
                || offset < 0
                || offset % BlockSet.BLOCK_BYTES != 0
                || offset > header.sizeBytes - length) {
            throw new IOException("%s is damaged: its entry %d".formatted(path, index));
        }
        byte[] former = new byte[length];
        byte[] right = new byte[length];
        bytes.get(16, former).get(16 + BlockSet.BLOCK_BYTES, right);
        return new Entry(offset, former, right);
    }

    private static int crcOfEntry(ByteBuffer bytes) {
        CRC32C crc = new CRC32C();
        crc.update(bytes.slice(0, 12));
        crc.update(bytes.slice(16, ENTRY_BYTES - 16));
        return (int) crc.getValue();
    }

    private static int crc(byte[] bytes, int from, int length) {
        CRC32C crc = new CRC32C();
        crc.update(bytes, from, length);
        return (int) crc.getValue();
    }

    private void writeFully(ByteBuffer bytes, long at) throws IOException {
        while (bytes.hasRemaining()) {
            at += file.write(bytes, at);
        }
    }

    private static void readFully(Path path, FileChannel file, ByteBuffer bytes, long at)
            throws IOException {
        while (bytes.hasRemaining()) {
            int count = file.read(bytes, at + bytes.position());
            if (count < 0) {
                throw new EOFException(path + " is damaged: it is too short");
            }
        }
        bytes.flip();
    }

    @Override
    public void close() throws IOException {
        file.close();
    }
}
