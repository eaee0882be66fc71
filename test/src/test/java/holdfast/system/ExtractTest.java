package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.DaemonEntry;
import holdfast.replicator.control.Extract;
import holdfast.replicator.control.Problem;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.device.TwoSlotFile;
import holdfast.replicator.metadata.Superblock;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.ServiceLoader;
import java.util.stream.Stream;

/// What somebody has left who has nothing but the disks of the backup: base and journal, made by
/// real daemons, become the image of a moment, or nothing at all.
class ExtractTest {
    private static final int MIB = 1 << 20;
    private static final ControlApi.NameRequest HOME = new ControlApi.NameRequest("home");

    private static final String READER = "/holdfast/interop/read_copy.py";

    @TempDir Path dir;

    private TwoNodes nodes;
    private Path storage;
    private Path journal;
    private Path superblock;

    @BeforeEach
    void start() throws Exception {
        nodes = new TwoNodes(dir);
        nodes.pair();
        storage = dir.resolve("storage");
        journal = storage.resolve("home.journal");
        superblock = nodes.backupPaths.state().resolve("resources/home/superblock");
    }

    @AfterEach
    void stop() {
        nodes.close();
    }

    // ---- the devices -------------------------------------------------------------------------

    private Path disk(String name, int bytes) throws IOException {
        byte[] content = new byte[bytes];
        new Random(bytes).nextBytes(content);
        return Files.write(dir.resolve(name), content);
    }

    /// @return its address
    private String added(Path disk, int journalBytes) throws Exception {
        String uri = nodes.addAndAttach("home", disk, journalBytes);
        nodes.untilInSync("home");
        return uri;
    }

    /// In the copy, and durable, so that the next record says that this one is.
    private Instant write(String uri, String what) throws Exception {
        Run.ok("qemu-io", "-f", "raw", "-c", "write " + what, "-c", "flush", uri);
        nodes.untilInSync("home");
        return Instant.now();
    }

    private List<Path> inJournal(String suffix) throws IOException {
        try (Stream<Path> found = Files.list(journal)) {
            return found.filter(each -> each.toString().endsWith(suffix)).sorted().toList();
        }
    }

    /// Those that are not packed.
    private List<Path> segments() throws IOException {
        return inJournal("").stream()
                .filter(each -> each.getFileName().toString().matches("[0-9a-f]{16}"))
                .toList();
    }

    private boolean isTold(String kind) throws InterruptedException {
        boolean[] told = {false};
        nodes.backup.events(
                new ControlApi.EventsRequest(0, false),
                event -> told[0] |= event.kind().equals(kind));
        return told[0];
    }

    /// Changes a byte in the middle of the first 64 KiB of this value in the journal.
    private void damage(int value) throws IOException {
        for (Path segment : segments()) {
            byte[] all = Files.readAllBytes(segment);
            for (int at = 0; at + 65536 <= all.length; at += 8) {
                if (all[at] == value && all[at + 40000] == value && all[at + 65535] == value) {
                    try (FileChannel file = FileChannel.open(segment, StandardOpenOption.WRITE)) {
                        file.write(ByteBuffer.wrap(new byte[] {77}), at + 30000);
                    }
                    return;
                }
            }
        }
        throw new AssertionError("the journal does not hold 64 KiB of " + value);
    }

    private void settle() throws Exception {
        String confirm =
                nodes.backup
                        .settle(new ControlApi.SettleRequest("home", true, Optional.empty()))
                        .confirm();
        nodes.backup.settle(new ControlApi.SettleRequest("home", false, Optional.of(confirm)));
    }

    // ---- what is extracted -------------------------------------------------------------------

    private Path base() {
        return base(0);
    }

    private Path base(int volume) {
        return storage.resolve(volume == 0 ? "home.img" : "home." + volume + ".img");
    }

    private Extract.Request with(Path to, String at) {
        return new Extract.Request(
                base(),
                journal,
                Optional.of(superblock),
                Optional.empty(),
                Optional.empty(),
                Optional.empty(),
                to,
                Optional.ofNullable(at));
    }

    private Extract.Request without(Path base, String sizes, Integer volume, Path to) {
        return new Extract.Request(
                base,
                journal,
                Optional.empty(),
                Optional.ofNullable(sizes),
                Optional.ofNullable(volume),
                Optional.empty(),
                to,
                Optional.empty());
    }

    private Extract.Request of(Path base, Integer volume, Path to, Optional<Path> pins, String at) {
        return new Extract.Request(
                base,
                journal,
                Optional.of(superblock),
                Optional.empty(),
                Optional.ofNullable(volume),
                pins,
                to,
                Optional.ofNullable(at));
    }

