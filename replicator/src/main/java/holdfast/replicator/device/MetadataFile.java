package holdfast.replicator.device;

import holdfast.replicator.metadata.MetadataLayout;
import holdfast.replicator.state.PageMemory;
import holdfast.replicator.state.Transaction;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;

/// The file in which a primary keeps its activity log and the bitmap of its peer, see
/// [MetadataLayout]. All its space is taken when it is made, so that no disk that is full can keep
/// a write from being tracked.
///
/// One thread at a time. A failed write or sync is final: nothing more is written.
public final class MetadataFile implements AutoCloseable {
    private final RawFile file;
    private MetadataLayout layout;
    private volatile DeviceException failure;

    private MetadataFile(RawFile file, MetadataLayout layout) {
        this.file = file;
        this.layout = layout;
    }

    /// Makes the file, durably. A crash before its end leaves no file of this name.
    public static MetadataFile create(Path path, MetadataLayout layout, Transaction first)
            throws DeviceException {
        String target = path.toAbsolutePath().toString();
        String unfinished = target + ".tmp";
        Native.unlink(unfinished);
        RawFile file =
                RawFile.open(unfinished, Native.O_RDWR | Native.O_CREAT | Native.O_EXCL, 0600);
        try {
            long slotsBytes = layout.pagesOffsetBytes();
            long pagesBytes = layout.fileBytes() - slotsBytes;
            if (!file.fallocate(0, slotsBytes, pagesBytes)) {
                file.writeZeroes(slotsBytes, pagesBytes);
            }
            // All slots are written and not just allocated: a transaction then changes no file
            // system's metadata.
            for (MetadataLayout.Piece piece : layout.beginning(first)) {
                file.write(piece.offsetBytes(), piece.data());
            }
            file.sync();
            file.rename(target);
            RawFile.syncDirectory(path.toAbsolutePath().getParent().toString());
            return new MetadataFile(file, layout);
        } catch (DeviceException e) {
            file.close();
            Native.unlink(unfinished);
            throw new DeviceException(
                    e.errno(),
                    "no room for the metadata of %d bytes, %s"
                            .formatted(layout.fileBytes(), target),
                    e);
        }
    }

    public static MetadataFile open(Path path, MetadataLayout layout) throws DeviceException {
        RawFile file = RawFile.open(path.toAbsolutePath().toString(), Native.O_RDWR, 0);
        try {
            requireSize(file, layout);
            // What a killed daemon wrote and did not sync is taken for durable from here on, and
            // what a failed sync left in memory alone is not.
            file.sync();
            file.dropCache();
            return new MetadataFile(file, layout);
        } catch (DeviceException e) {
            file.close();
            throw e;
        }
    }

    /// Takes the space for the pages of a larger device, durably. Until [#grown] it means nothing.
    ///
    /// @throws DeviceException if there is none; nothing has changed then
    public synchronized void makeRoom(MetadataLayout larger) throws DeviceException {
        long from = file.sizeBytes();
        if (larger.fileBytes() > from) {
            if (!file.fallocate(0, from, larger.fileBytes() - from)) {
                file.writeZeroes(from, larger.fileBytes() - from);
            }
            try {
                file.syncAll();
            } catch (DeviceException e) {
                // The error may be that of a transaction's page.
                failure = e;
                throw e;
            }
        }
    }

    /// The device is larger from now on. Between two transactions, after [#makeRoom].
    public void grown(MetadataLayout larger) {
        layout = larger;
    }

    /// What the file says, for whoever only looks, and perhaps not its owner.
    ///
    /// @param isOneMoment no transaction became durable while it was read
    public record Seen(MetadataLayout.Recovered recovered, boolean isOneMoment) {}

    /// Reads what [#recover] would, and changes nothing.
    public static Seen look(Path path, MetadataLayout layout) throws IOException {
        RawFile file = RawFile.open(path.toAbsolutePath().toString(), Native.O_RDONLY, 0);
        try {
            requireSize(file, layout);
            MetadataLayout.Source source = source(file, layout);
            long before = layout.newestTransaction(source);
            MetadataLayout.Recovered recovered = layout.recover(source);
            return new Seen(recovered, layout.newestTransaction(source) == before);
        } finally {
            file.close();
        }
    }

    /// Whether it takes nothing any more; open it anew.
    public boolean isFailed() {
        return failure != null;
    }

    /// Whoever still writes, and hangs in it, is not waited for: nothing more is written. Any
    /// thread.
    public void abandon() {
        failure = new DeviceException(0, "the resource was detached");
    }

    /// Reads back what is known.
    ///
    /// @param memory as for [MetadataLayout#recover]
    public MetadataLayout.Recovered recover(PageMemory memory) throws IOException {
        return layout.recover(source(file, layout), memory);
    }

    private static MetadataLayout.Source source(RawFile file, MetadataLayout layout) {
        return new MetadataLayout.Source() {
            @Override
            public void read(long offsetBytes, ByteBuffer into) throws DeviceException {
                file.read(offsetBytes, into);
            }

            @Override
            public long nextData(long offsetBytes) throws DeviceException {
                return file.seek(offsetBytes, Native.SEEK_DATA, layout.fileBytes());
            }
        };
    }

    private static void requireSize(RawFile file, MetadataLayout layout) throws DeviceException {
        // It is larger where room was taken for a larger device, which then was none.
        if (file.sizeBytes() < layout.fileBytes()) {
            throw new DeviceException(
                    0,
                    "%s has %d bytes, expected %d or more"
                            .formatted(file.name(), file.sizeBytes(), layout.fileBytes()));
        }
    }

    /// Carries out the transaction, but for the sync of the device, which comes first.
    ///
    /// @throws DeviceException if it may not be durable
    public synchronized void write(Transaction t) throws DeviceException {
        if (failure != null) {
            throw new DeviceException(
                    failure.errno(), "it failed before: " + failure.getMessage(), failure);
        }
        try {
            for (MetadataLayout.Piece piece : layout.pages(t)) {
                file.write(piece.offsetBytes(), piece.data());
            }
            if (!t.pages().isEmpty()) {
                file.sync();
            }
            for (MetadataLayout.Piece piece : layout.records(t)) {
                file.write(piece.offsetBytes(), piece.data());
            }
            file.sync();
        } catch (DeviceException e) {
            failure = e;
            throw e;
        }
    }

    @Override
    public void close() {
        file.close();
    }
}
