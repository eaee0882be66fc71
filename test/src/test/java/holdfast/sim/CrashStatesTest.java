package holdfast.sim;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.device.TwoSlotFile;
import holdfast.replicator.metadata.Superblock;
import holdfast.replicator.state.Role;
import holdfast.tunnel.wire.AddressSpace;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.SplittableRandom;
import java.util.UUID;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/// What a power cut may leave of superblock, activity log, bitmap, journal, base and device: states
/// are enumerated, each is opened by the code that recovers, and every promise is checked in it.
@Execution(ExecutionMode.SAME_THREAD)
class CrashStatesTest {
    private static final int LEAST = 20_000;
    private static final int LEAST_SUPERBLOCKS = 250;
    private static final int SUPERBLOCKS = 40;
    private static final UUID RESOURCE = new UUID(3, 4);

    private static final Pattern STATES = Pattern.compile("(?m)^ *(\\d+) (\\S.*)$");

    private Path dir;

    /// In memory where there is such a place: thousands of syncs are no part of this.
    @BeforeEach
    void makeRoom() throws IOException {
        Path memory = Path.of("/dev/shm");
        dir =
                Files.isWritable(memory)
                        ? Files.createTempDirectory(memory, "crash-states")
                        : Files.createTempDirectory("crash-states");
    }

    @AfterEach
    void clear() throws IOException {
        try (Stream<Path> all = Files.walk(dir)) {
            for (Path each : all.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(each);
            }
        }
    }

    @Test
    void fromWhateverAPowerCutLeavesEveryPromiseHolds() throws Exception {
        int total = ofSuperblock();
        System.out.printf("%9d superblock%n", total);
        Forked forked = sweep(List.of());
        assertEquals(0, forked.exitCode(), forked.output());
        System.out.print(forked.output());
        Matcher states = STATES.matcher(forked.output());
        int kinds = 0;
        while (states.find()) {
            int count = Integer.parseInt(states.group(1));
            boolean isSuperblock = states.group(2).startsWith("superblock");
            assertTrue(count >= (isSuperblock ? LEAST_SUPERBLOCKS : LEAST / 10), states.group());
            total += count;
            kinds++;
        }
        assertEquals(4, kinds, forked.output());
        System.out.println("CrashStatesTest: " + total + " crash states");
        assertTrue(total >= LEAST, "only " + total + " crash states");
    }

    /// Otherwise a loop that never looks would pass as well.
    @Test
    void aMistakeAtTheServerIsFound() throws Exception {
        assertFound("M4", "COV");
    }

    @Test
    void aMistakeAtTheBackupIsFound() throws Exception {
        assertFound("M1", "LOW");
    }

    private static void assertFound(String mutant, String promise) throws Exception {
        Forked forked = sweep(List.of("-Dholdfast.mutants=" + mutant));
        assertEquals(1, forked.exitCode(), forked.output());
        assertTrue(forked.output().contains(promise), forked.output());
    }

    private static Forked sweep(List<String> more) throws Exception {
        List<String> options = Stream.concat(Forked.MANY.stream(), more.stream()).toList();
        return Forked.inTheBackground(
                options, List.of("--crash-states", "--seconds", "300", "--threads", "2"));
    }

    // ---- the superblock ----------------------------------------------------------------------

    /// Each is written over the one before the last, and some of the writes are killed, or their
    /// sync fails.
    private int ofSuperblock() throws Exception {
        SplittableRandom random = new SplittableRandom(7);
        Path file = dir.resolve("superblock");
        TwoSlotFile.create(file, RESOURCE, Superblock.MAX_BYTES, Superblock.CODEC, superblock(0))
                .close();
        byte[] durable = Files.readAllBytes(file);
        SimDisk disk = new SimDisk(durable.length);
        disk.put(durable);
        Superblock last = superblock(0);
        int states = 0;
        for (int i = 1; i <= SUPERBLOCKS; i++) {
            Superblock next = superblock(i);
            writeInto(disk, file, next);
            List<SimDisk.Cut> cuts = CrashStates.cuts(disk, random, 400);
            for (int n = 0; n < 60; n++) {
                long chosen = random.nextLong();
                cuts.add((_, sector) -> (chosen >>> sector % 64 & 1) != 0);
            }
            byte[] left = new byte[disk.size()];
            for (SimDisk.Cut cut : cuts) {
                disk.crashInto(left, cut);
                Superblock found = recover(left, superblock(1000 + i));
                assertTrue(
                        found.equals(last) || found.equals(next),
                        "neither the one before nor the new one");
                states++;
            }
            switch (i % 3) {
                // It is killed before the sync; who opens the file syncs it.
                case 0 -> disk.syncNow();
                // What looks clean is dropped by whoever opens it.
                case 1 -> {
                    disk.syncFailed(disk.sync(), new java.util.Random(i));
                    disk.dropClean();
                }
                default -> disk.syncNow();
            }
            Files.write(file, disk.now());
            last = read(file);
            assertTrue(i % 3 == 1 || last.equals(next), "what was made durable is not there");
        }
        return states;
    }

    /// What the real code writes becomes a write of the simulated disk that is not synced.
    private static void writeInto(SimDisk disk, Path file, Superblock next) throws Exception {
        byte[] before = Files.readAllBytes(file);
        long slot;
        try (TwoSlotFile<Superblock> open = TwoSlotFile.open(file, RESOURCE, Superblock.CODEC)) {
            open.write(next);
            slot = open.counter() % 2 * (before.length / 2);
        }
        byte[] after = Files.readAllBytes(file);
        assertEquals(before.length, after.length);
        int last = after.length - 1;
        while (after[last] == before[last]) {
            last--;
        }
        int length = (int) (last + 1 - slot);
        byte[] written = new byte[length];
        System.arraycopy(after, (int) slot, written, 0, length);
        disk.write(slot, length, written);
        assertTrue(java.util.Arrays.equals(after, disk.now()), "something else was written too");
    }

    /// Opens what is left, and goes on from there.
    private Superblock recover(byte[] left, Superblock then) throws Exception {
        Path crashed = dir.resolve("crashed");
        Files.write(crashed, left);
        Superblock found;
        try (TwoSlotFile<Superblock> open = TwoSlotFile.open(crashed, RESOURCE, Superblock.CODEC)) {
            found = open.value();
            open.write(then);
        }
        assertEquals(then, read(crashed));
        return found;
    }

    private static Superblock read(Path file) throws Exception {
        try (TwoSlotFile<Superblock> open = TwoSlotFile.open(file, RESOURCE, Superblock.CODEC)) {
            return open.value();
        }
    }

    /// Each with another ancestry, up to the longest there is, and one volume larger by other
    /// bytes.
    private static Superblock superblock(int number) {
        Ancestry ancestry = Ancestry.EMPTY;
        for (int i = 0; i <= number * 13 % 200; i++) {
            ancestry =
                    ancestry.plus(
                            new Ancestry.Entry(
                                    number * 1000L + i + 1,
                                    Position.NONE,
                                    Ancestry.Reason.ATTACH,
                                    RESOURCE,
                                    i));
        }
        return new Superblock(
                RESOURCE,
                Role.PRIMARY,
                AddressSpace.ofVolumes(List.of(1L << 20, 1L << 19))
                        .grown(List.of((1L << 20) + 512L * number, 1L << 19)),
                number % 2 == 0,
                true,
                false,
                false,
                false,
                new Position(ancestry.generation(), number),
                Position.NONE,
                number,
                0,
                0,
                number,
                0,
                number,
                number,
                number,
                ancestry);
    }
}
