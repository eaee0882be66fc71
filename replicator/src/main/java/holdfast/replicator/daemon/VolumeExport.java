package holdfast.replicator.daemon;

import holdfast.replicator.nbd.Errno;
import holdfast.replicator.nbd.Export;
import holdfast.replicator.nbd.ExportException;
import holdfast.replicator.nbd.Extent;
import holdfast.replicator.nbd.Payload;
import holdfast.replicator.nbd.Reply;
import holdfast.tunnel.wire.AddressSpace;
import holdfast.tunnel.wire.AddressSpace.Run;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Supplier;

/// One volume of several, as clients see it: its offsets are turned into addresses of the export
/// that has all of them. A request over the end of a segment, which there is only after a growth,
/// is split there before its pieces are numbered (R6).
final class VolumeExport implements Export {
    private final String name;
    private final int volume;
    private final Export all;
    private final Supplier<AddressSpace> space;
    private final Flush flush;

    /// Makes durable what was written to the volume that has this address.
    @FunctionalInterface
    interface Flush {
        void flush(long address, Reply reply);
    }

    private VolumeExport(
            String name, int volume, Export all, Supplier<AddressSpace> space, Flush flush) {
        this.name = name;
        this.volume = volume;
        this.all = all;
        this.space = space;
        this.flush = flush;
    }

    /// An export for each volume. That of volume 0 has the name of the resource.
    ///
    /// @param suffix what follows the name of each, like `@latest`
    static List<Export> all(
            String resource, String suffix, Export all, Supplier<AddressSpace> space, Flush flush) {
        List<Export> exports = new ArrayList<>();
        for (int i = 0; i < space.get().volumes(); i++) {
            exports.add(new VolumeExport(name(resource, i) + suffix, i, all, space, flush));
        }
        return exports;
    }

    /// What a client asks for, without a suffix.
    static String name(String resource, int volume) {
        return volume == 0 ? resource : resource + "/" + volume;
    }

    /// For people: the resource, or which volume of it where there are several.
    static String words(String resource, int volume, AddressSpace space) {
        return space.hasSeveral() ? "volume %d of %s".formatted(volume, resource) : resource;
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public String description() {
        return "volume %d, %s".formatted(volume, all.description());
    }

    @Override
    public long sizeBytes() {
        return space.get().volumeBytes(volume);
    }

    @Override
    public boolean readOnly() {
        return all.readOnly();
    }

    @Override
    public void opened() throws ExportException {
        all.opened();
    }

    @Override
    public void closed() {
        all.closed();
    }

    @Override
    public void roundEnded() {
        all.roundEnded();
    }

    private List<Run> runs(long offsetBytes, long lengthBytes) {
        return space.get().runs(volume, offsetBytes, lengthBytes);
    }

    @Override
    public void read(long offsetBytes, ByteBuffer into) throws ExportException {
        int limit = into.limit();
        for (Run run : runs(offsetBytes, into.remaining())) {
            into.limit(into.position() + Math.toIntExact(run.lengthBytes()));
            all.read(run.addressBytes(), into);
        }
        into.limit(limit);
    }

    @Override
    public void write(Payload payload, long offsetBytes, boolean fua, Reply reply) {
        List<Run> runs = runs(offsetBytes, payload.data().limit());
        if (runs.size() == 1) {
            all.write(payload, runs.getFirst().addressBytes(), fua, reply);
            return;
        }
        Reply each = new Together(reply, runs.size());
        int from = 0;
        for (Run run : runs) {
            int length = Math.toIntExact(run.lengthBytes());
            all.write(payload.part(from, length), run.addressBytes(), fua, each);
            from += length;
        }
        payload.release();
    }

    @Override
    public void writeZeroes(
            long offsetBytes, long lengthBytes, boolean noHole, boolean fua, Reply reply) {
        List<Run> runs = runs(offsetBytes, lengthBytes);
        Reply each = new Together(reply, runs.size());
        for (Run run : runs) {
            all.writeZeroes(run.addressBytes(), run.lengthBytes(), noHole, fua, each);
        }
    }

    @Override
    public void trim(long offsetBytes, long lengthBytes, boolean fua, Reply reply) {
        List<Run> runs = runs(offsetBytes, lengthBytes);
        Reply each = new Together(reply, runs.size());
        for (Run run : runs) {
            all.trim(run.addressBytes(), run.lengthBytes(), fua, each);
        }
    }

    @Override
    public void flush(Reply reply) {
        flush.flush(runs(0, 1).getFirst().addressBytes(), reply);
    }

    /// Of the first run alone; the client asks again for the rest.
    @Override
    public List<Extent> blockStatus(long offsetBytes, long lengthBytes, int maxExtents)
            throws ExportException {
        Run first = runs(offsetBytes, lengthBytes).getFirst();
        return all.blockStatus(first.addressBytes(), first.lengthBytes(), maxExtents);
    }

    /// One answer for the pieces of a request, after the last, with the first error.
    private static final class Together implements Reply {
        private final Reply reply;
        private final AtomicInteger left;
        private final AtomicInteger errno = new AtomicInteger(Errno.OK);

        Together(Reply reply, int pieces) {
            this.reply = reply;
            this.left = new AtomicInteger(pieces);
        }

        @Override
        public void done(int result) {
            if (result != Errno.OK) {
                errno.compareAndSet(Errno.OK, result);
            }
            if (left.decrementAndGet() == 0) {
                reply.done(errno.get());
            }
        }
    }
}
