package holdfast.system;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteOrder;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Map;

/// What one daemon sees of its disks: `faulty-disk.c` stands between it and the C library, and does
/// at a chosen call what a bad disk, a full one or a power cut does. Nothing happens until it is
/// armed.
final class FaultyDisk {
    /// Kinds of calls, as bits.
    static final int WRITE = 1;

    static final int SYNC = 2;
    static final int READ = 4;
    static final int UNLINK = 32;

    /// Ordinals are the numbers that the library knows.
    enum Kind {
        NONE,
        KILL_BEFORE,
        KILL_AFTER,
        /// Half of a write, and the process is killed.
        TORN_KILL,
        IO_ERROR,
        NO_SPACE,
        /// Half of a write or a read, as the kernel may do at any time.
        SHORT,
        /// A sync fails, and what it covered is lost in part.
        LOST_SYNC,
        /// Of what was not synced each page is lost, kept or torn, and the process is killed.
        CUT_BEFORE,
        CUT_AFTER,
        /// The call does not come back, and is not done, until [#release].
        HANG;

        boolean endsTheProcess() {
            return switch (this) {
                case KILL_BEFORE, KILL_AFTER, TORN_KILL, CUT_BEFORE, CUT_AFTER -> true;
                default -> false;
            };
        }

        boolean cutsThePower() {
            return this == CUT_BEFORE || this == CUT_AFTER;
        }
    }

    private static final int PAGE_BYTES = 4096;
    private static final int ARMED = 0;
    private static final int CALLS = 8;
    private static final int AFTER = 16;
    private static final int FAULT = 24;
    private static final int SEED = 32;
    private static final int STRUCK = 40;
    private static final int SEEN = 48;
    private static final int COMMAND = 56;
    private static final int RELEASED = 64;
    private static final int PATTERN = 128;
    private static final int WHERE = 256;
    private static final int WHERE_BYTES = 384;
    private static final int FIRST_CALLS = 640;
    private static final int FIRST_LACKS = 648;
    private static final int NEEDLE_LENGTH = 656;
    private static final int FIRST_PATTERN = 664;
    private static final int NEEDLE = 792;

    /// A call that must have come by before any counts; it may be the one that is struck.
    ///
    /// @param calls kinds of calls
    /// @param pattern as in [#arm]
    /// @param bytes what is written has them in it; empty for whatever is written
    /// @param lacks it must not have them
    record First(int calls, String pattern, byte[] bytes, boolean lacks) {
        static final First NONE = new First(0, "", new byte[0], false);

        First(int calls, String pattern) {
            this(calls, pattern, new byte[0], false);
        }
    }

    private final Path library;
    private final Path page;
    private final Path under;
    private final MappedByteBuffer control;

    /// @param library from [#build]
    /// @param page file that this makes, to talk with the library
    /// @param under files whose paths begin with this can be harmed
    FaultyDisk(Path library, Path page, Path under) throws IOException {
        this.library = library;
        this.page = page;
        this.under = under;
        Files.write(page, new byte[PAGE_BYTES]);
        try (FileChannel file =
                FileChannel.open(page, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            control = file.map(FileChannel.MapMode.READ_WRITE, 0, PAGE_BYTES);
        }
        control.order(ByteOrder.nativeOrder());
    }

    /// Compiles the library into this directory.
    static Path build(Path dir) throws IOException, InterruptedException {
        Path source = dir.resolve("faulty-disk.c");
        Path library = dir.resolve("faulty-disk.so");
        try (InputStream in = FaultyDisk.class.getResourceAsStream("faulty-disk.c")) {
            Files.copy(in, source);
        }
        Run.ok(
                "cc",
                "-O2",
                "-Wall",
                "-Wextra",
                "-Werror",
                "-shared",
                "-fPIC",
                "-o",
                library.toString(),
                source.toString(),
                "-ldl",
                "-lpthread");
        return library;
    }

    /// For the process that is to see it.
    Map<String, String> environment() {
        return Map.of(
                "LD_PRELOAD", library.toString(),
                "FAULTY_DISK", page.toString(),
                "FAULTY_DISK_UNDER", under.toString() + "/");
    }

    /// @param calls kinds of calls that count
    /// @param pattern part of the paths of the files that count, or all of it, with stars
    /// @param nth which of these calls it strikes, from 1 on
    void arm(Kind fault, int calls, String pattern, int nth, long seed) {
        arm(First.NONE, fault, calls, pattern, nth, seed);
    }

    void arm(First first, Kind fault, int calls, String pattern, int nth, long seed) {
        disarm();
        control.put(FIRST_PATTERN, (first.pattern + '\0').getBytes(StandardCharsets.UTF_8));
        control.put(NEEDLE, first.bytes);
        control.putLong(NEEDLE_LENGTH, first.bytes.length);
        control.putLong(FIRST_LACKS, first.lacks ? 1 : 0);
        control.putLong(FIRST_CALLS, first.calls);
        control.putLong(STRUCK, 0);
        control.putLong(RELEASED, 0);
        control.put(WHERE, new byte[WHERE_BYTES]);
        control.putLong(CALLS, calls);
        control.putLong(AFTER, nth);
        control.putLong(FAULT, fault.ordinal());
        control.putLong(SEED, seed);
        byte[] text = (pattern + '\0').getBytes(StandardCharsets.UTF_8);
        control.put(PATTERN, text);
        control.putLong(ARMED, 1);
    }

    void disarm() {
        control.putLong(ARMED, 0);
    }

    /// What hangs is done now.
    void release() {
        control.putLong(RELEASED, 1);
    }

    boolean hasStruck() {
        return control.getLong(STRUCK) > 0;
    }

    /// The file it struck last.
    String where() {
        byte[] text = new byte[WHERE_BYTES];
        control.get(WHERE, text);
        int end = 0;
        while (end < text.length && text[end] != 0) {
            end++;
        }
        return new String(text, 0, end, StandardCharsets.UTF_8);
    }

    /// How many calls came by; 0 says that the library is not where it should be.
    long seen() {
        return control.getLong(SEEN);
    }

    /// Ends the process.
    ///
    /// @param power what was not synced may be lost; otherwise only what no sync can save any more
    void end(boolean power, long seed) {
        control.putLong(SEED, seed);
        control.putLong(COMMAND, power ? 1 : 2);
    }

    /// For the next process.
    void reset() {
        disarm();
        control.putLong(COMMAND, 0);
    }
}
