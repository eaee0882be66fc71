package holdfast.replicator.metadata;

import holdfast.replicator.state.Faults;

import java.nio.ByteBuffer;
import java.util.UUID;
import java.util.zip.CRC32C;

/// One small value that survives a power cut in the middle of being replaced: two slots, written in
/// turn, of which the newest whole one counts. What is believed, and what goes where; reading,
/// writing and syncing is for whoever has the file. Integers are big-endian; docs/on-disk-format.md
/// has the same table.
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
/// @param <T> the value, whose `equals` compares content
public final class TwoSlots<T> {
    static final int VERSION = 1;
    public static final int HEADER_BYTES = 64;

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

    private final String file;
    private final int slotBytes;
    private final UUID owner;
    private final Codec<T> codec;
    private final String damage;

    private T value;
    private long counter;

    private TwoSlots(
            String file,
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

    /// Of a new file, which holds zeroes. It is whole when `initial` was written twice.
    ///
    /// @param file its name, for messages
    /// @param maxBytes the longest value it will ever have to take
    public static <T> TwoSlots<T> create(
            String file, UUID owner, int maxBytes, Codec<T> codec, T initial) {
        int slotBytes = Math.ceilDiv(maxBytes + HEADER_BYTES, SLOT_UNIT_BYTES) * SLOT_UNIT_BYTES;
        if (maxBytes < 0 || slotBytes > SLOT_MAX_BYTES) {
            throw new IllegalArgumentException("a value of " + maxBytes + " bytes");
        }
        return new TwoSlots<>(file, slotBytes, owner, codec, initial, 0, null);
    }

    /// How large a file is that may be read into memory.
    ///
    /// @throws CorruptFormatException if one of this size is none of ours
    public static int fileBytes(String file, long sizeBytes) throws CorruptFormatException {
        if (sizeBytes == 0
                || sizeBytes % (2 * SLOT_UNIT_BYTES) != 0
                || sizeBytes > 2L * SLOT_MAX_BYTES) {
            throw new CorruptFormatException(
                    file, 0, "two slots of n * 4096 bytes", sizeBytes + " bytes");
        }
        return (int) sizeBytes;
    }

    /// Finds the newest whole value.
    ///
    /// @param all of the file, which has [#fileBytes]
    /// @param owner null for anybody's
    /// @throws CorruptFormatException if no slot is whole, or one is whole but of another owner or
    ///   a version this program does not know
    public static <T> TwoSlots<T> read(String file, ByteBuffer all, UUID owner, Codec<T> codec)
            throws CorruptFormatException {
        int slotBytes = fileBytes(file, all.remaining()) / 2;
        var slots = new Slot[2];
        for (int i = 0; i < 2; i++) {
            slots[i] = decode(all.slice(all.position() + i * slotBytes, slotBytes), i, owner, file);
        }
        if (slots[0] instanceof Slot.Broken broken && slots[1] instanceof Slot.Broken) {
            throw broken.exception(file);
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
                case Slot.Broken broken -> damage = broken.exception(file).getMessage();
            }
        }
        T value;
        try {
            value = codec.decode(newest.content);
        } catch (IllegalArgumentException e) {
            var corrupt =
                    new CorruptFormatException(
                            file,
                            newest.counter % 2 * slotBytes + HEADER_BYTES,
                            "a value",
                            e.getMessage());
            corrupt.initCause(e);
            throw corrupt;
        }
        return new TwoSlots<>(file, slotBytes, owner, codec, value, newest.counter, damage);
    }

    public int fileBytes() {
        return 2 * slotBytes;
    }

    /// The value as it was read, or as it was made durable last.
    public T value() {
        return value;
    }

    /// How often it was written; a peer that has seen a higher one knows of a rollback.
    public long counter() {
        return counter;
    }

    /// Which of the two holds it.
    public int slot() {
        return (int) (counter % 2);
    }

    /// What is wrong with the other slot, or null. After a power cut that is a write that was never
    /// acknowledged; without one it is a worn medium, and the value may be the one before the last.
    public String damage() {
        return damage;
    }

    /// What makes this the value, in place of the one before the present one, once it is written
    /// and synced: then [#durable]. Until that, or where the write fails, the present one stays,
    /// and the next goes to the same place. A failed sync is final: which of the two is there only
    /// [#read] finds out.
    public MetadataLayout.Piece next(T next) {
        ByteBuffer content = codec.encode(next);
        if (content.remaining() > slotBytes - HEADER_BYTES) {
            throw new IllegalArgumentException(
                    "%s: a value of %d bytes, at most %d"
                            .formatted(file, content.remaining(), slotBytes - HEADER_BYTES));
        }
        long number = nextCounter();
        int slot = (int) (number % 2);
        ByteBuffer bytes = encode(owner, number, slot, slotBytes, content);
        requireReadable(bytes, slot, next);
        return new MetadataLayout.Piece((long) slot * slotBytes, bytes);
    }

    /// What [#next] said was written and synced.
    public void durable(T next) {
        counter = nextCounter();
        value = next;
    }

    private long nextCounter() {
        return counter + (Faults.M98 && counter >= 2 ? 2 : 1);
    }

    /// What is about to be written is decoded again and compared: a codec that is wrong must not
    /// cost what is on disk.
    private void requireReadable(ByteBuffer bytes, int slot, T next) {
        try {
            Slot again = decode(bytes.duplicate(), slot, owner, file, slotBytes);
            if (again instanceof Slot.Whole whole && codec.decode(whole.content).equals(next)) {
                return;
            }
        } catch (CorruptFormatException | IllegalArgumentException e) {
            throw new IllegalStateException(file + ": this could not be read again", e);
        }
        throw new IllegalStateException(file + ": this would be read as something else");
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
}
