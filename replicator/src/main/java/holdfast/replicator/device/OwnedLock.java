package holdfast.replicator.device;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.UUID;
import java.util.concurrent.locks.LockSupport;

/// Keeps a second daemon off a device or a state directory, and tells it who is there.
///
/// A file that nothing else ever opens, with a `flock` on it and an [OwnerRecord] in it. The kernel
/// lets go of the lock when its owner dies, however it dies, so a record without a lock is a dead
/// owner's and is taken over. The file stays: to delete it would let two hold one name.
public final class OwnedLock implements AutoCloseable {
    private static final Path BOOT_ID = Path.of("/proc/sys/kernel/random/boot_id");

    private static final Path LOCKS = Path.of("/proc/locks");
    private static final String STATE_LOCK = "daemon.lock";
    private static final int NAMELESS_TRIES = 100;
    private static final long NAMELESS_PAUSE_NANOS = 10_000_000;

    private final RawFile file;
    private final OwnerRecord owner;
    private final OwnerRecord previous;

    private OwnedLock(RawFile file, OwnerRecord owner, OwnerRecord previous) {
        this.file = file;
        this.owner = owner;
        this.previous = previous;
    }

    /// Locks the content behind a path: all symbolic and hard links, bind mounts and loop devices
    /// of one file are one.
    ///
    /// @param lockDirectory one for all daemons of the host, as a rule in the state directory; made
    ///   if need be
    /// @throws DeviceException with EBUSY if it is held; the message names process and resource
    public static OwnedLock ofDevice(Path lockDirectory, Path device, String resource)
            throws DeviceException {
        String key = DeviceNode.of(device).lockKey();
        makeDirectory(lockDirectory);
        return acquire(lockDirectory.resolve(key + ".lock"), device, resource);
    }

    /// Locks a state directory, so that it has one daemon.
    ///
    /// @throws DeviceException with EBUSY if it has one; the message names its process
    public static OwnedLock ofStateDirectory(Path stateDirectory) throws DeviceException {
        return acquire(stateDirectory.resolve(STATE_LOCK), stateDirectory, null);
    }

    /// The process that has locked a state directory, seen without touching the lock: a daemon that
    /// starts at this moment must get it. Empty also when its process is in another container.
    public static OptionalLong holderOf(Path stateDirectory) {
        Path lock = stateDirectory.resolve(STATE_LOCK);
        Object inode;
        try {
            inode = Files.getAttribute(lock, "unix:ino");
        } catch (IOException e) {
            return OptionalLong.empty();
        }
        // 7: FLOCK  ADVISORY  WRITE 4711 fe:00:524301 0 EOF
        return LinuxText.lines(LOCKS).stream()
                .map(line -> line.trim().split("\\s+"))
                .filter(l -> l.length > 5 && l[1].equals("FLOCK") && l[5].endsWith(":" + inode))
                .mapToLong(l -> Long.parseLong(l[4]))
                .findFirst();
    }

    private static void makeDirectory(Path directory) throws DeviceException {
        if (!Files.isDirectory(directory)) {
            int result = Native.mkdir(directory.toString(), 0700);
            if (result < 0 && result != -Errno.EEXIST) {
                throw new DeviceException(-result, directory + " cannot be made");
            }
        }
    }

    private static OwnedLock acquire(Path lock, Path locked, String resource)
            throws DeviceException {
        RawFile file =
                RawFile.open(
                        lock.toAbsolutePath().toString(), Native.O_RDWR | Native.O_CREAT, 0600);
        try {
            boolean free = file.tryLock();
            Optional<OwnerRecord> found = read(file);
            // Held without a name: its owner is about to write that, or has gone and a program that
            // it was just starting holds its files for a moment longer.
            for (int i = 0; !free && found.isEmpty() && i < NAMELESS_TRIES; i++) {
                LockSupport.parkNanos(NAMELESS_PAUSE_NANOS);
                free = file.tryLock();
                found = read(file);
            }
            if (!free) {
                throw new DeviceException(Errno.EBUSY, refusal(locked, found));
            }
            var owner =
                    new OwnerRecord(
                            LinuxText.read(BOOT_ID),
                            ProcessHandle.current().pid(),
                            UUID.randomUUID(),
                            resource,
                            locked.toString());
            file.truncate(0);
            file.write(0, ByteBuffer.wrap(owner.encode()));
            return new OwnedLock(file, owner, found.orElse(null));
        } catch (DeviceException | RuntimeException e) {
            file.close();
            throw e;
        }
    }

    private static Optional<OwnerRecord> read(RawFile file) throws DeviceException {
        byte[] bytes = new byte[(int) Math.min(OwnerRecord.MAX_BYTES, file.sizeBytes())];
        try {
            file.read(0, ByteBuffer.wrap(bytes));
        } catch (DeviceException e) {
            // Its owner writes it at this moment.
            return Optional.empty();
        }
        return OwnerRecord.decode(bytes);
    }

    private static String refusal(Path locked, Optional<OwnerRecord> owner) {
        if (owner.isEmpty()) {
            return locked + " is held by another daemon that has not said its name yet";
        }
        OwnerRecord by = owner.get();
        String what =
                by.resource() == null
                        ? "the daemon with pid %d".formatted(by.pid())
                        : "resource %s of the daemon with pid %d"
                                .formatted(by.resource(), by.pid());
        String alias = by.path().equals(locked.toString()) ? "" : ", under the name " + by.path();
        return "%s is held by %s%s".formatted(locked, what, alias);
    }

    public OwnerRecord owner() {
        return owner;
    }

    /// Who had it before and did not let go of it in good order: killed, or its host lost power.
    /// The boot id tells which.
    public Optional<OwnerRecord> previous() {
        return Optional.ofNullable(previous);
    }

    /// Lets go of it in good order. Twice is harmless.
    @Override
    public void close() {
        try {
            file.truncate(0);
        } catch (DeviceException | IllegalStateException e) {
            // Closed before, or the record stays: without the lock it says only who was here last.
        }
        file.close();
    }
}
