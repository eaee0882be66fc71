package holdfast.replicator.daemon;

import holdfast.replicator.state.Budget;

import java.util.concurrent.atomic.AtomicLong;

/// The daemon's one budget for what peers do not have yet (R9). Every resource may always hold
/// [#MINIMUM_BYTES], so that a flood in one cannot close the buffers of all.
final class SendBudget implements Budget {
    /// The largest piece and what is kept beside it, so that one always finds room.
    static final long MINIMUM_BYTES = (1 << 20) + 4096;

    private final AtomicLong usedBytes = new AtomicLong();
    private volatile long limitBytes;

    SendBudget(long limitBytes) {
        this.limitBytes = limitBytes;
    }

    @Override
    public boolean take(long bytes, long used) {
        long now = usedBytes.addAndGet(bytes);
        if (now <= limitBytes || used + bytes <= MINIMUM_BYTES) {
            return true;
        }
        usedBytes.addAndGet(-bytes);
        return false;
    }

    @Override
    public void give(long bytes) {
        usedBytes.addAndGet(-bytes);
    }

    void limit(long bytes) {
        limitBytes = bytes;
    }

    long limitBytes() {
        return limitBytes;
    }
}
