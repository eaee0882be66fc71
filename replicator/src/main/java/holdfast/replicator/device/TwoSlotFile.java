package holdfast.replicator.device;

import holdfast.replicator.metadata.CorruptFormatException;
import holdfast.replicator.metadata.MetadataLayout;
import holdfast.replicator.metadata.TwoSlots;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.UUID;

/// One small value in a file of its own that survives a power cut in the middle of being replaced:
/// [TwoSlots] says what goes where, and which of the two counts.
///
/// One thread at a time; the owner of the value has a lock or a thread of its own.
///
/// @param <T> the value, whose `equals` compares content
public final class TwoSlotFile<T> implements AutoCloseable {
    private final RawFile file;
    private final TwoSlots<T> slots;
    private DeviceException syncFailure;

    private TwoSlotFile(RawFile file, TwoSlots<T> slots) {
        this.file = file;
        this.slots = slots;
    }

    /// Makes the file, with both slots holding `initial`, durably. It must not exist yet.
    ///
    /// @param maxBytes the longest value it will ever have to take
    public static <T> TwoSlotFile<T> create(
            Path path, UUID owner, int maxBytes, TwoSlots.Codec<T> codec, T initial)
            throws DeviceException {
        String target = path.toAbsolutePath().toString();
        String temporary = target + ".tmp";
        TwoSlots<T> slots = TwoSlots.create(target, owner, maxBytes, codec, initial);
        if (path.toFile().exists()) {
            throw new DeviceException(Errno.EEXIST, target + " cannot be made");
        }
        Native.unlink(temporary);
        RawFile file =
                RawFile.open(temporary, Native.O_RDWR | Native.O_CREAT | Native.O_EXCL, 0600);
        try {
            // Written and not just allocated, so that no later write has to change the file's
            // extents.
            file.writeZeroes(0, slots.fileBytes());
            var made = new TwoSlotFile<>(file, slots);
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
    public static <T> TwoSlotFile<T> open(Path path, UUID owner, TwoSlots.Codec<T> codec)
            throws DeviceException, CorruptFormatException {
        RawFile file = RawFile.open(path.toAbsolutePath().toString(), Native.O_RDWR, 0);
        try {
            // A value that a killed daemon wrote and did not sync is read back, and the next write
            // goes over the one before it: after a power cut neither would be there. So it is made
            // durable first, and what a failed sync left in memory alone is not read.
            file.sync();
            file.dropCache();
            return new TwoSlotFile<>(file, read(file, owner, codec));
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
    public static <T> Seen<T> look(Path path, UUID owner, TwoSlots.Codec<T> codec)
            throws DeviceException, CorruptFormatException {
        RawFile file = RawFile.open(path.toAbsolutePath().toString(), Native.O_RDONLY, 0);
        try {
            TwoSlots<T> it = read(file, owner, codec);
            return new Seen<>(it.value(), it.counter(), it.slot(), it.damage());
        } finally {
            file.close();
        }
    }

    /// The same of whomever it belongs to.
    public static <T> Seen<T> look(Path path, TwoSlots.Codec<T> codec)
            throws DeviceException, CorruptFormatException {
        return look(path, null, codec);
    }

    /// @param owner null for anybody
    private static <T> TwoSlots<T> read(RawFile file, UUID owner, TwoSlots.Codec<T> codec)
            throws DeviceException, CorruptFormatException {
        ByteBuffer all = ByteBuffer.allocate(TwoSlots.fileBytes(file.name(), file.sizeBytes()));
        file.read(0, all);
        return TwoSlots.read(file.name(), all.flip(), owner, codec);
    }

    /// The value as it was read or last written.
    public T value() {
        return slots.value();
    }

    /// How often it was written; a peer that has seen a higher one knows of a rollback.
    public long counter() {
        return slots.counter();
    }

    /// Whether it takes nothing any more; open it anew.
    public boolean isFailed() {
        return syncFailure != null;
    }

    /// See [TwoSlots#damage].
    public String damage() {
        return slots.damage();
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
        MetadataLayout.Piece piece = slots.next(next);
        file.write(piece.offsetBytes(), piece.data());
        try {
            file.sync();
        } catch (DeviceException e) {
            syncFailure = e;
            throw e;
        }
        slots.durable(next);
    }

    @Override
    public void close() {
        file.close();
    }
}
