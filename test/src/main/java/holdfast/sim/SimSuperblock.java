package holdfast.sim;

import holdfast.replicator.metadata.CorruptFormatException;
import holdfast.replicator.metadata.MetadataLayout;
import holdfast.replicator.metadata.Superblock;
import holdfast.replicator.metadata.TwoSlots;
import holdfast.tunnel.wire.Mutants;

import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;
import java.util.random.RandomGenerator;

/// The superblock of a host, in two slots on a disk of its own, as the daemon has it in a file:
/// each change is a write and a sync, one behind the other, and a crash may fall before, between
/// and behind the two. What then counts is what the slots say.
final class SimSuperblock {
    /// Long enough for what a history does; the daemon's are larger.
    private static final int MAX_BYTES = 16 * 1024 - TwoSlots.HEADER_BYTES;

    /// A superblock is written and not synced.
    private static final boolean M97 = Mutants.on("M97");

    /// What its host's disk does to it.
    enum Failure {
        /// EIO of a write, which leaves a part of it.
        WRITE,
        /// No space for a write, which leaves nothing of it.
        SPACE,
        SYNC
    }

    /// The host, as far as it is about time and chance.
    interface Host {
        /// Runs it when the next operation of this disk has been carried out, unless the host has
        /// crashed by then.
        void afterDisk(Runnable task);

        /// A write, or the sync behind it, has failed.
        void struck(Failure by);
    }

    private static final class Write {
        private final UnaryOperator<Superblock> change;
        private final Runnable done;
        private final Consumer<String> failed;

        /// Null until it is written.
        private Superblock next;

        private long mark;

        /// Whether it came to be durable; null until the sync has ended.
        private Boolean synced;

        private Write(UnaryOperator<Superblock> change, Runnable done, Consumer<String> failed) {
            this.change = change;
            this.done = done;
            this.failed = failed;
        }
    }

    private final SimDisk disk;
    private final RandomGenerator random;
    private final Host host;
    private TwoSlots<Superblock> slots;
    private final ArrayDeque<Write> waiting = new ArrayDeque<>();

    /// Under way, or null.
    private Write current;

    private Failure next;

    /// Of a write or sync that has failed: it may be there, too.
    private Superblock doubtful;

    /// A sync has failed: it takes nothing more before it is opened anew.
    private boolean failed;

    SimSuperblock(String name, Superblock first, RandomGenerator random, Host host) {
        this.random = random;
        this.host = host;
        slots = TwoSlots.create(name, Simulation.RESOURCE, MAX_BYTES, Superblock.CODEC, first);
        disk = new SimDisk(slots.fileBytes());
        for (int i = 0; i < 2; i++) {
            put(slots.next(first));
            slots.durable(first);
        }
        disk.syncNow();
        slots = read(disk.now());
    }

    private void put(MetadataLayout.Piece piece) {
        disk.write(piece.offsetBytes(), piece.data());
    }

    private static TwoSlots<Superblock> read(byte[] all) {
        try {
            return TwoSlots.read(
                    "superblock", ByteBuffer.wrap(all), Simulation.RESOURCE, Superblock.CODEC);
        } catch (CorruptFormatException e) {
            throw new Violation("SLOT", e.getMessage());
        }
    }

    /// As it was read, or as it was made durable last.
    Superblock value() {
        return slots.value();
    }

    SimDisk disk() {
        return disk;
    }

    /// What a start would find after this power cut.
    Superblock crashed(SimDisk.Cut cut) {
        byte[] left = new byte[disk.size()];
        disk.crashInto(left, cut);
        return found(left);
    }

    /// The same with what chance leaves, see [SimDisk#crashInto].
    Superblock crashed(RandomGenerator random, int fate) {
        return found(crashedBytes(random, fate));
    }

    byte[] crashedBytes(RandomGenerator random, int fate) {
        byte[] left = new byte[disk.size()];
        disk.crashInto(left, random, fate);
        return left;
    }

