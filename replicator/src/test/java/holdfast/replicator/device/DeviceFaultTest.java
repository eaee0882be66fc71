package holdfast.replicator.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/// What the kernel may answer, put into its mouth by strace in a process of its own.
class DeviceFaultTest {
    @TempDir Path directory;

    /// Writes, syncs and reads, and says how each went.
    static final class Faulty {
        private interface Step {
            void run() throws Exception;
        }

        public static void main(String[] arguments) throws Exception {
            Path path = Path.of(arguments[1]);
            if (arguments[0].equals("free")) {
                try (var files = JournalFiles.open(path, 4096, 8192, 0)) {
                    say(
                            "fill",
                            () -> {
                                files.write(0, filled(4096));
                                files.write(4096, filled(4096));
                                files.sync();
                            });
                    say("free", () -> files.free(4096));
                    say("write", () -> files.write(8192, filled(100)));
                    say("sync", files::sync);
                }
                return;
            }
            if (arguments[0].equals("segments")) {
                try (var files = JournalFiles.open(path, 4096, 8 * 4096, 0)) {
                    for (int i = 0; i < 5; i++) {
                        files.write(i * 4096L, filled(4096));
                        if (i == 2) {
                            files.prepare();
                        }
                    }
                }
                return;
            }
            if (arguments[0].equals("replace")) {
                say("replace", () -> AtomicFile.write(path, new byte[] {1}));
                return;
            }
            if (arguments[0].equals("slots")) {
                say("open", () -> TwoSlotFileTest.open(path).close());
                return;
            }
            if (arguments[0].equals("journal")) {
                try (var files = JournalFiles.open(path, 4096, 8192, 0)) {
                    say("write", () -> files.write(0, filled(100)));
                    say("sync", files::sync);
                    say("write", () -> files.write(100, filled(100)));
                    say("sync", files::sync);
                    say("read", () -> files.read(0, ByteBuffer.allocate(100)));
                }
                return;
            }
            try (var device = FileBlockDevice.open(path)) {
                say("write", () -> device.write(0, filled(2048), filled(2048)));
                say("sync", device::sync);
                say("write", () -> device.write(4096, filled(4096)));
                say("zero", () -> device.zero(4096, 4096, true));
                say("sync", device::sync);
                var into = ByteBuffer.allocate(4096);
                say("read", () -> device.read(0, into));
                int first = 0;
                while (first < 4096 && into.get(first) == 0) {
                    first++;
                }
                System.out.println("data from " + first);
            }
        }

        private static ByteBuffer filled(int lengthBytes) {
            byte[] bytes = new byte[lengthBytes];
            java.util.Arrays.fill(bytes, (byte) 7);
            return ByteBuffer.allocateDirect(lengthBytes).put(bytes).flip();
        }

        private static void say(String what, Step step) throws Exception {
            try {
                step.run();
                System.out.println(what + " ok");
            } catch (DeviceException e) {
                System.out.println(what + " " + e.errno());
            }
        }
    }

    private List<String> run(String what, Path path, Path faulty, String fault) throws IOException {
        return run(what, path, faulty, fault, "");
    }

    private List<String> run(String what, Path path, Path faulty, String fault, String mutant)
            throws IOException {
        return trace(
                what,
                path,
                mutant,
                List.of("-o", "/dev/null", "-P", faulty + "", "-e", "inject=" + fault));
    }

    private static List<String> trace(String what, Path path, String mutant, List<String> how)
            throws IOException {
        assumeTrue(Files.exists(Path.of("/usr/bin/strace")), "needs strace");
        var words = new ArrayList<Object>(List.of("strace", "-f"));
        words.addAll(how);
        words.addAll(
                List.of(
                        System.getProperty("java.home") + "/bin/java",
                        "-XX:TieredStopAtLevel=1",
                        "--enable-native-access=ALL-UNNAMED",
                        "-Dholdfast.mutants=" + mutant,
                        "-cp",
                        System.getProperty("java.class.path"),
                        Faulty.class.getName(),
                        what,
                        path));
        return Tool.run(words.toArray()).lines().toList();
    }

    private List<String> device(String fault) throws IOException {
        return device(fault, "");
    }

    private List<String> device(String fault, String mutant) throws IOException {
        Path path = directory.resolve("disk");
        Files.write(path, new byte[64 << 10]);
        return run("device", path, path, fault, mutant);
    }

    private static List<String> answers(String... lines) {
        return List.of(lines);
    }

    @Test
    void aFailedSyncIsFinalForWritesAndNotForReads() throws IOException {
        assertEquals(
                answers(
                        "write ok",
                        "sync 5",
                        "write 5",
                        "zero 5",
                        "sync 5",
                        "read ok",
                        "data from 0"),
                device("fdatasync:error=EIO:when=2")); // The first is that of opening it.
        assertEquals("sync ok", device("fdatasync:error=EIO:when=2", "M43").get(1));
        System.out.println("M43 caught, a failed sync of the device is passed over");
    }

