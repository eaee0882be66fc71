package holdfast.replicator.nbd;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;

/// Bytes of one write, in a direct buffer that starts on a 4 KiB boundary (so that it can be
/// written with direct I/O) and mostly comes from a [PayloadPool].
///
/// It is born with one reference. Whoever keeps it longer than it was lent takes another with
/// [#retain]; the last [#release], from any thread, gives the memory back. Contents must not change
/// once the server has handed the payload to an export: the local disk, the checksum and the link
/// all read these same bytes.
public final class Payload {
    private static final VarHandle REFERENCES;

    static {
        try {
            REFERENCES =
                    MethodHandles.lookup().findVarHandle(Payload.class, "references", int.class);
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    private final PayloadPool pool;
    private final PayloadPool.Slab slab;
    private final int sizeClass;
    private final ByteBuffer data;

    /// Whose memory this is a part of; null when it has its own.
    private final Payload whole;

    @SuppressWarnings("UnusedVariable") // read through REFERENCES
    private volatile int references;

    /// @param pool null, like `slab`, for memory that the garbage collector takes care of
    Payload(PayloadPool pool, PayloadPool.Slab slab, int sizeClass, ByteBuffer data) {
        this(pool, slab, sizeClass, data, null);
    }

    private Payload(
            PayloadPool pool,
            PayloadPool.Slab slab,
            int sizeClass,
            ByteBuffer data,
            Payload whole) {
        this.whole = whole;
        this.pool = pool;
        this.slab = slab;
        this.sizeClass = sizeClass;
        this.data = data;
        this.references = 1;
    }

    /// A payload outside any pool; its bytes are those between position and limit.
    public static Payload of(ByteBuffer bytes) {
        return new Payload(null, null, -1, bytes.slice());
    }

    /// A payload of some of these bytes, which keeps all of them until it is released itself.
    public Payload part(int fromBytes, int lengthBytes) {
        retain();
        return new Payload(null, null, -1, data.slice(fromBytes, lengthBytes), this);
    }

    /// The buffer itself, from 0 to the payload's length. Its position and limit belong to the one
    /// thread that handles the payload at the moment; others use [#view].
    public ByteBuffer data() {
        return data;
    }

    /// A read-only window on the whole payload with a position and limit of its own. Call it while
    /// nobody moves the limit of [#data]; it must not be used after the release.
    public ByteBuffer view() {
        return data.asReadOnlyBuffer().position(0);
    }

    public void retain() {
        int before = (int) REFERENCES.getAndAdd(this, 1);
        if (before <= 0) {
            throw new IllegalStateException("payload was released before");
        }
    }

    public void release() {
        int before = (int) REFERENCES.getAndAdd(this, -1);
        if (before <= 0) {
            throw new IllegalStateException("payload was released before");
        }
        if (before == 1 && whole != null) {
            whole.release();
        } else if (before == 1 && pool != null) {
            pool.giveBack(this);
        }
    }

    int sizeClass() {
        return sizeClass;
    }

    /// For the pool: whose memory this is a part of.
    PayloadPool.Slab slab() {
        return slab;
    }

    /// For the pool: the payload begins a new life.
    Payload revive(int lengthBytes) {
        data.clear().limit(lengthBytes);
        references = 1;
        return this;
    }
}