    /// The one that counts, or the one that is on its way: nothing else is ever there.
    private Superblock found(byte[] left) {
        Superblock found = read(left).value();
        boolean isNew = current != null && found.equals(current.next);
        if (!isNew && !found.equals(value()) && !found.equals(doubtful)) {
            throw new Violation(
                    "SLOT", "the superblock is neither the one before nor the new one: " + found);
        }
        return found;
    }

    /// Makes a change of what it is then durable. What was asked for before comes before.
    ///
    /// @param failed called with why, where it is not; what it was stays
    void write(UnaryOperator<Superblock> change, Runnable done, Consumer<String> failed) {
        waiting.add(new Write(change, done, failed));
        begin();
    }

    boolean isBusy() {
        return current != null;
    }

    boolean hasFailed() {
        return failed;
    }

    private void begin() {
        if (current != null || waiting.isEmpty()) {
            return;
        }
        Write write = waiting.poll();
        current = write;
        host.afterDisk(
                () -> {
                    if (!put(write)) {
                        end(write);
                        return;
                    }
                    host.afterDisk(
                            () -> {
                                sync(write);
                                end(write);
                            });
                });
    }

    /// The same in one step of a thread that waits for it.
    ///
    /// @return whether it is durable
    boolean writeNow(UnaryOperator<Superblock> change) {
        if (current != null && current.next != null) {
            sync(current); // Who is at it ends first.
        }
        Write now = new Write(change, () -> {}, _ -> {});
        Write before = current;
        current = now;
        boolean written = put(now);
        if (written) {
            sync(now);
        }
        current = before;
        return written && now.synced;
    }

    private boolean put(Write write) {
        Superblock next = write.change.apply(value());
        if (failed) {
            return false;
        }
        MetadataLayout.Piece piece = slots.next(next);
        if (strikes(Failure.WRITE)) {
            doubtful = next;
            byte[] bytes = new byte[piece.data().remaining()];
            piece.data().get(piece.data().position(), bytes);
            disk.writePart(random, piece.offsetBytes(), bytes.length, bytes);
            return false;
        }
        if (strikes(Failure.SPACE)) {
            return false;
        }
        put(piece);
        write.next = next;
        write.mark = disk.sync();
        return true;
    }

    private void sync(Write write) {
        if (write.synced != null) {
            return;
        }
        if (failed || strikes(Failure.SYNC)) {
            disk.syncFailed(write.mark, random);
            failed = true;
            doubtful = write.next;
            write.synced = false;
            return;
        }
        if (!M97) {
            disk.synced(write.mark);
        }
        slots.durable(write.next);
        doubtful = null;
        write.synced = true;
    }

    private void end(Write write) {
        current = null;
        if (write.synced != null && write.synced) {
            write.done.run();
        } else {
            write.failed.accept("an injected error of the superblock");
        }
        begin();
    }

    private boolean strikes(Failure failure) {
        if (next != failure) {
            return false;
        }
        next = null;
        host.struck(failure);
        return true;
    }

    /// The next write of it fails, or the sync behind that.
    void failNext(Failure failure) {
        next = failure;
    }

    /// The host has crashed.
    ///
    /// @param fate of what was not synced when the power is cut, see [SimDisk#powerCut]; negative
    ///   when the process alone was killed
    void crash(int fate) {
        if (fate >= 0) {
            disk.powerCut(random, fate);
        }
        found(disk.now());
        open();
    }

    /// Opens it anew: what a killed daemon has written and not synced is made durable, and what a
    /// failed sync has left in memory alone is not read.
    void open() {
        waiting.clear();
        current = null;
        next = null;
        doubtful = null;
        failed = false;
        disk.syncNow();
        disk.dropClean();
        slots = read(disk.now());
    }

    /// Somebody puts an older copy of it back.
    void put(byte[] content) {
        disk.put(content);
        open();
    }
}
