package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.status.StatusReport;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.stream.Stream;

/// The backup comes up and its storage is not what it was: not mounted, another file, a damaged
/// journal. It never takes that for a new copy, and never lets a mixture be opened.
class LostStorageTest {
    private static final int MIB = 1 << 20;

    @TempDir Path dir;

    private TwoNodes nodes;
    private Path storage;
    private Path disk;
    private String uri;

    @BeforeEach
    void start() throws Exception {
        nodes = new TwoNodes(dir);
        nodes.pair();
        storage = dir.resolve("storage");
        disk = dir.resolve("disk.img");
        byte[] content = new byte[4 * MIB];
        new Random(5).nextBytes(content);
        Files.write(disk, content);
        uri = nodes.addAndAttach("home", disk, 16 * MIB);
        nodes.untilInSync("home");
        nodes.backup.close();
    }

    @AfterEach
    void stop() {
        nodes.close();
    }

    @Test
    void aStorageThatIsNotMountedIsWaitedFor() throws Exception {
        // What the mount point shows without the filesystem: an empty directory.
        Path away = dir.resolve("away");
        Files.move(storage, away);
        Files.createDirectory(storage);
        nodes.startBackup();
        assertIsRefused("its base is not there");
        Files.createFile(storage.resolve("home.img"));
        assertIsRefused("its base is another one");
        Files.delete(storage.resolve("home.img"));
        Files.move(away.resolve("home.img"), storage.resolve("home.img"));
        assertIsRefused("its journal is not there");
        Files.createDirectory(storage.resolve("home.journal"));
        assertIsRefused("its journal is not there");
        assertEquals(List.of(), list(storage.resolve("home.journal")));
        Files.delete(storage.resolve("home.journal"));
        Files.move(away.resolve("home.journal"), storage.resolve("home.journal"));
        connect();
        nodes.untilInSync("home");
        assertSameAsDisk();
    }

    @Test
    void aBaseThatIsAnotherFileIsNotTaken() throws Exception {
        Path base = storage.resolve("home.img");
        Path kept = dir.resolve("kept.img");
        Files.move(base, kept);
        Files.write(base, new byte[4 * MIB]);
        nodes.startBackup();
        assertIsRefused("its base is another one");
        assertArrayEquals(new byte[4 * MIB], Files.readAllBytes(base));
        // Moved by its owner, who says so.
        Files.copy(kept, base, java.nio.file.StandardCopyOption.REPLACE_EXISTING);
        Files.delete(nodes.backupPaths.state().resolve("resources/home/base"));
        connect();
        nodes.untilInSync("home");
        assertSameAsDisk();
    }

    @Test
    void aDamagedJournalEndsThePointsAndIsMended() throws Exception {
        Run.ok("qemu-io", "-f", "raw", "-c", "write -P 1 0 64k", uri);
        nodes.startBackup();
        nodes.untilInSync("home");
        Run.ok("qemu-io", "-f", "raw", "-c", "write -P 2 0 64k", "-c", "flush", uri);
        nodes.untilInSync("home"); // So the next record says that this one is durable.
        Run.ok("qemu-io", "-f", "raw", "-c", "write -P 3 64k 64k", "-c", "flush", uri);
        nodes.untilInSync("home");
        nodes.backup.close();
        overwrite((byte) 2);
        nodes.startBackup();
        TwoNodes.until(
                "the damage is told", () -> events().anyMatch(e -> e.contains("is back at")));
        nodes.untilInSync("home");
        assertSameAsDisk();
        nodes.backup.close();
        nodes.startBackup();
        assertTrue(events().noneMatch(e -> e.startsWith("journal-damaged")));
        nodes.untilInSync("home");
        assertSameAsDisk();
    }

