package holdfast.recovery;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.nbd.Exports;
import holdfast.replicator.nbd.NbdLimits;
import holdfast.replicator.nbd.NbdServer;
import holdfast.replicator.nbd.PayloadPool;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.locks.LockSupport;

/// The demonstration's volume, its client and its writer, over an export of our own server.
@Timeout(120)
class DemoVolumeTest {
    @TempDir Path directory;

    @Test
    void theLedgerIsWrittenIntoALiveExt4WhichStaysInOrder() throws Exception {
        DemoVolume volume = DemoVolume.of(directory, Optional.empty());
        assertEquals("an ext4 of 64 MiB with 301 files", volume.kind());
        Ledger ledger = volume.ledger().orElseThrow();
        try (FileChannel file =
                        FileChannel.open(
                                volume.image(), StandardOpenOption.READ, StandardOpenOption.WRITE);
                NbdServer server = serve(new FileExport("home", file, false));
                NbdClient client = NbdClient.connect(uri("home"))) {
            assertEquals(Files.size(volume.image()), client.size());
            assertEquals(new Ledger.Reading(0, List.of()), ledger.read(client::read));
            for (long number = 1; number <= ledger.slots().size() + 100; number++) {
                client.write(ledger.offset(number), ledger.block(number));
            }
            client.flush();
            assertEquals(
                    new Ledger.Reading(ledger.slots().size() + 100, List.of()),
                    ledger.read(client::read));
        }
        assertEquals(List.of(), volume.examine(volume.image(), directory.resolve("files")));
    }

    @Test
    void aDamagedCopyIsFound() throws Exception {
        DemoVolume volume = DemoVolume.of(directory, Optional.empty());
        String blocks =
                Programs.run("debugfs", "-R", "blocks /d0/file0", volume.image().toString());
        long block = Long.parseLong(blocks.strip().split("\\s+")[0]);
        try (FileChannel file = FileChannel.open(volume.image(), StandardOpenOption.WRITE)) {
            file.write(ByteBuffer.wrap(new byte[] {1, 2, 3}), block * Ledger.BLOCK_BYTES);
        }
        assertEquals(
                List.of("d0/file0 is not as it was"),
                volume.examine(volume.image(), directory.resolve("files")));
    }

    @Test
    void theWriterKeepsCountAndChangesNothingInAUsersImage() throws Exception {
        Path users = directory.resolve("users.img");
        byte[] content = new byte[1 << 20];
        new java.util.Random(1).nextBytes(content);
        Files.write(users, content);
        DemoVolume volume =
                DemoVolume.of(Files.createDirectory(directory.resolve("demo")), Optional.of(users));
        try (FileChannel file =
                        FileChannel.open(
                                volume.image(), StandardOpenOption.READ, StandardOpenOption.WRITE);
                NbdServer server = serve(new FileExport("home", file, false));
                DemoWriter writer = DemoWriter.start(uri("home"), volume)) {
            for (int i = 0; i < 1000 && writer.count() < 50; i++) {
                LockSupport.parkNanos(10_000_000);
            }
            assertTrue(writer.count() >= 50);
            writer.stop();
        }
        assertTrue(Arrays.equals(content, Files.readAllBytes(volume.image())));
    }

    @Test
    void theClientSaysWhatTheServerRefuses() throws Exception {
        Path file = Files.write(directory.resolve("file"), new byte[8192]);
        try (FileChannel channel = FileChannel.open(file);
                NbdServer server = serve(new FileExport("copy", channel, true))) {
            var unknown =
                    assertThrows(IOException.class, () -> NbdClient.connect(uri("home")).close());
            assertTrue(
                    unknown.getMessage().startsWith("NBD: export \"home\" refused"),
                    unknown.getMessage());
            try (NbdClient client = NbdClient.connect(uri("copy"))) {
                var refused = assertThrows(IOException.class, () -> client.write(0, new byte[512]));
                assertEquals(
                        "NBD: request of 512 bytes at 0 failed with error 1", refused.getMessage());
                assertThrows(IOException.class, () -> client.read(8192, new byte[1]));
                client.read(0, new byte[8192]);
            }
        }
    }

    private NbdServer serve(FileExport export) throws IOException {
        var server =
                new NbdServer(Exports.of(List.of(export)), new PayloadPool(), NbdLimits.DEFAULT);
        server.listenUnix(directory.resolve("s"));
        return server;
    }

    private String uri(String export) {
        return "nbd+unix:///%s?socket=%s".formatted(export, directory.resolve("s"));
    }
}
