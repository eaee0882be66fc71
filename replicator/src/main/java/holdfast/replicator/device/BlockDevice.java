package holdfast.replicator.device;

import java.nio.ByteBuffer;

/// What holds a resource's data: plain raw bytes of a fixed size. A port: the simulator has its
/// own.
///
/// Any thread may call any method; calls that overlap in range are ordered by the caller (R5).
/// Offsets and lengths are bytes and need no alignment; outside the device they throw
/// [IndexOutOfBoundsException], which is a bug of the caller. After [#close] all but `close` throw
/// [IllegalStateException].
///
/// Threads that call it need not fear an interrupt: no method reacts to one.
public interface BlockDevice extends AutoCloseable {
    /// Size when it was opened.
    long sizeBytes();

    /// The unit of the device underneath, a power of two: 512 to 4096 as a rule. Smaller requests
    /// work and cost it a read.
    int logicalBlockBytes();

    /// Fills `into` from its position to its limit, or throws; its position is then the limit.
    void read(long offsetBytes, ByteBuffer into) throws DeviceException;

    /// Writes what remains of all `parts`, one after the other, or throws; then an unknown part of
    /// it may have been written. Each position is then the limit. Not durable before [#sync].
    void write(long offsetBytes, ByteBuffer... parts) throws DeviceException;

    /// Makes the range read as zero at once.
    ///
    /// @param punch whether the space may be given back, so that a later write there may fail with
    ///   ENOSPC
    void zero(long offsetBytes, long lengthBytes, boolean punch) throws DeviceException;

    /// Makes durable every write that had returned when this was called.
    ///
    /// A failure is final: the kernel has dropped pages it could not write, and says so only once.
    /// From then on each `write`, `zero` and `sync` throws the same error; reading goes on, because
    /// the rest of the data may be wanted. Only opening it anew ends that, and R11 says when.
    void sync() throws DeviceException;

    /// Why nothing more is written, null as long as no sync has failed.
    DeviceException syncFailure();

    /// As [#sync], of what was written to the volume that this offset lies in; of others it need
    /// not be.
    default void sync(long offsetBytes) throws DeviceException {
        sync();
    }

    /// The first offset at or after this one that may hold data, or [#sizeBytes]. What lies between
    /// reads as zero. Where nothing is known about holes, the offset itself.
    long nextData(long offsetBytes) throws DeviceException;

    /// The first offset at or after this one from which on it reads as zero without holding data,
    /// or [#sizeBytes].
    long nextHole(long offsetBytes) throws DeviceException;

    /// Whether `zero` with `punch` gives space back and is cheap. Where it is not, a trim is
    /// ignored, on both sides alike (R6): whatever the device itself does on discard need not read
    /// as zero.
    boolean discardZeroes();

    /// Twice is harmless. Does not sync.
    @Override
    void close();
}
