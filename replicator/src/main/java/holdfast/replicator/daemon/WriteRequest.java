package holdfast.replicator.daemon;

import holdfast.replicator.nbd.Errno;
import holdfast.replicator.nbd.Reply;
import holdfast.replicator.state.Faults;

import java.util.concurrent.atomic.AtomicInteger;

/// One NBD request that was split into pieces (R6): it is answered once, after the last of them,
/// with the first error that any of them had.
final class WriteRequest {
    private final Reply reply;
    private final boolean fua;

    /// Pieces whose local write has not ended.
    private final AtomicInteger localLeft;

    /// What the reply waits for: each piece, and the sync of a FUA request.
    private final AtomicInteger left;

    private final AtomicInteger errno = new AtomicInteger(Errno.OK);

    WriteRequest(Reply reply, boolean fua, int pieces) {
        this.reply = reply;
        this.fua = fua;
        this.localLeft = new AtomicInteger(pieces);
        this.left = new AtomicInteger(fua ? pieces + 1 : pieces);
    }

    /// One piece is on the local disk.
    ///
    /// @return whether the caller must now sync the disk and call [#synced]
    boolean writtenLocally() {
        return localLeft.decrementAndGet() == 0 && fua;
    }

    /// One piece needs no more waiting.
    void pieceDone() {
        if (Faults.M18) {
            errno.set(Errno.OK);
        }
        oneLess();
    }

    /// One piece ended in an error.
    ///
    /// @return as [#writtenLocally]
    boolean pieceFailed(int why) {
        errno.compareAndSet(Errno.OK, why);
        boolean sync = writtenLocally();
        oneLess();
        return sync;
    }

    void synced(int result) {
        if (result != Errno.OK) {
            errno.compareAndSet(Errno.OK, result);
        }
        oneLess();
    }

    private void oneLess() {
        if (left.decrementAndGet() == 0) {
            reply.done(errno.get());
        }
    }
}
