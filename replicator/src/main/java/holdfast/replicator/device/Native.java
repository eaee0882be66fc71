package holdfast.replicator.device;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.VarHandle;
import java.util.Arrays;

/// Calls into the C library that the JDK has no method for, each as its manual page has it.
///
/// Why data goes this way too, and not through `FileChannel`: an interrupt closes a `FileChannel`
/// under everybody who shares it; it has no gathering write at an offset; it cannot open
/// exclusively; and it turns `errno` into words of the user's language. See docs/decisions on
/// device I/O.
///
/// A call that fails returns `-errno`, as the kernel has it; none throws. A call that waits pins
/// the carrier of a virtual thread: use platform threads. Each function is bound at its first use,
/// since [Launcher] wants two of them and a quick start.
final class Native {
    static final int O_RDONLY = 0;
    static final int O_RDWR = 2;
    static final int O_CREAT = 0x40;
    static final int O_EXCL = 0x80;
    static final int O_CLOEXEC = 0x80000;

    static final int FALLOC_FL_KEEP_SIZE = 1;
    static final int FALLOC_FL_PUNCH_HOLE = 2;
    static final int FALLOC_FL_ZERO_RANGE = 0x10;

    static final int SEEK_END = 2;
    static final int SEEK_DATA = 3;
    static final int SEEK_HOLE = 4;

    static final int STATX_BTIME = 0x800;
    static final int STATX_BYTES = 256;

    /// Where an answer of statx(2) has its mask, and seconds and nanoseconds of the time of birth.
    static final long STATX_MASK_AT = 0;

    static final long STATX_BIRTH_AT = 80;

    static final int LOCK_EX = 2;
    static final int LOCK_NB = 4;

    static final int PR_SET_IO_FLUSHER = 57;
    static final int PR_GET_IO_FLUSHER = 58;

    static final int MCL_CURRENT = 1;
    static final int MCL_FUTURE = 2;
    static final int MCL_ONFAULT = 4;

    static final int SIGKILL = 9;

    private static final int PRIO_PROCESS = 0;

    private static final int AT_FDCWD = -100;

    private static final long BLKROGET = 0x125E;
    private static final long BLKSSZGET = 0x1268;

    /// The most parts that one gathering write takes; a longer list is cut by the caller.
    static final int MAX_PARTS = 16;

    private static final Linker LINKER = Linker.nativeLinker();
    private static final MemoryLayout STATE = Linker.Option.captureStateLayout();
    private static final VarHandle ERRNO =
            STATE.varHandle(MemoryLayout.PathElement.groupElement("errno"));
    private static final Linker.Option CAPTURE = Linker.Option.captureCallState("errno");

    /// Native memory of one thread: where errno lands, and the list of parts of a gathering write.
    private static final class Scratch {
        static final ThreadLocal<Scratch> OF_THREAD = ThreadLocal.withInitial(Scratch::new);

        final MemorySegment state = Arena.ofAuto().allocate(STATE);
        final MemorySegment parts = Arena.ofAuto().allocate(16L * MAX_PARTS, 8);
    }

    private static MemorySegment state() {
        return Scratch.OF_THREAD.get().state;
    }

    private static long resultOrErrno(long result, MemorySegment state) {
        return result >= 0 ? result : -(int) ERRNO.get(state, 0L);
    }

    private static MethodHandle bind(
            String name, MemoryLayout result, MemoryLayout[] arguments, Linker.Option... more) {
        var options = Arrays.copyOf(more, more.length + 1);
        options[more.length] = CAPTURE;
        return LINKER.downcallHandle(
                LINKER.defaultLookup().findOrThrow(name),
                FunctionDescriptor.of(result, arguments),
                options);
    }

    private static MemoryLayout[] takes(MemoryLayout... arguments) {
        return arguments;
    }

    /// The signatures are right by construction, so what a handle throws is a bug or the end of the
    /// JVM.
    private static AssertionError broken(Throwable e) {
        if (e instanceof Error error) {
            throw error;
        }
        return new AssertionError(e);
    }

