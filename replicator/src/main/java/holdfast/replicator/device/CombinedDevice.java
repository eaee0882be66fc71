package holdfast.replicator.device;

import holdfast.tunnel.wire.AddressSpace;
import holdfast.tunnel.wire.AddressSpace.Place;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/// Several volumes as one device, whose offsets are the addresses of an [AddressSpace]. What lies
/// in a gap reads as zero, and what is written there is dropped.
///
/// They share one fate: after a sync of one has failed none takes writes any more.
final class CombinedDevice implements BlockDevice {
    private static final ByteBuffer ZEROES =
            ByteBuffer.allocateDirect(128 << 10).asReadOnlyBuffer();

    private final List<? extends BlockDevice> volumes;
    private volatile AddressSpace space;

    /// @param volumes each at least as large as in `space`
    CombinedDevice(List<? extends BlockDevice> volumes, AddressSpace space) {
        if (volumes.size() != space.volumes()) {
            throw new IllegalArgumentException(
                    "%d devices for %d volumes".formatted(volumes.size(), space.volumes()));
        }
        this.volumes = List.copyOf(volumes);
        this.space = space;
    }

    /// The volumes have these sizes from now on.
    void grow(AddressSpace larger) {
        if (!space.growsTo(larger)) {
            throw new IllegalArgumentException(
                    "%s does not grow to %s".formatted(space.text(), larger.text()));
        }
        space = larger;
    }

    @Override
    public long sizeBytes() {
        return space.sizeBytes();
    }

    @Override
    public int logicalBlockBytes() {
        return volumes.stream().mapToInt(BlockDevice::logicalBlockBytes).max().orElseThrow();
    }

    @Override
    public boolean discardZeroes() {
        return volumes.stream().allMatch(BlockDevice::discardZeroes);
    }

    private interface Piece {
        /// @param fromBytes in the whole range
        void at(Place place, long fromBytes, long lengthBytes) throws DeviceException;
    }

    /// The pieces of a range, each in one volume or a gap.
    private void each(long offsetBytes, long lengthBytes, Piece piece) throws DeviceException {
        AddressSpace now = space;
        Objects.checkFromIndexSize(offsetBytes, lengthBytes, now.sizeBytes());
        for (long done = 0; done < lengthBytes; ) {
            Place place = now.at(offsetBytes + done);
            long length = Math.min(lengthBytes - done, place.leftBytes());
            piece.at(place, done, length);
            done += length;
        }
    }

    private static boolean isGap(Place place) {
        return place.volume() == AddressSpace.GAP;
    }

    @Override
    public void read(long offsetBytes, ByteBuffer into) throws DeviceException {
        int begin = into.position();
        int limit = into.limit();
        each(
                offsetBytes,
                into.remaining(),
                (place, from, length) -> {
                    into.limit(begin + Math.toIntExact(from + length));
                    if (isGap(place)) {
                        while (into.hasRemaining()) {
                            into.put(
                                    ZEROES.slice(0, Math.min(ZEROES.capacity(), into.remaining())));
                        }
                    } else {
                        volumes.get(place.volume()).read(place.offsetBytes(), into);
                    }
                });
        into.limit(limit);
    }

    @Override
    public void write(long offsetBytes, ByteBuffer... parts) throws DeviceException {
        requireSynced();
        long lengthBytes = 0;
        for (ByteBuffer part : parts) {
            lengthBytes += part.remaining();
        }
        each(
                offsetBytes,
                lengthBytes,
                (place, from, length) -> {
                    ByteBuffer[] here = next(parts, length);
                    if (!isGap(place)) {
                        volumes.get(place.volume()).write(place.offsetBytes(), here);
                    }
                });
    }

    /// Windows on the next bytes of `parts`, which are stepped past.
    private static ByteBuffer[] next(ByteBuffer[] parts, long lengthBytes) {
        List<ByteBuffer> windows = new ArrayList<>();
        long left = lengthBytes;
        for (ByteBuffer part : parts) {
            int length = Math.toIntExact(Math.min(left, part.remaining()));
            if (length > 0) {
                windows.add(part.slice(part.position(), length));
                part.position(part.position() + length);
                left -= length;
            }
        }
        return windows.toArray(ByteBuffer[]::new);
    }

    @Override
    public void zero(long offsetBytes, long lengthBytes, boolean punch) throws DeviceException {
        requireSynced();
        each(
                offsetBytes,
                lengthBytes,
                (place, _, length) -> {
                    if (!isGap(place)) {
                        volumes.get(place.volume()).zero(place.offsetBytes(), length, punch);
                    }
                });
    }

    @Override
    public void sync() throws DeviceException {
        for (BlockDevice each : volumes) {
            sync(each);
        }
    }

    @Override
    public void sync(long offsetBytes) throws DeviceException {
        sync(volumes.get(space.at(offsetBytes).volume()));
    }

    private void sync(BlockDevice volume) throws DeviceException {
        requireSynced();
        volume.sync();
    }

    private void requireSynced() throws DeviceException {
        DeviceException failure = syncFailure();
        if (failure != null) {
            throw new DeviceException(
                    failure.errno(),
                    "nothing more is written since a volume could not be made durable: "
                            + failure.getMessage(),
                    failure);
        }
    }

    /// Of any of them: the others would go on to a moment that it never has.
    @Override
    public DeviceException syncFailure() {
        for (BlockDevice each : volumes) {
            if (each.syncFailure() != null) {
                return each.syncFailure();
            }
        }
        return null;
    }

    @Override
    public long nextData(long offsetBytes) throws DeviceException {
        AddressSpace now = space;
        long end = now.sizeBytes();
        Objects.checkIndex(offsetBytes, end + 1);
        for (long at = offsetBytes; at < end; ) {
            Place place = now.at(at);
            if (!isGap(place)) {
                long data =
                        volumes.get(place.volume()).nextData(place.offsetBytes())
                                - place.offsetBytes();
                if (data < place.leftBytes()) {
                    return at + data;
                }
            }
            at += place.leftBytes();
        }
        return end;
    }

    @Override
    public long nextHole(long offsetBytes) throws DeviceException {
        AddressSpace now = space;
        long end = now.sizeBytes();
        Objects.checkIndex(offsetBytes, end + 1);
        for (long at = offsetBytes; at < end; ) {
            Place place = now.at(at);
            if (isGap(place)) {
                return at;
            }
            long hole =
                    volumes.get(place.volume()).nextHole(place.offsetBytes()) - place.offsetBytes();
            if (hole < place.leftBytes()) {
                return at + hole;
            }
            at += place.leftBytes();
        }
        return end;
    }

    @Override
    public void close() {
        volumes.forEach(BlockDevice::close);
    }
}
