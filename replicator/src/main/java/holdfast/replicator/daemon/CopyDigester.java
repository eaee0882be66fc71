package holdfast.replicator.daemon;

import holdfast.checksum.TreeAnswers;
import holdfast.replicator.device.BlockDevice;
import holdfast.replicator.device.DeviceException;
import holdfast.replicator.journal.JournalIndex;
import holdfast.replicator.state.Backup;
import holdfast.tunnel.wire.Frame;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.Executor;

/// Digests a copy for the peer's comparison, a piece at a time, beside what its mailbox has to do:
///
/// ```
///  mailbox:  what next? ── a hole ──► taken without reading ──► what next?
///               └► pool: wait for the pace ─► mailbox: in the journal? read it
///                                                └► no: pool: read the base ─► digest ─► mailbox: what next?
/// ```
///
/// The base may be read outside the mailbox where the journal holds nothing: a roll writes only
/// what the index has, and whatever else changes the base belongs to a later session, which throws
/// away what was read for this one. Where it holds something it is read inside, so that no roll
/// frees the journal's segment meanwhile.
final class CopyDigester {
    /// What is read at a time: what a stop or a link that is back waits for, at most.
    private static final int READ_BYTES = 1 << 20;

    /// Pieces of holes that are taken before the mailbox goes on with something else.
    private static final int HOLES_AT_A_TIME = 64;

    /// Reads the image that the index and the base make together.
    interface Overlay {
        void read(JournalIndex index, long offsetBytes, ByteBuffer into) throws DeviceException;
    }

    private final Backup backup;
    private final BlockDevice base;
    private final Overlay overlay;
    private final Mailbox mailbox;
    private final Executor pool;
    private final PrimaryResource.ReadPace pace;

    // Owned by the mailbox.
    private boolean runs;
    private boolean stopped;
    private boolean reading;

    /// Owned by whoever runs; null while nothing does.
    private ByteBuffer buffer;

    CopyDigester(
            Backup backup,
            BlockDevice base,
            Overlay overlay,
            Mailbox mailbox,
            Executor pool,
            PrimaryResource.ReadPace pace) {
        this.backup = backup;
        this.base = base;
        this.overlay = overlay;
        this.mailbox = mailbox;
        this.pool = pool;
        this.pace = pace;
    }

    /// There may be something to digest; in the mailbox.
    void wake() {
        if (!runs) {
            runs = true;
            mailbox.post(this::next);
        }
    }

    /// Begins to read nothing more; in the mailbox.
    void stop() {
        stopped = true;
    }

    /// Whether the base is being read, so that it must not be closed; in the mailbox.
    boolean isReading() {
        return reading;
    }

    private void next() {
        Backup.Sectors sectors = stopped ? null : backup.nextSectors();
        if (sectors != null) {
            pool.execute(() -> waitFor(sectors));
            return;
        }
        try {
            for (int i = 0; i < HOLES_AT_A_TIME; i++) {
                TreeAnswers.Part part = stopped ? null : backup.nextDigest();
                if (part == null) {
                    end();
                    return;
                }
                if (part.isFirst() && !backup.everCommitted()) {
                    base.sync();
                }
                if (!backup.digestedZeroes(part, zeroBytes(part))) {
                    pool.execute(() -> waitFor(part));
                    return;
                }
            }
            mailbox.post(this::next);
        } catch (DeviceException e) {
            failed(e.getMessage());
        }
    }

    private void end() {
        runs = false;
        buffer = null;
    }

    private void failed(String why) {
        end();
        backup.failed(why);
    }

    /// How much of the part's beginning is known to read zero.
    private long zeroBytes(TreeAnswers.Part part) throws DeviceException {
        JournalIndex index = backup.committedIndex();
        long end = part.offsetBytes() + part.lengthBytes();
        long at = part.offsetBytes();
        while (at < end) {
            JournalIndex.Run run = index.at(at);
            if (run != null && run.offsetBytes() == at) {
                if (!run.isZero()) {
                    break;
                }
                at = run.endBytes();
            } else {
                long until = run == null ? end : Math.min(end, run.offsetBytes());
                at = Math.min(until, base.nextData(at));
                if (at < until) {
                    break;
                }
            }
        }
        return at - part.offsetBytes();
    }

