package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.status.StatusReport;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.Random;

/// Nobody knows which blocks of 1 TiB differ: both sides say digests of a tree, and read only what
/// is no hole.
class CompareTest {
    private static final int MIB = 1 << 20;
    private static final long TIB = 1L << 40;
    private static final long[] PLACES = {0, 5 * MIB + 4096, TIB / 3 / 512 * 512, TIB - MIB};

    @TempDir Path dir;

    @Test
    void comparingOneTebibyteCostsLessThanAMebibyteAndMendsWhatDiffers() throws Exception {
        Path disk = dir.resolve("disk.img");
        Random random = new Random(9);
        try (var file = new RandomAccessFile(disk.toFile(), "rw")) {
            file.setLength(TIB);
            for (long place : PLACES) {
                byte[] content = new byte[MIB];
                random.nextBytes(content);
                file.seek(place);
                file.write(content);
            }
        }
        try (TwoNodes nodes = new TwoNodes(dir)) {
            nodes.pair();
            nodes.addAndAttach("home", disk, 16 * MIB);
            nodes.untilInSync("home");
            Path base = dir.resolve("storage/home.img");

            stopAndForget(nodes);
            long began = System.nanoTime();
            nodes.startBackup();
            nodes.startServer();
            nodes.untilInSync("home");
            double seconds = (System.nanoTime() - began) / 1e9;
            assertEquals("0", compared(nodes));
            System.out.printf("equal: %d bytes, %.1f s%n", wireBytes(nodes), seconds);
            assertTrue(wireBytes(nodes) < MIB, () -> wireBytes(nodes) + " bytes on the wire");

            stopAndForget(nodes);
            // In data, in a hole, in the last block; written past Holdfast.
            try (var copy = new RandomAccessFile(base.toFile(), "rw")) {
                for (long at : new long[] {PLACES[2] + 12_345, TIB / 2, TIB - 1}) {
                    copy.seek(at);
                    int was = copy.read();
                    copy.seek(at);
                    copy.write(was ^ 0x5a);
                }
            }
            nodes.startBackup();
            nodes.startServer();
            nodes.untilInSync("home");
            assertEquals("3", compared(nodes));
            assertTrue(wireBytes(nodes) < MIB, () -> wireBytes(nodes) + " bytes on the wire");
            assertSame(nodes, disk);
        }
    }

    /// A clean stop, and then what the server knew of its peer is gone.
    private static void stopAndForget(TwoNodes nodes) throws Exception {
        nodes.server.close();
        nodes.backup.close();
        Files.delete(nodes.serverPaths.state().resolve("resources/home/metadata"));
    }

    /// How many blocks differed.
    private static String compared(TwoNodes nodes) throws InterruptedException {
        StringBuilder said = new StringBuilder();
        nodes.server.events(
                new ControlApi.EventsRequest(0, false),
                event -> {
                    if (event.kind().equals("compared")) {
                        said.setLength(0);
                        said.append(event.text());
                    }
                });
        assertTrue(said.toString().contains(" blocks differ"), said.toString());
        return said.substring(0, said.indexOf(" "));
    }

    /// Both directions, since the daemons started: sessions, heartbeats and what was mended too.
    private static long wireBytes(TwoNodes nodes) {
        StatusReport.Link link = nodes.server.status().link().orElseThrow();
        return link.sentWireBytes() + link.receivedWireBytes();
    }

    private static void assertSame(TwoNodes nodes, Path disk) throws Exception {
        ControlApi.OpenReply view =
                nodes.backup.open(new ControlApi.OpenRequest("home", Optional.empty()));
        String uri = view.view().uri();
        Run.ok("qemu-img", "compare", "-f", "raw", "-F", "raw", disk.toString(), uri);
        nodes.backup.closeView(new ControlApi.CloseRequest(view.view().id()));
    }
}
