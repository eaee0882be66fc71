package holdfast.replicator.device;

import holdfast.replicator.metadata.CorruptFormatException;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.UUID;
import java.util.zip.CRC32C;

/// One small value that survives a power cut in the middle of being replaced: two slots, written in
/// turn, of which the newest whole one counts. Integers are big-endian; docs/on-disk-format.md has
/// the same table.
///
/// The file is two slots of equal size, a multiple of 4096 bytes, and takes its space when it is
/// created. A slot:
///
/// | offset | bytes | field        | meaning                                                     |
/// |-------:|------:|--------------|-------------------------------------------------------------|
/// |      0 |     4 | magic        | `0x48465453`, "HFTS"                                        |
/// |      4 |     2 | version      | [#VERSION]                                                  |
/// |      6 |     2 | reserved     | zero                                                        |
/// |      8 |    16 | owner        | id of the resource or node whose value it is                |
/// |     24 |     8 | counter      | one more with each write; slot 0 holds the even ones         |
/// |     32 |     8 | address      | offset of this slot in the file                             |
/// |     40 |     4 | contentBytes | length of the value                                         |
/// |     44 |     4 | contentCrc   | CRC-32C of the value                                        |
/// |     48 |     4 | slotBytes    | size of a slot, half that of the file                       |
/// |     52 |     8 | reserved     | zero                                                        |
/// |     60 |     4 | headerCrc    | CRC-32C of bytes 0 to 59                                    |
/// |     64 |       | content      | the value; what follows it in the slot has no meaning        |
///
/// One thread at a time; the owner of the value has a lock or a thread of its own.
///
/// @param <T> the value, whose `equals` compares content
public final class TwoSlotFile<T> implements AutoCloseable {
    static final int VERSION = 1;
    static final int HEADER_BYTES = 64;

    private static final int MAGIC = 0x48465453;
    private static final int SLOT_UNIT_BYTES = 4096;

    /// A slot is read into memory whole, so its size has a limit.
    private static final int SLOT_MAX_BYTES = 64 << 20;

    /// Bytes of a value and back; pure.
    public interface Codec<T> {
        /// @return all that remains in it
        ByteBuffer encode(T value);

        /// Reads all that remains.
        ///
        /// @throws IllegalArgumentException if it is no such value
        T decode(ByteBuffer in);
    }

    private sealed interface Slot {
        /// `content` is a view of what was read.
        record Whole(long counter, ByteBuffer content) implements Slot {}

        /// Torn, or damaged since.
        record Broken(long offsetBytes, String expected, String found) implements Slot {
            CorruptFormatException exception(String file) {
                return new CorruptFormatException(file, offsetBytes, expected, found);
            }
        }
    }

    private final RawFile file;
    private final int slotBytes;
    private final UUID owner;
    private final Codec<T> codec;
    private final String damage;

    private T value;
    private long counter;
    private DeviceException syncFailure;

    private TwoSlotFile(
            RawFile file,
            int slotBytes,
            UUID owner,
            Codec<T> codec,
            T value,
            long counter,
            String damage) {
        this.file = file;
        this.slotBytes = slotBytes;
        this.owner = owner;
        this.codec = codec;
        this.value = value;
        this.counter = counter;
        this.damage = damage;
    }

    /// Makes the file, with both slots holding `initial`, durably. It must not exist yet.
    ///
    /// @param maxBytes the longest value it will ever have to take
    public static <T> TwoSlotFile<T> create(
            Path path, UUID owner, int maxBytes, Codec<T> codec, T initial) throws DeviceException {
        int slotBytes = Math.ceilDiv(maxBytes + HEADER_BYTES, SLOT_UNIT_BYTES) * SLOT_UNIT_BYTES;
        if (maxBytes < 0 || slotBytes > SLOT_MAX_BYTES) {
            throw new IllegalArgumentException("a value of " + maxBytes + " bytes");
        }
        String target = path.toAbsolutePath().toString();
        String temporary = target + ".tmp";
        if (path.toFile().exists()) {
            throw new DeviceException(Errno.EEXIST, target + " cannot be made");
        }
        Native.unlink(temporary);
        RawFile file =
                RawFile.open(temporary, Native.O_RDWR | Native.O_CREAT | Native.O_EXCL, 0600);
        try {
            // Written and not just allocated, so that no later write has to change the file's
            // extents.
            file.writeZeroes(0, 2L * slotBytes);
            var made = new TwoSlotFile<>(file, slotBytes, owner, codec, initial, 0, null);
            made.write(initial);
            made.write(initial);
            file.rename(target);
            RawFile.syncDirectory(path.toAbsolutePath().getParent().toString());
            return made;
        } catch (DeviceException | RuntimeException e) {
            file.close();
            Native.unlink(temporary);
            throw e;
        }
    }

