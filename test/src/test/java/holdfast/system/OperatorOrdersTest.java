package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.bench.BlockClient;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.Problem;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.status.StatusReport;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Optional;
import java.util.Random;

/// What an operator orders about catching up: that it stands still, that everything is compared,
/// and to wait for what was written.
class OperatorOrdersTest {
    private static final int MIB = 1 << 20;
    private static final ControlApi.NameRequest HOME = new ControlApi.NameRequest("home");

    @TempDir Path dir;

    private TwoNodes nodes;
    private Path disk;

    @BeforeEach
    void start() throws Exception {
        nodes = new TwoNodes(dir);
        nodes.pair();
        disk = dir.resolve("disk.img");
        byte[] content = new byte[4 * MIB];
        new Random(5).nextBytes(content);
        Files.write(disk, content);
    }

    @AfterEach
    void stop() {
        nodes.close();
    }

    // ---- pause-sync --------------------------------------------------------------------------

    @Test
    void aPausedFirstSyncStandsStillOverRestartsUntilItMayGoOn() throws Exception {
        nodes.server.add(TwoNodes.addRequest("home", disk, 16 * MIB));
        nodes.server.pauseSync(HOME);
        nodes.server.attach(HOME);
        nodes.untilServer("home", "is to begin", r -> r.replication().equals("FIRST_SYNC"));
        write(0, 1);
        nodes.backup.close();
        nodes.startBackup();
        nodes.server.close();
        nodes.startServer();
        nodes.untilServer("home", "is to begin again", r -> r.replication().equals("FIRST_SYNC"));
        StatusReport.Resource home = nodes.atServer("home");
        assertTrue(home.syncPaused());
        assertEquals(0, home.progress().orElseThrow().doneBytes());
        assertEquals("none", atBackup().committed());
        String next = nodes.serverPaths.command("resume-sync home");
        assertTrue(home.trouble().orElseThrow().endsWith("paused by the operator. Next: " + next));
        TwoNodes.until(
                "the backup's operator is told",
                () ->
                        atBackup().trouble().orElse("").contains("by an operator of server")
                                && atBackup().trouble().orElse("").contains(next));
        nodes.server.resumeSync(HOME);
        nodes.untilInSync("home");
        assertFalse(nodes.atServer("home").syncPaused());
        TwoNodes.until("told that it is over", () -> atBackup().trouble().isEmpty());
        assertCopyIsSame(true);
    }

    @Test
    void anEstablishedStreamGoesOnWhileAComparisonIsPaused() throws Exception {
        nodes.addAndAttach("home", disk, 16 * MIB);
        nodes.untilInSync("home");
        nodes.server.pauseSync(HOME);
        write(0, 2);
        nodes.untilInSync("home");
        nodes.server.invalidateRemote(HOME);
        nodes.untilServer("home", "to be compared", r -> r.replication().equals("COMPARE"));
        write(MIB, 3);
        assertEquals(ControlApi.WaitState.TIMED_OUT, waitFor(true, 0.5).state());
        assertEquals("COMPARE", nodes.atServer("home").replication());
        nodes.server.resumeSync(HOME);
        assertEquals(ControlApi.WaitState.DONE, waitFor(true, 60).state());
        assertCopyIsSame(true);
    }

    @Test
    void atTheBackupTheOrderIsSentToItsPlace() throws Exception {
        nodes.addAndAttach("home", disk, 16 * MIB);
        for (Executable each :
                new Executable[] {
                    () -> nodes.backup.pauseSync(HOME), () -> nodes.backup.resumeSync(HOME)
                }) {
            Problem problem = refusal(3, each);
            assertEquals(Optional.of("SECONDARY"), problem.role());
            assertTrue(problem.next().orElseThrow().startsWith("at server: holdfast "));
        }
    }

    // ---- invalidate --------------------------------------------------------------------------

    @Test
    void aCopyThatIsMistrustedIsComparedAndMendedAndCanBeOpenedMeanwhile() throws Exception {
        nodes.addAndAttach("home", disk, 16 * MIB);
        nodes.untilInSync("home");
        for (boolean atTheBackup : new boolean[] {true, false}) {
            spoilTheCopy(atTheBackup ? 3 * MIB : 2 * MIB);
            nodes.untilInSync("home");
            assertCopyIsSame(false);
            ControlApi.OpenReply view = open();
            if (atTheBackup) {
                nodes.backup.invalidate(HOME);
            } else {
                nodes.server.invalidateRemote(HOME);
            }
            assertEquals(ControlApi.WaitState.DONE, waitFor(false, 60).state());
            assertCopyIsSame(true);
            assertFalse(isSame(view), "what was opened before stays as it was");
            nodes.backup.closeView(new ControlApi.CloseRequest(view.view().id()));
            nodes.untilInSync("home");
            Path mark = nodes.serverPaths.state().resolve("resources/home/compare-all");
            TwoNodes.until("the order is carried out", () -> Files.notExists(mark));
        }
    }

