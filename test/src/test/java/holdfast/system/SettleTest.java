package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.Problem;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.status.StatusReport;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.Random;

/// `down --settle` (R21): the base alone, without journal and daemon, is the copy.
class SettleTest {
    private static final int MIB = 1 << 20;

    @TempDir Path dir;

    private TwoNodes nodes;
    private Path disk;
    private Path base;
    private String uri;

    @BeforeEach
    void start() throws Exception {
        nodes = new TwoNodes(dir);
        nodes.pair();
        byte[] content = new byte[8 * MIB];
        new Random(8).nextBytes(content);
        disk = Files.write(dir.resolve("disk.img"), content);
        base = dir.resolve("storage").resolve("home.img");
        uri = nodes.addAndAttach("home", disk);
    }

    @AfterEach
    void stop() {
        nodes.close();
    }

    private void write(int number) throws Exception {
        Run.ok("qemu-io", "-f", "raw", "-c", "write -P %d 1M 2M".formatted(number), uri);
    }

    private ControlApi.SettleReply settle(boolean dryRun, String confirm) throws ProblemException {
        return nodes.backup.settle(
                new ControlApi.SettleRequest("home", dryRun, Optional.ofNullable(confirm)));
    }

    private Problem refusal(String confirm, int code) {
        Problem problem =
                assertThrows(ProblemException.class, () -> settle(false, confirm)).problem();
        assertEquals(code, problem.exitCode(), problem.text());
        return problem;
    }

    @Test
    void behindItTheBaseAloneIsTheCopyUntilItIsConnectedAgain() throws Exception {
        nodes.untilInSync("home");
        write(1);
        nodes.untilInSync("home");
        nodes.backup.keep(
                new ControlApi.KeepRequest("home", "one", Optional.empty(), Optional.empty()));
        write(2);
        nodes.untilInSync("home");
        assertNotEquals(-1, Files.mismatch(disk, base), "the newest writes are in the journal");

        ControlApi.SettleReply preview = settle(true, null);
        assertFalse(preview.done());
        assertTrue(preview.effects().toString().contains("can be opened no more"));
        assertTrue(refusal(null, 6).text().contains(preview.confirm()));
        String view =
                nodes.backup.open(new ControlApi.OpenRequest("home", Optional.empty())).view().id();
        assertTrue(refusal(preview.confirm(), 3).text().contains("close " + view));
        nodes.backup.closeView(new ControlApi.CloseRequest(view));
        assertTrue(nodes.backup.status().resource("home").orElseThrow().isConnected());

        assertTrue(settle(false, preview.confirm()).done());
        write(3); // Nobody takes it in.
        StatusReport.Unopened down = nodes.backup.status().unopened().getFirst();
        assertTrue(down.cause().contains(base + " alone is the copy"), down.cause());
        assertTrue(down.next().endsWith("connect home"), down.next());
        Run.ok("qemu-io", "-r", "-f", "raw", "-c", "read -P 2 1M 2M", base.toString());
        byte[] was = Files.readAllBytes(base);

        nodes.backup.connect(new ControlApi.LinkRequest(Optional.of("home")));
        nodes.untilInSync("home");
        ControlApi.OpenReply kept =
                nodes.backup.open(new ControlApi.OpenRequest("home", Optional.of("one")));
        Run.ok("qemu-io", "-r", "-f", "raw", "-c", "read -P 1 1M 2M", kept.view().uri());
        nodes.backup.closeView(new ControlApi.CloseRequest(kept.view().id()));
        assertTrue(settle(false, settle(true, null).confirm()).done());
        assertEquals(-1, Files.mismatch(disk, base));
        assertNotEquals(was[2 * MIB], Files.readAllBytes(base)[2 * MIB]);
    }

    @Test
    void itIsRefusedWhereThereIsNothingToSettle() throws Exception {
        nodes.untilInSync("home");
        Problem atServer =
                assertThrows(
                                ProblemException.class,
                                () ->
                                        nodes.server.settle(
                                                new ControlApi.SettleRequest(
                                                        "home", true, Optional.empty())))
                        .problem();
        assertEquals(3, atServer.exitCode());
        assertTrue(atServer.text().contains("at backup"), atServer.text());
        Path other = Files.write(dir.resolve("other.img"), new byte[MIB]);
        nodes.server.add(TwoNodes.addRequest("other", other, 16 * MIB));
        Problem noPoint =
                assertThrows(
                                ProblemException.class,
                                () ->
                                        nodes.backup.settle(
                                                new ControlApi.SettleRequest(
                                                        "other", true, Optional.empty())))
                        .problem();
        assertEquals(3, noPoint.exitCode());
    }
}
