package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.bench.BlockClient;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.status.StatusReport;
import holdfast.replicator.status.StatusTable;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;

/// Each kind of file whose hanging stops something does not answer, at the server and at the backup
/// at once, of one resource each. Status and events of that side name it and say what waits, others
/// do not wait for it, and all goes on when it answers.
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class HangingFilesTest {
    private static final int BLOCK = 4096;
    private static final int MIB = 1 << 20;

    private FaultyDisk server;
    private FaultyDisk backup;
    private TwoProcesses nodes;
    private Path homeDisk;
    private Path awayDisk;
    private int fill;

    /// What hangs of `home` at the server, and of `away` at the backup.
    enum Round {
        DISK_AND_JOURNAL("home.disk", FaultyDisk.WRITE, "away.journal/", FaultyDisk.SYNC),
        DISK_SYNC_AND_BASE("home.disk", FaultyDisk.SYNC, "away.img", FaultyDisk.WRITE),
        METADATA_AND_SUPERBLOCK(
                "home/metadata", FaultyDisk.WRITE, "away/superblock", FaultyDisk.WRITE),
        SUPERBLOCK_AND_JOURNAL_WRITE(
                "home/superblock", FaultyDisk.SYNC, "away.journal/", FaultyDisk.WRITE);

        private final String atServer;
        private final int serverCalls;
        private final String atBackup;
        private final int backupCalls;

        Round(String atServer, int serverCalls, String atBackup, int backupCalls) {
            this.atServer = atServer;
            this.serverCalls = serverCalls;
            this.atBackup = atBackup;
            this.backupCalls = backupCalls;
        }

        boolean isOfJournal() {
            return atBackup.endsWith("journal/");
        }

        /// Only an order writes it.
        boolean isOfServersSuperblock() {
            return atServer.endsWith("superblock");
        }

        String waitsAtServer() {
            return switch (this) {
                case DISK_AND_JOURNAL, DISK_SYNC_AND_BASE -> "what was asked of it waits";
                case METADATA_AND_SUPERBLOCK -> "where nothing was written lately";
                case SUPERBLOCK_AND_JOURNAL_WRITE -> "an attach, a detach or a growth";
            };
        }

        String waitsAtBackup() {
            return isOfJournal()
                    ? "nothing that comes from left is stored or acknowledged"
                    : "nothing goes from the journal into the base";
        }
    }

    @BeforeAll
    void start(@TempDir Path dir) throws Exception {
        Path library = FaultyDisk.build(dir);
        server = new FaultyDisk(library, dir.resolve("left.faults"), dir);
        backup = new FaultyDisk(library, dir.resolve("right.faults"), dir);
        nodes = new TwoProcesses(dir, server.environment(), backup.environment());
        homeDisk = nodes.add(nodes.left, "home", 64 * MIB);
        nodes.add(nodes.left, "other", 4 * MIB);
        awayDisk = nodes.disk("away", 4 * MIB);
        nodes.left.api.add(
                new ControlApi.AddRequest(
                        "away",
                        List.of(awayDisk.toString()),
                        Optional.empty(),
                        Optional.of("C"),
                        Optional.of(16L * MIB),
                        false));
        nodes.left.api.attach(new ControlApi.NameRequest("away"));
        nodes.awaitInSync(nodes.left, "away");
        rollAtOnce();
        await(writing("home", 0));
        await(writing("away", 0));
    }

    @AfterAll
    void stop() throws Exception {
        nodes.close();
    }

    /// Every write to `away` goes into the base of the copy.
    private void rollAtOnce() throws Exception {
        Path file = nodes.right.paths.resourceDirectory().resolve("away.toml");
        String now = Files.readString(file);
        String then =
                now.replaceFirst(
                        "journal = .*",
                        "journal = { size = \"16 MiB\", retention-min = \"0s\", retention = \"0s\" }");
        assertFalse(then.equals(now), now);
        Files.writeString(file, then);
        nodes.right.api.adjust(new ControlApi.AdjustRequest(false));
    }

    @ParameterizedTest
    @EnumSource
    void whatHangsIsNamedAtItsSideAndHoldsUpNothingElse(Round round) throws Exception {
        int told = events(nodes.left, "home").size();
        int toldAtBackup = events(nodes.right, "away").size();
        server.arm(FaultyDisk.Kind.HANG, round.serverCalls, round.atServer, 1, 1);
        backup.arm(FaultyDisk.Kind.HANG, round.backupCalls, round.atBackup, 1, 1);
        // Each time another extent, which is not in the activity log yet.
        CompletableFuture<Exception> home =
                round.isOfServersSuperblock()
                        ? detaching()
                        : writing("home", (1L + round.ordinal()) * 8 * MIB);
        CompletableFuture<Exception> away = round.isOfJournal() ? writing("away", 0) : rolling();
        try {
            NodeProcess.until("the server's hangs", server::hasStruck, nodes.left);
            NodeProcess.until("the backup's hangs", backup::hasStruck, nodes.right);
            for (int i = 0; i < 5; i++) {
                await(writing("other", 0));
            }
            if (!round.isOfJournal()) {
                nodes.awaitInSync(nodes.left, "other");
            }
            awaitTold(nodes.left, "home", "disk-hangs", server.where(), told);
            awaitTold(nodes.right, "away", "disk-hangs", backup.where(), toldAtBackup);
            assertSays(nodes.left, "home", server.where(), round.waitsAtServer());
            assertSays(nodes.right, "away", backup.where(), round.waitsAtBackup());
            assertEquals("", trouble(nodes.left, "other"));
            if (round.isOfJournal()) {
                // Whose writes wait for it is told where they were written.
                NodeProcess.until(
                        "the server waits",
                        () -> trouble(nodes.left, "away").contains("until right acknowledges it"),
                        nodes.left);
                assertTrue(
                        trouble(nodes.left, "away").contains("holdfast status away"),
                        trouble(nodes.left, "away"));
                assertFalse(away.isDone(), "answered before it was in the copy");
                assertSays(nodes.right, "other", "away.journal", "waits behind it");
            } else {
                await(away); // It is in the journal.
                assertEquals("", trouble(nodes.right, "other"));
            }
            assertFalse(home.isDone(), "home went on");
        } finally {
            server.release();
            backup.release();
        }
        await(home);
        await(away);
        if (round.isOfServersSuperblock()) {
            nodes.left.api.attach(new ControlApi.NameRequest("home"));
        }
        awaitTold(nodes.left, "home", "disk-answers", server.where(), told);
        awaitTold(nodes.right, "away", "disk-answers", backup.where(), toldAtBackup);
        for (String each : List.of("home", "away", "other")) {
            nodes.awaitInSync(nodes.left, each);
            assertEquals("", trouble(nodes.left, each));
            assertEquals("", trouble(nodes.right, each));
        }
        TwoProcesses.compare(nodes.right, "home", homeDisk);
        TwoProcesses.compare(nodes.right, "away", awayDisk);
    }

    /// R10.
    @Test
    void statusSaysOfProtocolCThatItProtectsNothingWhileTheCopyIsAway() throws Exception {
        assertFalse(table().contains("unprotected"), table());
        nodes.left.api.disconnect(new ControlApi.LinkRequest(Optional.of("away")));
        try {
            NodeProcess.until(
                    "unprotected",
                    () -> table().contains("protocol C, unprotected: writes are answered before"),
                    nodes.left);
            await(writing("away", 8192));
        } finally {
            nodes.left.api.connect(new ControlApi.LinkRequest(Optional.of("away")));
        }
        nodes.awaitInSync(nodes.left, "away");
        assertFalse(table().contains("unprotected"), table());
    }

    private String table() throws ProblemException {
        return StatusTable.of(nodes.left.api.status(), ZoneOffset.UTC);
    }

    private void assertSays(NodeProcess node, String name, String file, String waits) {
        NodeProcess.until(
                name + " says what hangs, and that " + waits,
                () -> trouble(node, name).contains("has not answered a request for"),
                node);
        String words = trouble(node, name);
        assertTrue(words.contains(file) && words.contains(waits), words);
    }

    private static String trouble(NodeProcess node, String name) {
        return node.resource(name).flatMap(StatusReport.Resource::trouble).orElse("");
    }

    /// @param told how many events there were before
    private static void awaitTold(
            NodeProcess node, String name, String kind, String file, int told) {
        NodeProcess.until(
                kind + " of " + file,
                () -> {
                    List<String> since = events(node, name);
                    return since.subList(told, since.size()).stream()
                            .anyMatch(each -> each.startsWith(kind) && each.contains(file));
                },
                node);
    }

    private static List<String> events(NodeProcess node, String name) throws ProblemException {
        List<String> texts = new ArrayList<>();
        node.api.events(
                new ControlApi.EventsRequest(0, false),
                each -> {
                    if (each.resource().filter(name::equals).isPresent()) {
                        texts.add(each.kind() + " " + each.text());
                    }
                });
        return texts;
    }

    private CompletableFuture<Exception> detaching() {
        return started(() -> nodes.left.api.detach(new ControlApi.NameRequest("home")));
    }

    /// A block, made durable.
    private CompletableFuture<Exception> writing(String name, long offset) {
        byte[] block = new byte[BLOCK];
        Arrays.fill(block, (byte) (1 + fill++ % 100));
        return started(
                () -> {
                    try (BlockClient client =
                            new BlockClient(TwoProcesses.socket(nodes.left, name), name)) {
                        client.write(offset, ByteBuffer.wrap(block), true);
                    }
                });
    }

    /// So much that the copy brings it into its base.
    private CompletableFuture<Exception> rolling() {
        byte[] data = new byte[MIB];
        Arrays.fill(data, (byte) (1 + fill++ % 100));
        return started(
                () -> {
                    try (BlockClient client =
                            new BlockClient(TwoProcesses.socket(nodes.left, "away"), "away")) {
                        for (int i = 0; i < 6; i++) {
                            client.write((long) (i % 4) * MIB, ByteBuffer.wrap(data), true);
                        }
                    }
                });
    }

    private interface Work {
        void run() throws IOException, ProblemException;
    }

    /// Null when it is done.
    private static CompletableFuture<Exception> started(Work work) {
        CompletableFuture<Exception> done = new CompletableFuture<>();
        Thread.ofPlatform()
                .start(
                        () -> {
                            try {
                                work.run();
                                done.complete(null);
                            } catch (IOException | ProblemException | RuntimeException e) {
                                done.complete(e);
                            }
                        });
        return done;
    }

    private static void await(CompletableFuture<Exception> work) throws Exception {
        Exception failed = work.get();
        if (failed != null) {
            throw failed;
        }
    }
}