    /// Opens what [#create] made and reads the newest whole value.
    ///
    /// @throws CorruptFormatException if no slot is whole, or one is whole but of another owner or
    ///   a version this program does not know
    public static <T> TwoSlotFile<T> open(Path path, UUID owner, Codec<T> codec)
            throws DeviceException, CorruptFormatException {
        RawFile file = RawFile.open(path.toAbsolutePath().toString(), Native.O_RDWR, 0);
        try {
            // A value that a killed daemon wrote and did not sync is read back, and the next write
            // goes over the one before it: after a power cut neither would be there. So it is made
            // durable first, and what a failed sync left in memory alone is not read.
            file.sync();
            file.dropCache();
            return open(file, owner, codec);
        } catch (DeviceException | CorruptFormatException | RuntimeException e) {
            file.close();
            throw e;
        }
    }

    /// What the file says, for whoever only looks, and perhaps not its owner.
    ///
    /// @param slot of the newest whole value
    /// @param damage as [#damage]
    public record Seen<T>(T value, long counter, int slot, String damage) {}

    /// Reads what [#open] would, and changes nothing.
    public static <T> Seen<T> look(Path path, UUID owner, Codec<T> codec)
            throws DeviceException, CorruptFormatException {
        RawFile file = RawFile.open(path.toAbsolutePath().toString(), Native.O_RDONLY, 0);
        try {
            TwoSlotFile<T> it = open(file, owner, codec);
            return new Seen<>(it.value, it.counter, (int) (it.counter % 2), it.damage);
        } finally {
            file.close();
        }
    }

    /// The same of whomever it belongs to.
    public static <T> Seen<T> look(Path path, Codec<T> codec)
            throws DeviceException, CorruptFormatException {
        return look(path, null, codec);
    }

    /// @param owner null for anybody
    private static <T> TwoSlotFile<T> open(RawFile file, UUID owner, Codec<T> codec)
            throws DeviceException, CorruptFormatException {
        long sizeBytes = file.sizeBytes();
        if (sizeBytes == 0
                || sizeBytes % (2 * SLOT_UNIT_BYTES) != 0
                || sizeBytes > 2L * SLOT_MAX_BYTES) {
            throw new CorruptFormatException(
                    file.name(), 0, "two slots of n * 4096 bytes", sizeBytes + " bytes");
        }
        int slotBytes = (int) (sizeBytes / 2);
        var slots = new Slot[2];
        for (int i = 0; i < 2; i++) {
            ByteBuffer bytes = ByteBuffer.allocate(slotBytes);
            file.read((long) i * slotBytes, bytes);
            slots[i] = decode(bytes.flip(), i, owner, file.name());
        }
        if (slots[0] instanceof Slot.Broken broken && slots[1] instanceof Slot.Broken) {
            throw broken.exception(file.name());
        }
        Slot.Whole newest = null;
        String damage = null;
        for (Slot slot : slots) {
            switch (slot) {
                case Slot.Whole whole -> {
                    if (newest == null || whole.counter > newest.counter) {
                        newest = whole;
                    }
                }
                case Slot.Broken broken -> damage = broken.exception(file.name()).getMessage();
            }
        }
        T value;
        try {
            value = codec.decode(newest.content);
        } catch (IllegalArgumentException e) {
            var corrupt =
                    new CorruptFormatException(
                            file.name(),
                            newest.counter % 2 * slotBytes + HEADER_BYTES,
                            "a value",
                            e.getMessage());
            corrupt.initCause(e);
            throw corrupt;
        }
        return new TwoSlotFile<>(file, slotBytes, owner, codec, value, newest.counter, damage);
    }

    /// The value as it was read or last written.
    public T value() {
        return value;
    }

    /// How often it was written; a peer that has seen a higher one knows of a rollback.
    public long counter() {
        return counter;
    }

    /// Whether it takes nothing any more; open it anew.
    public boolean isFailed() {
        return syncFailure != null;
    }

    /// What is wrong with the other slot, or null. After a power cut that is a write that was never
    /// acknowledged; without one it is a worn medium, and the value may be the one before the last.
    public String damage() {
        return damage;
    }

