package holdfast.replicator.daemon;

import holdfast.replicator.nbd.Errno;
import holdfast.replicator.nbd.ExportException;
import holdfast.replicator.state.PageMemory;
import holdfast.replicator.status.Words;

import java.util.function.Consumer;
import java.util.function.LongSupplier;

/// What the overlays of one view may take together.
///
/// | what                                   | limit                                  | beyond it |
/// |----------------------------------------|----------------------------------------|-----------|
/// | blocks that hold data, in files        | as opened, see [#limitBytes]           | ENOSPC    |
/// | space that is left in their filesystem | [#RESERVE_BYTES], looked at as they grow | ENOSPC  |
/// | memory that says which blocks they are | [#MEMORY_BYTES]                        | ENOSPC    |
///
/// Its monitor guards the sets of blocks of all of them too, and is held for moments.
final class OverlaySpace {
    /// A filesystem that is replayed, checked and mounted writes so little that a tenth is plenty;
    /// a small device is written through by a test of what runs on it.
    static final long LEAST_LIMIT_BYTES = 256L << 20;

    private static final int SHARE_OF_DEVICE = 10;

    /// What stays free in the filesystem of the overlays: the copy's own base grows there.
    static final long RESERVE_BYTES = 64L << 20;

    /// Both sets of an overlay that has a block in every 128 MiB of 512 GiB, or of one that is
    /// dense over 1 TiB; untouched and wholly held stretches take nothing.
    static final long MEMORY_BYTES = 32L << 20;

    /// What one change may need of it: a page of words at both ends of it, in both sets.
    private static final long CHANGE_BYTES = 4 * 4112;

    /// The free space is asked for after so much growth; so much more than there is may be
    /// promised, which the reserve has room for.
    private static final long LOOK_BYTES = 16L << 20;

    private final long limitBytes;
    private final LongSupplier freeBytes;
    private final Consumer<String> whenFull;
    private final PageMemory memory = PageMemory.of(PageMemory.PAGE_BITS, MEMORY_BYTES);
    private long usedBytes;
    private long untilLookBytes;
    private boolean full;

    /// @param freeBytes what the filesystem of the overlays has left
    /// @param whenFull told once, with a sentence, when a change is refused for want of space
    OverlaySpace(long limitBytes, LongSupplier freeBytes, Consumer<String> whenFull) {
        this.limitBytes = limitBytes;
        this.freeBytes = freeBytes;
        this.whenFull = whenFull;
    }

    /// The limit where none was asked for: a tenth of the device, within what is free.
    static long usualLimit(long deviceBytes, long freeBytes) {
        long wanted = Math.max(LEAST_LIMIT_BYTES, deviceBytes / SHARE_OF_DEVICE);
        return Math.max(0, Math.min(wanted, freeBytes - RESERVE_BYTES));
    }

    PageMemory memory() {
        return memory;
    }

    long limitBytes() {
        return limitBytes;
    }

    synchronized long usedBytes() {
        return usedBytes;
    }

    /// Whether a change was refused.
    synchronized boolean isFull() {
        return full;
    }

    /// Whether the sets have room for one more change of whatever kind.
    boolean hasMemory() {
        return memory.hasRoom(CHANGE_BYTES);
    }

    /// Takes space, or none at all; the caller holds the monitor.
    boolean take(long bytes) {
        if (usedBytes + bytes > limitBytes) {
            return false;
        }
        if (bytes > untilLookBytes) {
            if (freeBytes.getAsLong() < bytes + RESERVE_BYTES) {
                return false;
            }
            untilLookBytes = LOOK_BYTES;
        }
        untilLookBytes -= Math.min(bytes, untilLookBytes);
        usedBytes += bytes;
        return true;
    }

    /// Gives it back; the caller holds the monitor.
    void give(long bytes) {
        usedBytes -= bytes;
    }

    /// A change cannot be kept. Not under the monitor: whoever is told may write a log.
    ///
    /// @return what the client is told
    ExportException noSpace(String why) {
        boolean first;
        synchronized (this) {
            first = !full;
            full = true;
        }
        String text =
                "%s: the overlay holds %s of %s; what was written stays, more is refused with ENOSPC"
                        .formatted(why, Words.bytes(usedBytes()), Words.bytes(limitBytes));
        if (first) {
            whenFull.accept(text);
        }
        return new ExportException(Errno.ENOSPC, text);
    }
}