    @Test
    void aShortWriteIsGoneOnWithWhereItEnded() throws IOException {
        // The kernel is said to have taken the first 2500 bytes, of two parts; they never reach the
        // file.
        assertEquals(
                answers(
                        "write ok",
                        "sync ok",
                        "write ok",
                        "zero ok",
                        "sync ok",
                        "read ok",
                        "data from 2500"),
                device("pwritev:retval=2500:when=1"));
    }

    @Test
    void aShortReadAndAnInterruptedCallAreGoneOnWith() throws IOException {
        assertEquals("data from 512", device("pread64:retval=512:when=1").getLast());
        assertEquals("data from 0", device("pread64:error=EINTR:when=1").getLast());
        assertEquals("data from 0", device("pwritev:error=EINTR:when=1").getLast());
    }

    @Test
    void anErrorKeepsItsNumberAndIsNotFinalWhenItIsNoSync() throws IOException {
        assertEquals(
                answers(
                        "write 28",
                        "sync ok",
                        "write ok",
                        "zero ok",
                        "sync ok",
                        "read ok",
                        "data from 4096"),
                device("pwritev:error=ENOSPC:when=1"));
        assertEquals("read 5", device("pread64:error=EIO:when=1").get(5));
    }

    @Test
    void aDeviceThatCannotPunchIsWrittenZeroes() throws IOException {
        assertEquals("zero ok", device("fallocate:error=EOPNOTSUPP").get(3));
    }

    /// Also when it was not the writer who asked: here the directory is synced to give a segment
    /// free.
    @Test
    void aDirectoryThatCannotBeSyncedIsFinalForTheJournal() throws Exception {
        Path journal = directory.resolve("journal");
        JournalFiles.create(journal, 4096, 8192);
        assertEquals(
                answers("fill ok", "free 5", "write 5", "sync 5"),
                run(
                        "free",
                        journal,
                        journal,
                        // Behind those of opening, of naming a segment and of the sync.
                        "fsync:error=EIO:when=4"));
    }

    @Test
    void aJournalWhoseSyncFailedTakesNothingMore() throws Exception {
        Path journal = directory.resolve("journal");
        JournalFiles.create(journal, 4096, 8192);
        assertEquals(
                answers("write ok", "sync 5", "write 5", "sync 5", "read ok"),
                run(
                        "journal",
                        journal,
                        journal.resolve("0000000000000000"),
                        "fdatasync:error=EIO:when=2")); // The first is that of opening it.
    }

    /// Nothing is synced here. A power cut may then take the name of the newest segment, and of
    /// none in front of it.
    @Test
    void aSegmentIsNamedOnceTheNamesOfThoseBeforeAreDurable() throws Exception {
        Path journal = directory.toRealPath().resolve("journal");
        Path calls = directory.resolve("calls");
        JournalFiles.create(journal, 4096, 8 * 4096);
        trace(
                "segments",
                journal,
                "",
                List.of("-y", "-o", calls + "", "-e", "trace=/^(rename|fsync)"));
        int named = 0;
        boolean durable = true;
        for (String call : Files.readAllLines(calls)) {
            if (call.matches(".*rename.*/[0-9a-f]{16}\".*")) {
                assertTrue(durable, "the name before is not durable: " + call);
                durable = false;
                named++;
            } else if (call.contains("fsync(") && call.contains("<" + journal + ">")) {
                durable = true;
            }
        }
        assertEquals(4, named);
    }

    /// Its new name would not survive a power cut. Nothing else here can see that it was not
    /// synced.
    @Test
    void aFileIsReplacedOnceItsDirectoryIsSynced() throws Exception {
        Path file = directory.resolve("state");
        String fault = "fsync:error=EIO:when=1";
        assertEquals(answers("replace 5"), run("replace", file, directory, fault));
        assertEquals(answers("replace ok"), run("replace", file, directory, fault, "M33"));
        System.out.println("M33 caught, a failed sync of the directory goes unnoticed");
    }

    /// What a killed daemon wrote into the newer slot must be durable before the older one is
    /// written over.
    @Test
    void aSlotIsMadeDurableBeforeItIsRead() throws Exception {
        Path slots = directory.resolve("slots");
        TwoSlotFileTest.create(slots, "one").close();
        assertEquals(answers("open ok"), run("slots", slots, slots, "fdatasync:error=EIO:when=2"));
        assertEquals(answers("open 5"), run("slots", slots, slots, "fdatasync:error=EIO:when=1"));
    }
}