    /// Found by the roll-forward that a full journal demands: the newest moment stays, the server
    /// mends what of it cannot be read, and the base passes the damage.
    @Test
    void damageThatIsFoundWhileItRunsCostsMomentsAndNotTheCopy() throws Exception {
        nodes.startBackup();
        nodes.untilInSync("home");
        Run.ok("qemu-io", "-f", "raw", "-c", "write -P 2 0 64k", "-c", "flush", uri);
        nodes.untilInSync("home");
        overwrite((byte) 2);
        Random random = new Random(6);
        fill(random);
        TwoNodes.until(
                "it is mended", () -> events().anyMatch(e -> e.startsWith("journal-mended")));
        nodes.untilInSync("home");
        List<String> told = events().filter(e -> e.startsWith("journal-")).distinct().toList();
        System.out.println("LostStorageTest: " + told);
        assertTrue(
                told.stream().anyMatch(e -> e.contains("65536 bytes of the newest moment")),
                told.toString());
        assertTrue(told.stream().noneMatch(e -> e.contains("is back at")), told.toString());
        assertEquals("UP_TO_DATE", atBackup().disk());
        assertTrue(atBackup().trouble().isEmpty(), atBackup().trouble().toString());
        assertSameAsDisk();
        // The base has passed what is damaged: nothing of it is read any more.
        fill(random);
        nodes.untilInSync("home");
        assertSameAsDisk();
        nodes.backup.close();
        nodes.startBackup();
        nodes.untilInSync("home");
        assertTrue(events().noneMatch(e -> e.startsWith("journal-damaged")));
        assertSameAsDisk();
    }

    /// Found when its segment is whole. What was kept behind the mending stays, also when the base
    /// passes the damage after a restart.
    @Test
    void aRestartForgetsNothingOfDamageThatWasFound() throws Exception {
        nodes.startBackup();
        nodes.untilInSync("home");
        Run.ok("qemu-io", "-f", "raw", "-c", "write -P 2 0 64k", "-c", "flush", uri);
        nodes.untilInSync("home");
        overwrite((byte) 2);
        Random random = new Random(7);
        fill(random, 3);
        TwoNodes.until(
                "it is mended", () -> events().anyMatch(e -> e.startsWith("journal-mended")));
        nodes.untilInSync("home");
        Path journal = storage.resolve("home.journal");
        assertTrue(list(journal).stream().anyMatch(e -> e.toString().endsWith(".damage")));
        byte[] then = Files.readAllBytes(disk);
        nodes.backup.keep(
                new ControlApi.KeepRequest("home", "then", Optional.empty(), Optional.empty()));
        nodes.backup.close();
        nodes.startBackup();
        nodes.untilInSync("home");
        fill(random, 8);
        TwoNodes.until(
                "the base has passed it",
                () -> list(journal).stream().noneMatch(e -> e.toString().endsWith(".damage")));
        nodes.untilInSync("home");
        List<String> told = events().filter(e -> e.startsWith("journal-d")).toList();
        assertEquals(List.of(), told);
        assertTrue(events().noneMatch(e -> e.startsWith("pin-lost")));
        assertSameAsDisk();
        assertSame(Files.write(dir.resolve("then.img"), then), Optional.of("then"));
    }

    /// As much as the journal holds, and what does not get less by packing.
    private void fill(Random random) throws Exception {
        fill(random, 8);
    }

    private void fill(Random random, int times) throws Exception {
        byte[] noise = new byte[2 * MIB];
        Path from = dir.resolve("noise");
        for (int i = 0; i < times; i++) {
            random.nextBytes(noise);
            Files.write(from, noise);
            // Half of the device: what is marked while the copy is mended needs room as well.
            String write = "write -s %s 2M 2M".formatted(from);
            Run.ok("qemu-io", "-f", "raw", "-c", write, "-c", "flush", uri);
        }
    }

    /// A journal whose end has gone under it, until an operator has it back.
    @Test
    void aCopyThatHasFailedSaysWhatToDoAndIsOpenedAnewByConnect() throws Exception {
        nodes.startBackup();
        nodes.untilInSync("home");
        Run.ok("qemu-io", "-f", "raw", "-c", "write -P 9 0 64k", "-c", "flush", uri);
        nodes.untilInSync("home");
        ControlApi.OpenReply view =
                nodes.backup.open(new ControlApi.OpenRequest("home", Optional.empty()));
        List<Path> segments = list(storage.resolve("home.journal"));
        List<byte[]> kept = new ArrayList<>();
        for (Path each : segments) {
            kept.add(Files.readAllBytes(each));
            try (FileChannel file = FileChannel.open(each, StandardOpenOption.WRITE)) {
                file.truncate(0);
            }
        }
        Run.anyway("qemu-io", "-r", "-f", "raw", "-c", "read 0 64k", view.view().uri());
        TwoNodes.until("failed", () -> atBackup().disk().equals("FAILED"));
        String sentence = nodes.backup.status().sentences().getFirst();
        assertTrue(
                sentence.contains(
                        "Next, once its disk is mended: "
                                + nodes.backupPaths.command("connect home")),
                sentence);
        for (int i = 0; i < segments.size(); i++) {
            Files.write(segments.get(i), kept.get(i), StandardOpenOption.WRITE);
        }
        connect();
        nodes.untilInSync("home");
        TwoNodes.until("up to date", () -> atBackup().disk().equals("UP_TO_DATE"));
        assertSameAsDisk();
    }