    /// Makes the value durable, in place of the one before the present one.
    ///
    /// @throws DeviceException and then the present value stays; if it came from the sync it is
    ///   final
    public void write(T next) throws DeviceException {
        if (syncFailure != null) {
            throw new DeviceException(
                    syncFailure.errno(),
                    file.name() + " takes no more writes since it could not be made durable",
                    syncFailure);
        }
        ByteBuffer content = codec.encode(next);
        if (content.remaining() > slotBytes - HEADER_BYTES) {
            throw new IllegalArgumentException(
                    "%s: a value of %d bytes, at most %d"
                            .formatted(file.name(), content.remaining(), slotBytes - HEADER_BYTES));
        }
        int slot = (int) ((counter + 1) % 2);
        ByteBuffer bytes = encode(owner, counter + 1, slot, slotBytes, content);
        requireReadable(bytes, slot, next);
        file.write((long) slot * slotBytes, bytes);
        try {
            file.sync();
        } catch (DeviceException e) {
            syncFailure = e;
            throw e;
        }
        counter++;
        value = next;
    }

    /// What is about to be written is decoded again and compared: a codec that is wrong must not
    /// cost what is on disk.
    private void requireReadable(ByteBuffer bytes, int slot, T next) {
        try {
            Slot again = decode(bytes.duplicate(), slot, owner, file.name(), slotBytes);
            if (again instanceof Slot.Whole whole && codec.decode(whole.content).equals(next)) {
                return;
            }
        } catch (CorruptFormatException | IllegalArgumentException e) {
            throw new IllegalStateException(file.name() + ": this could not be read again", e);
        }
        throw new IllegalStateException(file.name() + ": this would be read as something else");
    }

    private static ByteBuffer encode(
            UUID owner, long counter, int slot, int slotBytes, ByteBuffer content) {
        ByteBuffer out = ByteBuffer.allocate(HEADER_BYTES + content.remaining());
        out.putInt(MAGIC).putShort((short) VERSION).putShort((short) 0);
        out.putLong(owner.getMostSignificantBits()).putLong(owner.getLeastSignificantBits());
        out.putLong(counter).putLong((long) slot * slotBytes);
        out.putInt(content.remaining()).putInt(crc(content)).putInt(slotBytes);
        out.putInt(60, crc(out.slice(0, 60)));
        return out.position(HEADER_BYTES).put(content.duplicate()).flip();
    }

    private static Slot decode(ByteBuffer in, int slot, UUID owner, String file)
            throws CorruptFormatException {
        return decode(in, slot, owner, file, in.remaining());
    }

    private static Slot decode(ByteBuffer in, int slot, UUID owner, String file, int slotBytes)
            throws CorruptFormatException {
        long address = (long) slot * slotBytes;
        if (in.getInt(0) != MAGIC) {
            return new Slot.Broken(
                    address, "%08x".formatted(MAGIC), "%08x".formatted(in.getInt(0)));
        }
        if (in.getInt(60) != crc(in.slice(0, 60))) {
            return new Slot.Broken(
                    address + 60,
                    "checksum %08x".formatted(crc(in.slice(0, 60))),
                    "%08x".formatted(in.getInt(60)));
        }
        // From here on the header is as somebody wrote it: what differs is no torn write.
        if (in.getShort(4) != VERSION || in.getShort(6) != 0 || in.getLong(52) != 0) {
            throw new CorruptFormatException(
                    file,
                    address + 4,
                    "version " + VERSION,
                    "version %d or a field not known here".formatted(in.getShort(4)));
        }
        if (in.getInt(48) != slotBytes) {
            throw new CorruptFormatException(
                    file,
                    address + 48,
                    "a file of %d bytes".formatted(2L * in.getInt(48)),
                    "%d bytes".formatted(2L * slotBytes));
        }
        UUID found = new UUID(in.getLong(8), in.getLong(16));
        if (owner != null && !found.equals(owner)) {
            throw new CorruptFormatException(
                    file, address + 8, "a value of " + owner, "one of " + found);
        }
        long counter = in.getLong(24);
        if (in.getLong(32) != address || counter % 2 != slot) {
            return new Slot.Broken(
                    address + 32,
                    "address " + address,
                    "address %d, counter %d".formatted(in.getLong(32), counter));
        }
        int contentBytes = in.getInt(40);
        if (contentBytes < 0 || contentBytes > in.limit() - HEADER_BYTES) {
            return new Slot.Broken(
                    address + 40,
                    "at most %d bytes".formatted(in.limit() - HEADER_BYTES),
                    contentBytes + " bytes");
        }
        ByteBuffer content = in.slice(HEADER_BYTES, contentBytes).asReadOnlyBuffer();
        if (in.getInt(44) != crc(content)) {
            return new Slot.Broken(
                    address + 44,
                    "checksum %08x".formatted(crc(content)),
                    "%08x".formatted(in.getInt(44)));
        }
        return new Slot.Whole(counter, content);
    }

    private static int crc(ByteBuffer bytes) {
        var crc = new CRC32C();
        crc.update(bytes.duplicate());
        return (int) crc.getValue();
    }

    @Override
    public void close() {
        file.close();
    }
}