    @Test
    void anOrderToCompareOutlivesTheDaemonAndIsCarriedOutWhenItCanBe() throws Exception {
        nodes.addAndAttach("home", disk, 16 * MIB);
        nodes.untilInSync("home");
        nodes.server.detach(HOME);
        spoilTheCopy(3 * MIB);
        nodes.backup.invalidate(HOME);
        nodes.server.close();
        nodes.startServer();
        nodes.server.attach(HOME);
        assertEquals(ControlApi.WaitState.DONE, waitFor(false, 60).state());
        assertCopyIsSame(true);
    }

    @Test
    void nothingOverwritesThePrimaryAndWithoutItNothingIsCompared() throws Exception {
        nodes.addAndAttach("home", disk, 16 * MIB);
        nodes.untilInSync("home");
        Problem primary = refusal(3, () -> nodes.server.invalidate(HOME));
        assertTrue(primary.cause().contains("its data is the truth"), primary.text());
        assertEquals(
                Optional.of(nodes.serverPaths.command("invalidate-remote home")), primary.next());
        Problem backup = refusal(3, () -> nodes.backup.invalidateRemote(HOME));
        assertEquals(Optional.of("at server: holdfast invalidate-remote home"), backup.next());
        nodes.server.disconnect(new ControlApi.LinkRequest(Optional.of("home")));
        Problem apart = refusal(3, () -> nodes.backup.invalidate(HOME));
        assertTrue(apart.text().contains("disconnected by an operator of server"), apart.text());
        nodes.server.close();
        refusal(5, () -> nodes.backup.invalidate(HOME));
    }

    @Test
    void aCopyThatIsNotThereYetIsNotCompared() throws Exception {
        nodes.server.add(TwoNodes.addRequest("home", disk, 16 * MIB));
        for (Executable each :
                new Executable[] {
                    () -> nodes.server.invalidateRemote(HOME), () -> nodes.backup.invalidate(HOME)
                }) {
            Problem problem = refusal(3, each);
            assertTrue(problem.text().contains("has no copy yet"), problem.text());
        }
    }

    // ---- wait --------------------------------------------------------------------------------

    @Test
    void waitSaysThatThePeerIsAway() throws Exception {
        nodes.addAndAttach("home", disk, 16 * MIB);
        nodes.untilInSync("home");
        write(0, 7);
        assertEquals(ControlApi.WaitState.DONE, waitFor(true, 60).state());
        nodes.backup.close();
        nodes.untilServer("home", "away", r -> !r.isConnected());
        write(0, 8);
        assertEquals(ControlApi.WaitState.PEER_AWAY, waitFor(true, 0.3).state());
        nodes.startBackup();
        assertEquals(ControlApi.WaitState.DONE, waitFor(true, 60).state());
    }

    private ControlApi.WaitStatus waitFor(boolean acked, double seconds) throws Exception {
        return nodes.server.waitFor(
                new ControlApi.WaitRequest("home", acked, Optional.of(seconds)), _ -> {});
    }

    private static Problem refusal(int code, Executable order) {
        Problem problem = assertThrows(ProblemException.class, order).problem();
        assertEquals(code, problem.exitCode(), problem.text());
        return problem;
    }

    private StatusReport.Resource atBackup() {
        return nodes.backup.status().resource("home").orElseThrow();
    }

    /// Behind its daemon's back, so that nothing tells.
    private void spoilTheCopy(long offset) throws Exception {
        nodes.backup.close();
        try (FileChannel image =
                FileChannel.open(dir.resolve("storage/home.img"), StandardOpenOption.WRITE)) {
            image.write(ByteBuffer.wrap(new byte[] {1, 2, 3}), offset);
        }
        nodes.startBackup();
        TwoNodes.until("it is back", () -> nodes.server.status().link().get().isConnected());
    }

    private ControlApi.OpenReply open() throws Exception {
        return nodes.backup.open(new ControlApi.OpenRequest("home", Optional.empty()));
    }

    private void assertCopyIsSame(boolean expected) throws Exception {
        ControlApi.OpenReply view = open();
        assertEquals(expected, isSame(view));
        assertNotEquals("none", view.view().point());
        nodes.backup.closeView(new ControlApi.CloseRequest(view.view().id()));
    }

    private boolean isSame(ControlApi.OpenReply view) throws Exception {
        return Run.succeeds(
                "qemu-img",
                "compare",
                "-f",
                "raw",
                "-F",
                "raw",
                disk.toString(),
                view.view().uri());
    }

    private void write(long offset, int fill) throws Exception {
        byte[] data = new byte[64 << 10];
        java.util.Arrays.fill(data, (byte) fill);
        try (BlockClient client =
                new BlockClient(nodes.serverPaths.run().resolve("home.nbd"), "home")) {
            client.write(offset, ByteBuffer.wrap(data), true);
        }
    }
}