    private void waitFor(TreeAnswers.Part part) {
        pace(part.wantedBytes(READ_BYTES));
        mailbox.post(() -> read(part));
    }

    private void pace(int bytes) {
        try {
            pace.acquire(bytes);
        } catch (CancellationException e) {
            // The daemon stops: the question is asked again in the next session.
            mailbox.post(this::stop);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            mailbox.post(this::stop);
        }
    }

    private void waitFor(Backup.Sectors sectors) {
        pace(sectors.lengthBytes());
        mailbox.post(() -> read(sectors));
    }

    /// Of what lies in the journal, as below, and the rest outside.
    private void read(Backup.Sectors sectors) {
        if (stopped) {
            end();
            return;
        }
        if (buffer == null) {
            buffer = ByteBuffer.allocateDirect(READ_BYTES);
        }
        buffer.clear(); // The one before may have been shorter.
        JournalIndex index = backup.indexOf(sectors);
        List<Frame.Range> ofBase = new ArrayList<>();
        List<ByteBuffer> into = new ArrayList<>();
        int at = 0;
        try {
            for (Frame.Range each : sectors.ranges()) {
                ByteBuffer part = buffer.slice(at, each.lengthBytes());
                at += each.lengthBytes();
                JournalIndex.Run run = index.at(each.offsetBytes());
                if (run == null || run.offsetBytes() >= each.offsetBytes() + each.lengthBytes()) {
                    ofBase.add(each);
                    into.add(part);
                } else {
                    overlay.read(index, each.offsetBytes(), part);
                }
            }
        } catch (DeviceException e) {
            failed(e.getMessage());
            return;
        }
        int length = at;
        reading = true;
        pool.execute(
                () -> {
                    try {
                        for (int i = 0; i < ofBase.size(); i++) {
                            base.read(ofBase.get(i).offsetBytes(), into.get(i));
                        }
                        byte[] digests = sectors.digest(buffer.clear().limit(length));
                        mailbox.post(
                                () -> {
                                    reading = false;
                                    backup.sectorsDigested(sectors, digests);
                                    next();
                                });
                    } catch (DeviceException e) {
                        readFailed(e.getMessage());
                    } catch (RuntimeException e) {
                        readFailed("internal error: " + e);
                    }
                });
    }

    private void read(TreeAnswers.Part part) {
        if (stopped) {
            end();
            return;
        }
        if (buffer == null) {
            buffer = ByteBuffer.allocateDirect(READ_BYTES);
        }
        buffer.clear().limit(part.wantedBytes(READ_BYTES));
        JournalIndex index = backup.committedIndex();
        JournalIndex.Run run = index.at(part.offsetBytes());
        if (run == null || run.offsetBytes() >= part.offsetBytes() + buffer.limit()) {
            reading = true;
            pool.execute(() -> readBase(part));
            return;
        }
        try {
            overlay.read(index, part.offsetBytes(), buffer);
            pool.execute(() -> digest(part));
        } catch (DeviceException e) {
            failed(e.getMessage());
        }
    }

    private void readBase(TreeAnswers.Part part) {
        try {
            base.read(part.offsetBytes(), buffer);
            digest(part);
        } catch (DeviceException e) {
            readFailed(e.getMessage());
        } catch (RuntimeException e) {
            readFailed("internal error: " + e);
        }
    }

    private void readFailed(String why) {
        mailbox.post(
                () -> {
                    reading = false;
                    failed(why);
                });
    }

    private void digest(TreeAnswers.Part part) {
        buffer.flip();
        long bytes = buffer.remaining();
        byte[] leaves = part.shape().leaves(buffer);
        mailbox.post(
                () -> {
                    reading = false;
                    backup.digested(part, bytes, leaves);
                    next();
                });
    }
}