    private static Extract.Reply extract(Extract.Request request) throws ProblemException {
        return extract(request, (_, _) -> {});
    }

    private static Extract.Reply extract(Extract.Request request, Extract.Progress progress)
            throws ProblemException {
        return ServiceLoader.load(DaemonEntry.class)
                .findFirst()
                .orElseThrow()
                .extract(request, progress);
    }

    private Problem refusal(Extract.Request request, String words) {
        boolean wasThere = Files.exists(request.to());
        Problem problem = assertThrows(ProblemException.class, () -> extract(request)).problem();
        assertTrue(problem.text().contains(words), problem.text());
        assertEquals(wasThere, Files.exists(request.to()), "nothing is left of it");
        return problem;
    }

    private Path image(String name) {
        return dir.resolve(name + ".img");
    }

    private void assertSame(Path expected, Path image) throws IOException {
        assertEquals(-1, Files.mismatch(expected, image));
    }

    private Path copied(Path disk, String name) throws IOException {
        return Files.copy(disk, dir.resolve(name + ".then"));
    }

    /// Who has the document alone comes to the same image (docs/on-disk-format.md).
    ///
    /// @param expected of each volume
    private void assertReaderAgrees(Path... expected) throws Exception {
        List<String> command = new ArrayList<>(List.of("/usr/bin/python3"));
        command.add(Path.of(ExtractTest.class.getResource(READER).toURI()).toString());
        command.add(superblock.toString());
        command.add(journal.toString());
        Path read = Files.createTempDirectory(dir, "read");
        for (int i = 0; i < expected.length; i++) {
            command.add(base(i) + "=" + read.resolve(i + ".img"));
        }
        Run.ok(command.toArray(String[]::new));
        for (int i = 0; i < expected.length; i++) {
            assertSame(expected[i], read.resolve(i + ".img"));
        }
    }

    private String readerRefuses() throws Exception {
        String script = Path.of(ExtractTest.class.getResource(READER).toURI()).toString();
        Path read = dir.resolve("read.img");
        String[] command = {
            "/usr/bin/python3",
            script,
            superblock.toString(),
            journal.toString(),
            base() + "=" + read
        };
        assertFalse(Run.succeeds(command));
        assertFalse(Files.exists(read));
        return Run.anyway(command);
    }

    // ---- one volume --------------------------------------------------------------------------

    @Test
    void aMomentIsWrittenToAFileFromTheFilesOfTheCopyAlone() throws Exception {
        Path disk = disk("disk.img", 8 * MIB);
        String uri = added(disk, 64 * MIB);
        Instant third = null;
        Path then = null;
        for (int i = 1; i <= 6; i++) {
            Instant now = write(uri, "-P %d 0 2M".formatted(i));
            if (i == 3) {
                third = now;
                then = copied(disk, "third");
            }
        }
        // What was written meanwhile comes with an epoch.
        nodes.server.disconnect(new ControlApi.LinkRequest(Optional.of("home")));
        Run.ok("qemu-io", "-f", "raw", "-c", "write -P 7 3M 1M", "-c", "write -z 0 64k", uri);
        nodes.server.close();
        nodes.startServer();
        nodes.server.connect(new ControlApi.LinkRequest(Optional.of("home")));
        nodes.untilInSync("home");
        TwoNodes.until("whole segments are packed", () -> inJournal(".packed").size() >= 3);
        nodes.backup.close();
        byte[] before = Files.readAllBytes(base());

        Extract.Reply reply = extract(with(image("newest"), null));
        assertEquals("", reply.damage());
        assertEquals(1, reply.volumes());
        assertSame(disk, image("newest"));
        assertReaderAgrees(disk);
        extract(with(image("third"), third.toString()));
        assertSame(then, image("third"));
        refusal(with(image("early"), "2001-01-01T00:00:00Z"), "older than what the base holds");

        Problem none = refusal(without(base(), null, null, image("none")), "superblock");
        assertTrue(none.text().contains("--sizes " + 8 * MIB), none.text());
        assertTrue(
                none.next().orElseThrow().contains("--superblock /var/lib/holdfast/resources/home"),
                none.text());
        extract(without(base(), Integer.toString(8 * MIB), null, image("lost")));
        assertSame(disk, image("lost"));
        refusal(without(base(), "16", null, image("none")), "has data for byte");
        refusal(without(base(), "much", null, image("none")), "--sizes is");

        for (Path taken : List.of(image("newest"), base())) {
            byte[] content = Files.readAllBytes(taken);
            refusal(with(taken, null), taken.toString());
            assertArrayEquals(content, Files.readAllBytes(taken));
        }
        assertArrayEquals(before, Files.readAllBytes(base()));

        // As a daemon does that rolls meanwhile.
        Problem rolled =
                assertThrows(
                                ProblemException.class,
                                () -> extract(with(image("none"), null), (_, _) -> countUp()))
                        .problem();
        assertTrue(rolled.text().contains("changed while the base was read"), rolled.text());
        assertFalse(Files.exists(image("none")));

        // An end in between leaves what is called a part, and is not written over.
        Path part = Files.write(dir.resolve("none.img.part"), new byte[] {1});
        refusal(with(image("none"), null), part + " is there");
        assertArrayEquals(new byte[] {1}, Files.readAllBytes(part));
        Files.delete(part);
        extract(with(image("none"), null));
        assertSame(disk, image("none"));
        assertFalse(Files.exists(part));
    }

