package holdfast.replicator.state;

import java.util.List;

/// One piece of an application's write, trim or write-zeroes on its way through the sequencer (R6:
/// at most 1 MiB of payload or 64 extents; each piece has its number and is atomic).
public final class Op {
    /// Largest payload of a piece.
    public static final int MAX_DATA_BYTES = 1 << 20;

    /// Longest trim or write-zeroes of a piece: 64 extents of 4 MiB.
    public static final long MAX_ZERO_BYTES = Faults.M42 ? Long.MAX_VALUE : 64L * (4 << 20);

    /// What is kept of a piece beside its payload while it waits in the send buffer.
    static final int OVERHEAD_BYTES = 128;

    final long offsetBytes;
    final long lengthBytes;
    final boolean punch;
    private final Held data;
    private final Object owner;

    // The interval that is locked, in bytes, rounded out (R5).
    long lockFrom;
    long lockTo;
    boolean locked;

    // Set by Primary.
    boolean hasRoom;

    /// When it began to wait for room in the buffer, in nanoseconds.
    long parkedNanos;

    /// When it could go to the disk, in nanoseconds; 0 before.
    long wentNanos;

    List<BlockRun> preimages = List.of();
    long number;
    long wallMillis;

    /// When it got that, by the primary's [SteadyClock].
    long since;

    /// [SteadyClock#lagMillis] then.
    long lagMillis;

    private Op(long offsetBytes, long lengthBytes, boolean punch, Held data, Object owner) {
        this.offsetBytes = offsetBytes;
        this.lengthBytes = lengthBytes;
        this.punch = punch;
        this.data = data;
        this.owner = owner;
    }

    /// @param owner whatever the caller needs to find its request again
    public static Op write(long offsetBytes, int lengthBytes, Held data, Object owner) {
        if (lengthBytes > MAX_DATA_BYTES) {
            throw new IllegalArgumentException("a piece of " + lengthBytes + " bytes");
        }
        return new Op(offsetBytes, lengthBytes, false, data, owner);
    }

    /// @param punch whether the space may be given back
    public static Op zero(long offsetBytes, long lengthBytes, boolean punch, Object owner) {
        if (lengthBytes > MAX_ZERO_BYTES) {
            throw new IllegalArgumentException("a piece of " + lengthBytes + " zero bytes");
        }
        return new Op(offsetBytes, lengthBytes, punch, null, owner);
    }

    public boolean isZero() {
        return data == null;
    }

    public Held data() {
        return data;
    }

    public long offsetBytes() {
        return offsetBytes;
    }

    public long lengthBytes() {
        return lengthBytes;
    }

    public boolean punch() {
        return punch;
    }

    public Object owner() {
        return owner;
    }

    /// The blocks whose present content must be read and handed to [Primary#preimage] before this
    /// piece is written.
    public List<BlockRun> preimages() {
        return preimages;
    }

    /// Its number in the generation; 0 until the local write has succeeded.
    public long number() {
        return number;
    }

    long bufferBytes() {
        return OVERHEAD_BYTES + (data == null ? 0 : lengthBytes);
    }

    void release() {
        if (data != null) {
            data.release();
        }
    }
}
