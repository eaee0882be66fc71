package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
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
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;

/// What either side says of itself is true, and what it does not know it does not say.
class StatusTest {
    private static final int MIB = 1 << 20;

    @TempDir Path dir;

    private TwoNodes nodes;
    private Path disk;

    @BeforeEach
    void start() throws Exception {
        nodes = new TwoNodes(dir);
        nodes.pair();
        disk = Files.write(dir.resolve("disk.img"), new byte[8 * MIB]);
    }

    @AfterEach
    void stop() {
        nodes.close();
    }

    private StatusReport.Resource atBackup() {
        return nodes.backup.status().resource("home").orElseThrow();
    }

    /// The server writes on and is gone then, which the backup cannot know.
    @Test
    void howFarTheCopyIsBehindOnlyTheServerSays() throws Exception {
        nodes.server.add(
                new ControlApi.AddRequest(
                        "home",
                        disk.toString(),
                        Optional.empty(),
                        Optional.of("C"),
                        Optional.of(64L * MIB),
                        false));
        assertEquals("none", atBackup().committed());
        String uri = nodes.server.attach(new ControlApi.NameRequest("home")).uri();
        nodes.untilInSync("home");
        StatusReport.Resource server = nodes.atServer("home");
        assertEquals(Optional.of("C"), server.protocol());
        assertEquals(Optional.of(StatusReport.Behind.NOTHING), server.behind());
        assertEquals(Optional.empty(), atBackup().protocol());
        assertEquals(Optional.empty(), atBackup().behind());

        nodes.backup.disconnect(new ControlApi.LinkRequest(Optional.of("home")));
        Run.ok("qemu-io", "-f", "raw", "-c", "write -P 7 0 1M", uri);
        assertTrue(nodes.atServer("home").behind().orElseThrow().bytes() >= MIB);
        assertEquals(Optional.empty(), atBackup().behind());
        nodes.server.close();
        StatusReport.Resource alone = atBackup();
        assertEquals(Optional.empty(), alone.behind());
        assertTrue(alone.copyTime().isPresent());
        assertEquals(alone.position(), alone.committed());
        assertEquals(alone.position(), alone.stored());
    }

    // ---- views -------------------------------------------------------------------------------

    private String open() throws Exception {
        return nodes.backup.open(new ControlApi.OpenRequest("home", Optional.empty())).view().id();
    }

    private void close(String id) throws Exception {
        nodes.backup.closeView(new ControlApi.CloseRequest(id));
    }

    /// @param journal what its braces hold, at the backup
    private void history(String journal) throws Exception {
        Path file = nodes.backupPaths.resourceDirectory().resolve("home.toml");
        Files.writeString(
                file,
                Files.readString(file)
                        .replaceFirst("journal = .*", "journal = { %s }".formatted(journal)));
        nodes.backup.adjust(new ControlApi.AdjustRequest(false));
    }

    private String troubleAtBackup() {
        return atBackup().trouble().orElse("");
    }

    @Test
    void oneViewTooManyIsRefusedWithThoseThatAreOpenAndWhatClosesOne() throws Exception {
        nodes.addAndAttach("home", disk);
        nodes.untilInSync("home");
        List<String> open = new ArrayList<>();
        for (int i = 0; i < 16; i++) {
            open.add(open());
        }
        Problem refused = assertThrows(ProblemException.class, this::open).problem();
        assertEquals(3, refused.exitCode());
        for (String each : open) {
            assertTrue(refused.text().contains(each + " of 20"), refused.text());
        }
        String next = refused.next().orElseThrow();
        assertTrue(next.contains(" close home@"), next);
        Path socket = nodes.backupPaths.run().resolve("home.nbd");
        String said = Run.anyway("qemu-img", "info", "nbd+unix:///home@latest?socket=" + socket);
        assertTrue(said.contains("16 views of home are open"), said);
        close(next.substring(next.lastIndexOf(' ') + 1));
        open();
    }

    @Test
    void aViewThatHoldsWhatIsTooOldIsNamedWithWhatClosesIt() throws Exception {
        String uri = nodes.addAndAttach("home", disk);
        nodes.untilInSync("home");
        history("size = \"64 MiB\", retention = \"1s\"");
        String view = open();
        TwoNodes.until(
                "it is named",
                () -> {
                    Run.ok("qemu-io", "-f", "raw", "-c", "write -P 7 0 4k", uri);
                    return troubleAtBackup().contains("older than the retention");
                });
        assertTrue(troubleAtBackup().startsWith(view + " of 20"), troubleAtBackup());
        assertTrue(troubleAtBackup().endsWith("close " + view), troubleAtBackup());
        close(view);
        TwoNodes.until("nothing is in the way", () -> troubleAtBackup().isEmpty());
    }

    @Test
    void aViewThatKeepsTheJournalFromBeingEmptiedIsNamedToo() throws Exception {
        String uri = nodes.addAndAttach("home", disk, 16 * MIB);
        nodes.untilInSync("home");
        history("size = \"16 MiB\", retention-min = \"0s\"");
        String view = open();
        byte[] noise = new byte[2 * MIB]; // A packed journal has room again.
        new Random(9).nextBytes(noise);
        Path random = Files.write(dir.resolve("random"), noise);
        for (int i = 0; i < 8; i++) {
            String piece = "write -s %s 0 2M".formatted(random);
            Run.ok("qemu-io", "-f", "raw", "-c", piece, uri);
        }
        TwoNodes.until("it is named", () -> troubleAtBackup().contains("it is filling"));
        assertTrue(troubleAtBackup().endsWith("close " + view), troubleAtBackup());
        close(view);
        nodes.untilInSync("home");
        TwoNodes.until("nothing is in the way", () -> troubleAtBackup().isEmpty());
    }
}