    /// open(2). `mode` counts only with [#O_CREAT].
    static int open(String path, int flags, int mode) {
        final class Bound {
            static final MethodHandle OPEN =
                    bind(
                            "open",
                            JAVA_INT,
                            takes(ADDRESS, JAVA_INT, JAVA_INT),
                            Linker.Option.firstVariadicArg(2));
        }
        try (var arena = Arena.ofConfined()) {
            MemorySegment state = state();
            int result = (int) Bound.OPEN.invokeExact(state, arena.allocateFrom(path), flags, mode);
            return (int) resultOrErrno(result, state);
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    /// close(2). What it returns is not looked at: the descriptor is gone in every case on Linux.
    static void close(int fd) {
        final class Bound {
            static final MethodHandle CLOSE = bind("close", JAVA_INT, takes(JAVA_INT));
        }
        try {
            int ignored = (int) Bound.CLOSE.invokeExact(state(), fd);
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    /// socket(2) for generic netlink, closed on exec.
    static int netlinkSocket() {
        final class Bound {
            static final MethodHandle SOCKET =
                    bind("socket", JAVA_INT, takes(JAVA_INT, JAVA_INT, JAVA_INT));
        }
        int family = 16; // AF_NETLINK
        int type = 3 | O_CLOEXEC; // SOCK_RAW; SOCK_CLOEXEC is the same bit
        int protocol = 16; // NETLINK_GENERIC
        try {
            MemorySegment state = state();
            int result = (int) Bound.SOCKET.invokeExact(state, family, type, protocol);
            return (int) resultOrErrno(result, state);
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    /// read(2), of a socket
    static long read(int fd, MemorySegment into) {
        final class Bound {
            static final MethodHandle READ =
                    bind("read", JAVA_LONG, takes(JAVA_INT, ADDRESS, JAVA_LONG));
        }
        try {
            MemorySegment state = state();
            long result = (long) Bound.READ.invokeExact(state, fd, into, into.byteSize());
            return resultOrErrno(result, state);
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    /// write(2), to a socket
    static long write(int fd, MemorySegment from) {
        final class Bound {
            static final MethodHandle WRITE =
                    bind("write", JAVA_LONG, takes(JAVA_INT, ADDRESS, JAVA_LONG));
        }
        try {
            MemorySegment state = state();
            long result = (long) Bound.WRITE.invokeExact(state, fd, from, from.byteSize());
            return resultOrErrno(result, state);
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    /// pread(2)
    static long pread(int fd, MemorySegment into, long offsetBytes) {
        final class Bound {
            static final MethodHandle PREAD =
                    bind("pread", JAVA_LONG, takes(JAVA_INT, ADDRESS, JAVA_LONG, JAVA_LONG));
        }
        try {
            MemorySegment state = state();
            long result =
                    (long) Bound.PREAD.invokeExact(state, fd, into, into.byteSize(), offsetBytes);
            return resultOrErrno(result, state);
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    /// pwrite(2)
    static long pwrite(int fd, MemorySegment from, long offsetBytes) {
        final class Bound {
            static final MethodHandle PWRITE =
                    bind("pwrite", JAVA_LONG, takes(JAVA_INT, ADDRESS, JAVA_LONG, JAVA_LONG));
        }
        try {
            MemorySegment state = state();
            long result =
                    (long) Bound.PWRITE.invokeExact(state, fd, from, from.byteSize(), offsetBytes);
            return resultOrErrno(result, state);
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    /// pwritev(2) of `parts[0]` to `parts[count - 1]`, which the caller keeps reachable.
    static long pwritev(int fd, MemorySegment[] parts, int count, long offsetBytes) {
        final class Bound {
            static final MethodHandle PWRITEV =
                    bind("pwritev", JAVA_LONG, takes(JAVA_INT, ADDRESS, JAVA_INT, JAVA_LONG));
        }
        try {
            Scratch scratch = Scratch.OF_THREAD.get();
            for (int i = 0; i < count; i++) {
                scratch.parts.set(ValueLayout.JAVA_LONG, 16L * i, parts[i].address());
                scratch.parts.set(ValueLayout.JAVA_LONG, 16L * i + 8, parts[i].byteSize());
            }
            long result =
                    (long)
                            Bound.PWRITEV.invokeExact(
                                    scratch.state, fd, scratch.parts, count, offsetBytes);
            return resultOrErrno(result, scratch.state);
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    /// fdatasync(2)
    static int fdatasync(int fd) {
        final class Bound {
            static final MethodHandle FDATASYNC = bind("fdatasync", JAVA_INT, takes(JAVA_INT));
        }
        try {
            MemorySegment state = state();
            int result = (int) Bound.FDATASYNC.invokeExact(state, fd);
            return (int) resultOrErrno(result, state);
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    /// posix_fadvise(2): lets go of the clean pages of a file, so that the next read asks the disk.
    static int dropCache(int fd) {
        final class Bound {
            static final MethodHandle ADVISE =
                    bind(
                            "posix_fadvise",
                            JAVA_INT,
                            takes(JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_INT));
        }
        try {
            int dontNeed = 4;
            // Unlike the others it returns the number of the error.
            return -(int) Bound.ADVISE.invokeExact(state(), fd, 0L, 0L, dontNeed);
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    /// fsync(2), which is also the only way to make the entries of a directory durable.
    static int fsync(int fd) {
        final class Bound {
            static final MethodHandle FSYNC = bind("fsync", JAVA_INT, takes(JAVA_INT));
        }
        try {
            MemorySegment state = state();
            int result = (int) Bound.FSYNC.invokeExact(state, fd);
            return (int) resultOrErrno(result, state);
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    /// lseek(2)
    static long lseek(int fd, long offsetBytes, int whence) {
        final class Bound {
            static final MethodHandle LSEEK =
                    bind("lseek", JAVA_LONG, takes(JAVA_INT, JAVA_LONG, JAVA_INT));
        }
        try {
            MemorySegment state = state();
            long result = (long) Bound.LSEEK.invokeExact(state, fd, offsetBytes, whence);
            return resultOrErrno(result, state);
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    /// ftruncate(2)
    static int ftruncate(int fd, long sizeBytes) {
        final class Bound {
            static final MethodHandle FTRUNCATE =
                    bind("ftruncate", JAVA_INT, takes(JAVA_INT, JAVA_LONG));
        }
        try {
            MemorySegment state = state();
            int result = (int) Bound.FTRUNCATE.invokeExact(state, fd, sizeBytes);
            return (int) resultOrErrno(result, state);
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    /// fallocate(2); on a block device it zeroes.
    static int fallocate(int fd, int mode, long offsetBytes, long lengthBytes) {
        final class Bound {
            static final MethodHandle FALLOCATE =
                    bind("fallocate", JAVA_INT, takes(JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_LONG));
        }
        try {
            MemorySegment state = state();
            int result =
                    (int) Bound.FALLOCATE.invokeExact(state, fd, mode, offsetBytes, lengthBytes);
            return (int) resultOrErrno(result, state);
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    /// statx(2), following symbolic links.
    ///
    /// @param into takes [#STATX_BYTES]; its mask says what of `mask` there is
    static int statx(String path, int mask, MemorySegment into) {
        final class Bound {
            static final MethodHandle STATX =
                    bind("statx", JAVA_INT, takes(JAVA_INT, ADDRESS, JAVA_INT, JAVA_INT, ADDRESS));
        }
        try (var arena = Arena.ofConfined()) {
            MemorySegment state = state();
            int result =
                    (int)
                            Bound.STATX.invokeExact(
                                    state, AT_FDCWD, arena.allocateFrom(path), 0, mask, into);
            return (int) resultOrErrno(result, state);
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    /// rename(2)
    static int rename(String from, String to) {
        final class Bound {
            static final MethodHandle RENAME = bind("rename", JAVA_INT, takes(ADDRESS, ADDRESS));
        }
        try (var arena = Arena.ofConfined()) {
            MemorySegment state = state();
            int result =
                    (int)
                            Bound.RENAME.invokeExact(
                                    state, arena.allocateFrom(from), arena.allocateFrom(to));
            return (int) resultOrErrno(result, state);
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    /// unlink(2)
    static int unlink(String path) {
        final class Bound {
            static final MethodHandle UNLINK = bind("unlink", JAVA_INT, takes(ADDRESS));
        }
        try (var arena = Arena.ofConfined()) {
            MemorySegment state = state();
            int result = (int) Bound.UNLINK.invokeExact(state, arena.allocateFrom(path));
            return (int) resultOrErrno(result, state);
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    /// mkdir(2)
    static int mkdir(String path, int mode) {
        final class Bound {
            static final MethodHandle MKDIR = bind("mkdir", JAVA_INT, takes(ADDRESS, JAVA_INT));
        }
        try (var arena = Arena.ofConfined()) {
            MemorySegment state = state();
            int result = (int) Bound.MKDIR.invokeExact(state, arena.allocateFrom(path), mode);
            return (int) resultOrErrno(result, state);
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    /// flock(2)
    static int flock(int fd, int operation) {
        final class Bound {
            static final MethodHandle FLOCK = bind("flock", JAVA_INT, takes(JAVA_INT, JAVA_INT));
        }
        try {
            MemorySegment state = state();
            int result = (int) Bound.FLOCK.invokeExact(state, fd, operation);
            return (int) resultOrErrno(result, state);
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    /// The logical block of a block device in bytes: ioctl(2) BLKSSZGET.
    static int logicalBlockBytes(int fd) {
        return ioctlInt(fd, BLKSSZGET);
    }

    /// 1 when a block device takes no writes, 0 when it does: ioctl(2) BLKROGET.
    static int isReadOnly(int fd) {
        return ioctlInt(fd, BLKROGET);
    }

    private static int ioctlInt(int fd, long request) {
        final class Bound {
            static final MethodHandle IOCTL =
                    bind(
                            "ioctl",
                            JAVA_INT,
                            takes(JAVA_INT, JAVA_LONG, ADDRESS),
                            Linker.Option.firstVariadicArg(2));
        }
        try (var arena = Arena.ofConfined()) {
            MemorySegment state = state();
            MemorySegment answer = arena.allocate(JAVA_INT);
            int result = (int) Bound.IOCTL.invokeExact(state, fd, request, answer);
            return result < 0 ? (int) resultOrErrno(result, state) : answer.get(JAVA_INT, 0);
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    /// prctl(2); the options used here take one argument at most.
    static int prctl(int option, long argument) {
        final class Bound {
            static final MethodHandle PRCTL =
                    bind(
                            "prctl",
                            JAVA_INT,
                            takes(JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG),
                            Linker.Option.firstVariadicArg(1));
        }
        try {
            MemorySegment state = state();
            int result = (int) Bound.PRCTL.invokeExact(state, option, argument, 0L, 0L, 0L);
            return (int) resultOrErrno(result, state);
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    /// mlockall(2)
    static int mlockall(int flags) {
        final class Bound {
            static final MethodHandle MLOCKALL = bind("mlockall", JAVA_INT, takes(JAVA_INT));
        }
        try {
            MemorySegment state = state();
            int result = (int) Bound.MLOCKALL.invokeExact(state, flags);
            return (int) resultOrErrno(result, state);
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    /// gettid(2): the calling thread's number in the system.
    static int threadId() {
        final class Bound {
            static final MethodHandle GETTID = bind("gettid", JAVA_INT, takes());
        }
        try {
            return (int) Bound.GETTID.invokeExact(state());
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    /// sched_setscheduler(2) of a thread of this process, for the policies that know no priority.
    ///
    /// @param thread its number, 0 for the calling one
    static int schedule(int thread, int policy) {
        final class Bound {
            static final MethodHandle SCHED_SETSCHEDULER =
                    bind("sched_setscheduler", JAVA_INT, takes(JAVA_INT, JAVA_INT, ADDRESS));
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment priority = arena.allocate(JAVA_INT); // 0
            MemorySegment state = state();
            int result =
                    (int) Bound.SCHED_SETSCHEDULER.invokeExact(state, thread, policy, priority);
            return (int) resultOrErrno(result, state);
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    /// setpriority(2): on Linux a nice value belongs to a thread.
    ///
    /// @param thread its number, 0 for the calling one
    static int nice(int thread, int value) {
        final class Bound {
            static final MethodHandle SETPRIORITY =
                    bind("setpriority", JAVA_INT, takes(JAVA_INT, JAVA_INT, JAVA_INT));
        }
        try {
            MemorySegment state = state();
            int result = (int) Bound.SETPRIORITY.invokeExact(state, PRIO_PROCESS, thread, value);
            return (int) resultOrErrno(result, state);
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    /// kill(2); a negative id means the process group of that id.
    static int kill(int id, int signal) {
        final class Bound {
            static final MethodHandle KILL = bind("kill", JAVA_INT, takes(JAVA_INT, JAVA_INT));
        }
        try {
            MemorySegment state = state();
            int result = (int) Bound.KILL.invokeExact(state, id, signal);
            return (int) resultOrErrno(result, state);
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    /// execv(3): replaces this process, keeping its environment. Returns only when it failed.
    static int execv(String program, String... arguments) {
        final class Bound {
            static final MethodHandle EXECV = bind("execv", JAVA_INT, takes(ADDRESS, ADDRESS));
        }
        try (var arena = Arena.ofConfined()) {
            MemorySegment list = arena.allocate(ADDRESS, arguments.length + 1);
            for (int i = 0; i < arguments.length; i++) {
                list.setAtIndex(ADDRESS, i, arena.allocateFrom(arguments[i]));
            }
            MemorySegment state = state();
            int result = (int) Bound.EXECV.invokeExact(state, arena.allocateFrom(program), list);
            return (int) resultOrErrno(result, state);
        } catch (Throwable e) {
            throw broken(e);
        }
    }

    private Native() {}
}