    private void countUp() {
        try {
            replace(superblock());
        } catch (Exception e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void aDeviceThatHasGrownIsWrittenAsItIsSince() throws Exception {
        Path disk = disk("disk.img", 8 * MIB);
        String uri = added(disk, 64 * MIB);
        Instant small = write(uri, "-P 1 0 1M");
        Path then = copied(disk, "small");
        long size = 12 * MIB + 512;
        try (var file = new RandomAccessFile(disk.toFile(), "rw")) {
            file.setLength(size);
        }
        nodes.server.resize(HOME);
        nodes.untilInSync("home");
        write(uri, "-P 2 %d 512".formatted(size - 512));
        nodes.backup.close();
        assertEquals(size, extract(with(image("newest"), null)).sizeBytes());
        assertSame(disk, image("newest"));
        assertReaderAgrees(disk);
        // Of what size an older moment was is known as long as no newer one is of the larger
        // device.
        extract(with(image("old"), small.toString()));
        assertEquals(8 * MIB, Files.mismatch(then, image("old")));
        Files.writeString(superblock.resolveSibling("grown"), Integer.toString(8 * MIB));
        extract(with(image("cut"), small.toString()));
        assertSame(then, image("cut"));
    }

    @Test
    void aPromotedCopyIsWrittenWithWhatItHasTakenSince() throws Exception {
        Path disk = disk("disk.img", 8 * MIB);
        String uri = added(disk, 64 * MIB);
        Instant before = write(uri, "-P 1 0 1M");
        Path then = copied(disk, "before");
        nodes.server.close();
        ControlApi.PromoteReply promoted =
                nodes.backup.promote(
                        new ControlApi.PromoteRequest("home", Optional.empty(), false, false));
        String own = promoted.attached().orElseThrow().uri();
        Run.ok("qemu-io", "-f", "raw", "-c", "write -P 2 1M 1M", "-c", "flush", own);
        Path now = dir.resolve("now.then");
        Run.ok("nbdcopy", own, now.toString());
        nodes.backup.close();
        extract(with(image("newest"), null));
        assertSame(now, image("newest"));
        assertReaderAgrees(now);
        extract(with(image("before"), before.toString()));
        assertSame(then, image("before"));

        Path primary = superblock.getParent().resolveSibling("home~1").resolve("superblock");
        Path copy = superblock;
        superblock = primary;
        Problem wrong = refusal(with(image("none"), null), "is that of a primary");
        assertTrue(wrong.next().orElseThrow().contains("--superblock " + copy), wrong.text());
    }

    // ---- several volumes ---------------------------------------------------------------------

    @Test
    void eachOfSeveralVolumesIsWrittenAndNoneAsAnother() throws Exception {
        Path data = disk("data.img", 10 * MIB + 512);
        Path log = disk("log.img", 6 * MIB);
        nodes.server.add(
                new ControlApi.AddRequest(
                        "home",
                        List.of(data.toString(), log.toString()),
                        Optional.empty(),
                        Optional.empty(),
                        Optional.of(64L * MIB),
                        false));
        nodes.server.attach(HOME);
        nodes.untilInSync("home");
        String uri0 = nodes.atServer("home").volumes().get(0).uri().orElseThrow();
        String uri1 = nodes.atServer("home").volumes().get(1).uri().orElseThrow();
        write(uri0, "-P 1 %d 512".formatted(10 * MIB));
        Instant first = write(uri1, "-P 2 0 1M");
        Path thenData = copied(data, "data");
        Path thenLog = copied(log, "log");
        nodes.backup.keep(
                new ControlApi.KeepRequest("home", "kept", Optional.empty(), Optional.empty()));
        write(uri0, "-P 3 0 3M");
        write(uri1, "-z 5M 1M");
        // A volume that is not the last gets a segment behind all others.
        try (var file = new RandomAccessFile(data.toFile(), "rw")) {
            file.setLength(14 * MIB);
        }
        nodes.server.resize(HOME);
        nodes.untilInSync("home");
        write(uri0, "-P 4 9M 5M");
        nodes.backup.close();
        Path base1 = base(1);

        Extract.Reply reply = extract(of(base(), null, image("0"), Optional.empty(), null));
        assertEquals(2, reply.volumes());
        assertEquals(14 * MIB, reply.sizeBytes());
        assertSame(data, image("0"));
        assertEquals(1, extract(of(base1, null, image("1"), Optional.empty(), null)).volume());
        assertSame(log, image("1"));
        assertReaderAgrees(data, log);
        extract(of(base(), 0, image("then0"), Optional.empty(), first.toString()));
        assertEquals(10 * MIB + 512, Files.mismatch(thenData, image("then0")));
        extract(of(base1, 1, image("then1"), Optional.empty(), first.toString()));
        assertSame(thenLog, image("then1"));
        Optional<Path> pins = Optional.of(storage.resolve("home.pins"));
        extract(of(base(), 0, image("kept0"), pins, "kept"));
        assertSame(thenData, image("kept0"));
        extract(of(base1, 1, image("kept1"), pins, "kept"));
        assertSame(thenLog, image("kept1"));

        Path none = image("none");
        Problem wrong =
                refusal(of(base1, 0, none, Optional.empty(), null), "is volume 1 of the copy");
        assertTrue(wrong.next().orElseThrow().contains("--volume 1"), wrong.text());
        refusal(of(base(), 2, none, Optional.empty(), null), "--volume is 2");
        refusal(without(base1, null, null, none), "superblock");
        refusal(without(base1, Integer.toString(6 * MIB), null, none), "several volumes");

        // On other disks nothing says which is which.
        Path moved = Files.createDirectory(dir.resolve("moved")).resolve("home.1.img");
        Files.copy(base1, moved);
        Problem which = refusal(of(moved, null, none, Optional.empty(), null), "has 2 volumes");
        assertTrue(which.next().orElseThrow().contains("--volume 1"), which.text());
        extract(of(moved, 1, image("moved1"), Optional.empty(), null));
        assertSame(log, image("moved1"));
        String sizes = "0:%d 1:%d 0:%d".formatted(10 * MIB + 512, 6 * MIB, 4 * MIB - 512);
        extract(without(base(), sizes, 0, image("lost0")));
        assertSame(data, image("lost0"));
        extract(without(base1, sizes, 1, image("lost1")));
        assertSame(log, image("lost1"));
    }

    // ---- damage ------------------------------------------------------------------------------

    @Test
    void damageEndsInFrontOfItOrIsRefusedWhereTheBaseMayHoldMore() throws Exception {
        Path disk = disk("disk.img", 4 * MIB);
        String uri = added(disk, 16 * MIB);
        write(uri, "-P 1 0 64k");
        Path then = copied(disk, "one");
        write(uri, "-P 2 0 64k");
        write(uri, "-P 3 64k 64k");
        nodes.backup.close();
        damage(2);

        Extract.Reply reply = extract(with(image("front"), null));
        assertTrue(reply.damage().contains("says that it had been durable"), reply.damage());
        assertSame(then, image("front"));
        assertReaderAgrees(then);
        Path none = image("none");
        String sizes = Integer.toString(4 * MIB);
        Problem unknown = refusal(without(base(), sizes, null, none), "is damaged");
        assertTrue(unknown.next().orElseThrow().contains("--superblock"), unknown.text());
        // As if a roll-forward had been cut off that had come further.
        Superblock was = superblock();
        replace(CutOffRoll.of(was, 4 * MIB));
        refusal(with(none, null), "the image of no moment");
        assertTrue(readerRefuses().contains("rolled on"));
        // Of which one slot is damaged since, so that the other may be the newer one.
        replace(was);
        replace(was);
        byte[] slots = Files.readAllBytes(superblock);
        slots[100]++;
        Files.write(superblock, slots);
        refusal(with(none, null), "may be the one before the last");
    }

    @Test
    void whatTheBaseHoldsAlreadyMayBeDamaged() throws Exception {
        Path disk = disk("disk.img", 4 * MIB);
        String uri = added(disk, 16 * MIB);
        Instant first = write(uri, "-P 1 0 64k");
        write(uri, "-P 2 0 64k");
        write(uri, "-P 3 64k 64k");
        settle();
        damage(2);
        extract(with(image("newest"), null));
        assertSame(disk, image("newest"));
        assertReaderAgrees(disk);
        // Record 1 alone over that base would be no moment.
        refusal(without(base(), Integer.toString(4 * MIB), null, image("none")), "--superblock");

        // And the journal goes on from there.
        nodes.backup.connect(new ControlApi.LinkRequest(Optional.of("home")));
        nodes.untilInSync("home");
        write(uri, "-P 4 1M 64k");
        Path then = copied(disk, "four");
        Instant four = write(uri, "-P 5 2M 64k");
        write(uri, "-z 2M 64k");
        nodes.backup.close();
        extract(with(image("on"), null));
        assertSame(disk, image("on"));
        assertReaderAgrees(disk);
        refusal(with(image("none"), first.toString()), "older than what the base holds");
        damage(5);
        Extract.Reply reply = extract(with(image("front"), four.toString()));
        assertFalse(reply.damage().isEmpty());
        assertSame(then, image("front"));
    }

    @Test
    void anEndThatIsNotWholeIsRefusedWhereTheBaseMayHoldIt() throws Exception {
        Path disk = disk("disk.img", 4 * MIB);
        String uri = added(disk, 16 * MIB);
        write(uri, "-P 1 0 64k");
        Path then = copied(disk, "one");
        write(uri, "-P 2 0 64k");
        nodes.backup.close();
        damage(2);
        extract(with(image("front"), null));
        assertSame(then, image("front"));
        refusal(
                without(base(), Integer.toString(4 * MIB), null, image("none")),
                "is not whole, and the last");
    }

    /// Damage that the daemon has found while it ran, and the server has mended.
    @Test
    void aBridgeLeadsOverWhatWasMended() throws Exception {
        Path disk = disk("disk.img", 4 * MIB);
        String uri = added(disk, 16 * MIB);
        Instant front = write(uri, "-P 1 0 64k");
        Path then = copied(disk, "front");
        write(uri, "-P 2 0 64k");
        Random random = new Random(7);
        writeNoise(uri, random, "3584k", 64 << 10); // Behind the damage, in front of what mends it.
        damage(2);
        for (int i = 0; i < 4; i++) {
            writeNoise(uri, random, "2M", 3 * MIB / 2);
        }
        TwoNodes.until("it is mended", () -> isTold("journal-mended"));
        write(uri, "-P 5 1M 64k");
        nodes.backup.close();
        assertFalse(inJournal(".damage").isEmpty());

        assertEquals("", extract(with(image("newest"), null)).damage());
        assertSame(disk, image("newest"));
        assertReaderAgrees(disk);
        extract(with(image("front"), front.toString()));
        assertSame(then, image("front"));
        extract(without(base(), Integer.toString(4 * MIB), null, image("lost")));
        assertSame(disk, image("lost"));

        // What the bridge names is looked at, though it is not read otherwise.
        damageOnly(Files.readAllBytes(disk));
        refusal(with(image("none"), null), "from where the journal was mended on");
        extract(with(image("still"), front.toString()));
        assertSame(then, image("still"));
        for (Path note : inJournal(".damage")) {
            Files.delete(note);
        }
        Extract.Reply cut = extract(with(image("cut"), null));
        assertFalse(cut.damage().isEmpty());
        assertSame(then, image("cut"));
    }

    private void writeNoise(String uri, Random random, String at, int bytes) throws Exception {
        byte[] noise = new byte[bytes];
        random.nextBytes(noise);
        Path from = Files.write(dir.resolve("noise"), noise);
        String write = "write -s %s %s %d".formatted(from, at, bytes);
        Run.ok("qemu-io", "-f", "raw", "-c", write, "-c", "flush", uri);
    }

    /// Changes a byte of what was written at 3.5 MiB, in front of where it was mended.
    private void damageOnly(byte[] disk) throws IOException {
        for (Path segment : segments()) {
            byte[] all = Files.readAllBytes(segment);
            for (int at = 0; at + 4096 <= all.length; at += 8) {
                if (Arrays.equals(all, at, at + 4096, disk, 7 * MIB / 2, 7 * MIB / 2 + 4096)) {
                    try (FileChannel file = FileChannel.open(segment, StandardOpenOption.WRITE)) {
                        file.write(ByteBuffer.wrap(new byte[] {(byte) ~all[at]}), at);
                    }
                    return;
                }
            }
        }
        throw new AssertionError("the journal does not hold what was written last");
    }

    private Superblock superblock() throws Exception {
        return TwoSlotFile.look(superblock, Superblock.CODEC).value();
    }

    private void replace(Superblock with) throws Exception {
        try (TwoSlotFile<Superblock> slots =
                TwoSlotFile.open(superblock, with.resource(), Superblock.CODEC)) {
            slots.write(with);
        }
    }
}
