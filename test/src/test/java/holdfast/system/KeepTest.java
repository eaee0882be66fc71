package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ControlApi.Kept;
import holdfast.replicator.control.DaemonEntry;
import holdfast.replicator.control.Extract;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.status.StatusReport;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.ServiceLoader;
import java.util.concurrent.locks.LockSupport;

/// Moments that are kept under a name while the base is rolled past them, with daemons in processes
/// of their own that are killed in the middle of it.
class KeepTest {
    private static final int MIB = 1 << 20;

    @TempDir Path dir;

    private final Random random = new Random(7);
    private ServerAndBackup nodes;
    private NodeProcess server;
    private NodeProcess backup;
    private Path disk;

    private interface Story {
        void tell() throws Exception;
    }

    private void with(Story story) throws Exception {
        disk = Files.write(dir.resolve("disk.img"), new byte[8 * MIB]);
        try (ServerAndBackup both = new ServerAndBackup(dir)) {
            nodes = both;
            server = both.server;
            backup = both.backup;
            both.addHome(disk, 16 * MIB);
            settings("retention = \"0s\", retention-min = \"0s\"");
            untilInSync();
            story.tell();
        }
    }

    private void settings(String ofJournal) throws Exception {
        Path file = backup.paths.resourceDirectory().resolve("home.toml");
        String was = Files.readString(file, StandardCharsets.UTF_8);
        Files.writeString(
                file,
                was.replaceFirst(
                        "journal = .*", "journal = { size = \"16 MiB\", " + ofJournal + " }"));
        backup.api.adjust(new ControlApi.AdjustRequest(false));
    }

    private void untilInSync() {
        nodes.untilInSync("in sync");
    }

    /// Pieces of the device, at places that are no whole blocks.
    private String[] writes(int count) {
        List<String> command = new ArrayList<>(List.of("qemu-io", "-f", "raw"));
        for (int i = 0; i < count; i++) {
            long length = 512L * (1 + random.nextInt(400));
            long offset = 512L * random.nextInt((int) ((8 * MIB - length) / 512));
            command.add("-c");
            command.add(
                    random.nextInt(8) == 0
                            ? "write -z -u %d %d".formatted(offset, length)
                            : "write -P %d %d %d"
                                    .formatted(1 + random.nextInt(250), offset, length));
        }
        command.add("nbd+unix:///home?socket=" + server.paths.run().resolve("home.nbd"));
        return command.toArray(String[]::new);
    }

    private void write(int count) throws Exception {
        Run.ok(writes(count));
        untilInSync();
    }

    /// @return what the device holds at the moment that is kept
    private Path keep(String name, Optional<String> span) throws Exception {
        untilInSync();
        Path content = Files.copy(disk, dir.resolve(name + ".img"));
        ControlApi.KeepReply reply =
                backup.api.keep(
                        new ControlApi.KeepRequest("home", name, Optional.of("latest"), span));
        assertEquals(name, reply.kept().as());
        return content;
    }

    private List<Kept> kept() throws Exception {
        return backup.api.points(new ControlApi.NameRequest("home")).kept();
    }

    private ControlApi.PointsReply points() throws Exception {
        return backup.api.points(new ControlApi.NameRequest("home"));
    }

    private StatusReport.View open(String name) throws Exception {
        return backup.api.open(new ControlApi.OpenRequest("home", Optional.of(name))).view();
    }

    private void shows(StatusReport.View view, Path content) throws Exception {
        Run.ok("qemu-img", "compare", "-f", "raw", "-F", "raw", content.toString(), view.uri());
    }

    private void isRight(String name, Path content) throws Exception {
        StatusReport.View view = open(name);
        shows(view, content);
        backup.api.closeView(new ControlApi.CloseRequest(view.id()));
    }

    private void killWhileWriting() throws Exception {
        Process writing = new ProcessBuilder(writes(60)).redirectErrorStream(true).start();
        LockSupport.parkNanos(random.nextInt(250) * 1_000_000L);
        backup.kill();
        writing.getInputStream().readAllBytes();
        assertEquals(0, writing.waitFor());
        backup.start();
        backup.awaitAnswer();
        untilInSync();
    }