    private StatusReport.Resource atBackup() {
        return nodes.backup.status().resource("home").orElseThrow();
    }

    /// As if a roll-forward had been cut off, and then the records that it had come to were lost.
    @Test
    void aMixtureIsNeverOpenedAndIsMended() throws Exception {
        nodes.server.disconnect(new ControlApi.LinkRequest(Optional.of("home")));
        CutOffRoll.in(nodes, "home", 1 << 20);
        nodes.startBackup();
        TwoNodes.until(
                "the damage is told",
                () -> events().anyMatch(e -> e.contains("is no image of any moment")));
        ProblemException e =
                assertThrows(
                        ProblemException.class,
                        () ->
                                nodes.backup.open(
                                        new ControlApi.OpenRequest("home", Optional.empty())));
        assertTrue(e.problem().text().contains("is the image of no moment"), e.problem().text());
        StatusReport.Resource home = nodes.backup.status().resource("home").orElseThrow();
        assertEquals("INCONSISTENT", home.disk());
        assertTrue(home.copyTime().isEmpty());
        assertTrue(home.trouble().orElseThrow().contains("journal was damaged"));
        nodes.server.connect(new ControlApi.LinkRequest(Optional.of("home")));
        nodes.untilInSync("home");
        assertSameAsDisk();
        nodes.backup.close();
        nodes.startBackup();
        nodes.untilInSync("home");
        assertSameAsDisk();
    }

    /// Changes a byte in the middle of 64 KiB of this value in the journal.
    private void overwrite(byte value) throws IOException {
        for (Path segment : list(storage.resolve("home.journal"))) {
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

    private static List<Path> list(Path directory) throws IOException {
        try (Stream<Path> found = Files.list(directory)) {
            return found.filter(each -> !each.getFileName().toString().startsWith("spare"))
                    .toList();
        }
    }

    private void connect() throws ProblemException {
        nodes.backup.connect(new ControlApi.LinkRequest(Optional.of("home")));
    }

    private void assertIsRefused(String words) {
        ProblemException e = assertThrows(ProblemException.class, this::connect);
        String text = e.problem().text();
        System.out.println("LostStorageTest: " + text.replace('\n', '|'));
        assertTrue(text.contains(words), text);
        assertTrue(text.contains("connect home"), text);
        assertTrue(nodes.backup.status().resource("home").isEmpty());
        String sentence = nodes.backup.status().sentences().getFirst();
        assertTrue(sentence.contains("home is not open"), sentence);
        assertFalse(nodes.atServer("home").replication().equals("ESTABLISHED"));
    }

    private Stream<String> events() throws Exception {
        List<String> events = new ArrayList<>();
        nodes.backup.events(
                new ControlApi.EventsRequest(0, false),
                each -> events.add(each.kind() + " " + each.text()));
        return events.stream();
    }

    private void assertSameAsDisk() throws Exception {
        assertSame(disk, Optional.empty());
    }

    private void assertSame(Path as, Optional<String> moment) throws Exception {
        ControlApi.OpenReply view = nodes.backup.open(new ControlApi.OpenRequest("home", moment));
        try {
            Run.ok(
                    "qemu-img",
                    "compare",
                    "-f",
                    "raw",
                    "-F",
                    "raw",
                    as.toString(),
                    view.view().uri());
        } finally {
            nodes.backup.closeView(new ControlApi.CloseRequest(view.view().id()));
        }
    }
}