    private String drop(String name) throws Exception {
        String confirm =
                backup.api
                        .drop(new ControlApi.DropRequest("home", name, true, Optional.empty()))
                        .confirm();
        backup.api.drop(new ControlApi.DropRequest("home", name, false, Optional.of(confirm)));
        return confirm;
    }

    @Test
    void aKeptMomentIsRightWhateverIsWrittenAndKilled() throws Exception {
        with(
                () -> {
                    write(60);
                    server.api.disconnect(new ControlApi.LinkRequest(Optional.of("home")));
                    Run.ok(writes(10));
                    server.api.connect(new ControlApi.LinkRequest(Optional.of("home")));
                    // What is kept is the commit of a catch-up: nothing was before it for a while.
                    Path one = keep("one", Optional.empty());
                    StatusReport.View open = open("one");
                    write(110);
                    TwoNodes.until("rolled past", () -> kept().getFirst().bytes() > 0);
                    shows(open, one);
                    killWhileWriting();
                    isRight("one", one);
                    Path two = keep("two", Optional.of("12h"));
                    killWhileWriting();
                    write(110);
                    TwoNodes.until("rolled past", () -> kept().getLast().bytes() > 0);
                    isRight("one", one);
                    isRight("two", two);

                    StatusReport.View view = open("two");
                    ProblemException inUse =
                            assertThrows(ProblemException.class, () -> drop("two"));
                    assertTrue(inUse.getMessage().contains("open"), inUse.getMessage());
                    backup.api.closeView(new ControlApi.CloseRequest(view.id()));
                    ProblemException unsure =
                            assertThrows(
                                    ProblemException.class,
                                    () ->
                                            backup.api.drop(
                                                    new ControlApi.DropRequest(
                                                            "home",
                                                            "two",
                                                            false,
                                                            Optional.empty())));
                    assertEquals(6, unsure.problem().exitCode());
                    assertEquals("backup/home@two", drop("two"));
                    write(60);
                    isRight("one", one);
                    backup.kill();
                    extracted("one", one);
                    backup.start();
                    backup.awaitAnswer();
                    untilInSync();
                    isRight("one", one);
                    assertThrows(ProblemException.class, () -> open("two"));
                    drop("one");
                    assertEquals(0, points().keptBytes());
                    isRight("latest", disk);
                });
    }

    /// From its files alone, as a killed daemon has left them.
    private void extracted(String name, Path content) throws Exception {
        Path storage = dir.resolve("storage");
        Path to = dir.resolve("extracted.img");
        ServiceLoader.load(DaemonEntry.class)
                .findFirst()
                .orElseThrow()
                .extract(
                        new Extract.Request(
                                storage.resolve("home.img"),
                                storage.resolve("home.journal"),
                                Optional.of(
                                        backup.paths.state().resolve("resources/home/superblock")),
                                Optional.empty(),
                                Optional.empty(),
                                Optional.of(storage.resolve("home.pins")),
                                to,
                                Optional.of(name)),
                        (_, _) -> {});
        assertEquals(-1, Files.mismatch(content, to));
    }

    /// What is kept for a second goes by itself; for the rest there is no room any more, until it
    /// is dropped.
    @Test
    void whatHasExpiredIsGoneAndWithoutRoomTheJournalFillsUntilSomethingIsDropped()
            throws Exception {
        with(
                () -> {
                    keep("short", Optional.of("1s"));
                    write(30);
                    settings("retention = \"0s\", retention-min = \"0s\", keep-max = \"64 KiB\"");
                    Path one = keep("one", Optional.of("1h"));
                    NodeProcess.until(
                            "expired",
                            () -> {
                                write(10);
                                return kept().size() == 1;
                            },
                            server,
                            backup);
                    for (String wrong : List.of("latest", "12:03", "one")) {
                        assertThrows(
                                ProblemException.class,
                                () ->
                                        backup.api.keep(
                                                new ControlApi.KeepRequest(
                                                        "home",
                                                        wrong,
                                                        Optional.empty(),
                                                        Optional.empty())));
                    }
                    Run.ok(writes(200));
                    NodeProcess.until(
                            "it says why nothing is rolled",
                            () ->
                                    backup.api.status().toString().contains("keep home one --drop")
                                            && backup.api.status().toString().contains("keep-max"),
                            server,
                            backup);
                    isRight("one", one);
                    drop("one");
                    write(60);
                    isRight("latest", disk);
                });
    }
}
