package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.config.Size;
import holdfast.replicator.control.ControlApi;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/// An `adjust` that makes journals larger does all of what the files say, or nothing. What comes
/// while it does so has [GrowthUnderWayTest].
@Timeout(180)
class JournalGrowthTest {
    private static final long MIB = 1 << 20;
    private static final long SIZE = 16 * MIB;

    @TempDir Path dir;

    private TwoNodes nodes;

    @BeforeEach
    void start() throws Exception {
        nodes = new TwoNodes(dir);
        nodes.pair();
        add("home");
        add("mail");
    }

    @AfterEach
    void stop() {
        nodes.close();
    }

    @Test
    void whatStorageMaxIsRaisedToCountsForTheJournalsOfTheSameAdjust() throws Exception {
        long used = 2 * (SIZE + MIB);
        storageMax(used + 10 * MIB);
        write("home", 32 * MIB);
        ControlApi.AdjustReply refused = adjust(false);
        assertFalse(refused.applied());
        assertTrue(refused.problems().getFirst().contains("storage.max is"), refused.toString());
        assertSizes(SIZE, SIZE);

        String node = Files.readString(nodes.backupPaths.nodeFile());
        Files.writeString(
                nodes.backupPaths.nodeFile(),
                node.replaceFirst("max = \"[^\"]*\"", "max = \"1 GiB\""));
        assertEquals(List.of("at once", "at once"), effects(adjust(true)));
        assertSizes(SIZE, SIZE);
        assertEquals(List.of("at once", "at once"), effects(adjust(false)));
        assertSizes(32 * MIB, SIZE);

        // And what it is lowered to counts as well.
        write("mail", 32 * MIB);
        Files.writeString(
                nodes.backupPaths.nodeFile(),
                node.replaceFirst("max = \"[^\"]*\"", "max = \"60 MiB\""));
        assertFalse(adjust(false).applied());
        assertSizes(32 * MIB, SIZE);
    }

    @Test
    void whereOneJournalFindsNoSpaceNoneGrowsAndNothingIsAccepted() throws Exception {
        // A file of this name is in the way of a spare segment, as if the filesystem were full.
        Path inTheWay = nextSpare("mail");
        Files.createFile(inTheWay);
        long before = files("home");
        write("home", 32 * MIB);
        write("mail", 32 * MIB);
        ControlApi.AdjustReply refused = adjust(false);
        assertFalse(refused.applied());
        assertTrue(refused.problems().getFirst().contains("mail.toml"), refused.toString());
        assertSizes(SIZE, SIZE);
        assertEquals(before, files("home"), "what was taken is given back");
        assertEquals(2, nodes.backup.status().settingsDiffer().size());

        Files.deleteIfExists(inTheWay);
        assertTrue(adjust(false).applied());
        assertSizes(32 * MIB, 32 * MIB);
        nodes.backup.close();
        nodes.startBackup();
        assertSizes(32 * MIB, 32 * MIB);
    }

    /// What says how large it is was lost, or is of another state directory.
    @Test
    void aJournalGrowsToTheSizeThatWasAcceptedBefore() throws Exception {
        write("home", 32 * MIB);
        adjust(false);
        nodes.backup.close();
        Files.delete(nodes.backupPaths.state().resolve("resources/home/journal-grown"));
        nodes.startBackup();
        assertSizes(SIZE, SIZE);
        ControlApi.AdjustReply reply = adjust(false);
        assertEquals(List.of("at once"), effects(reply));
        assertEquals("journal.size", reply.changes().getFirst().key());
        assertSizes(32 * MIB, SIZE);
        assertEquals(List.of(), effects(adjust(false)));
    }

    private void add(String name) throws Exception {
        Path disk = Files.write(dir.resolve(name + ".disk"), new byte[(int) MIB]);
        nodes.server.add(TwoNodes.addRequest(name, disk, SIZE));
    }

    private void storageMax(long bytes) throws Exception {
        nodes.backup.storage(
                new ControlApi.StorageRequest(
                        dir.resolve("storage").toString(), Optional.of(bytes)));
    }

    private void write(String name, long journalBytes) throws Exception {
        Path file = nodes.backupPaths.resourceDirectory().resolve(name + ".toml");
        Files.writeString(
                file,
                Files.readString(file)
                        .replaceFirst(
                                "size = \"[^\"]*\"", "size = \"" + new Size(journalBytes) + "\""));
    }

    private ControlApi.AdjustReply adjust(boolean dryRun) throws Exception {
        return nodes.backup.adjust(new ControlApi.AdjustRequest(dryRun));
    }

    private static List<String> effects(ControlApi.AdjustReply reply) {
        assertEquals(List.of(), reply.problems());
        return reply.changes().stream().map(ControlApi.Change::takesEffect).toList();
    }

    private void assertSizes(long home, long mail) {
        assertEquals(List.of(home, mail), List.of(size("home"), size("mail")));
    }

    private long size(String name) {
        return nodes.backup
                .status()
                .resource(name)
                .orElseThrow()
                .journal()
                .orElseThrow()
                .sizeBytes();
    }

    private long files(String name) throws Exception {
        try (Stream<Path> all = Files.list(dir.resolve("storage/" + name + ".journal"))) {
            return all.count();
        }
    }

    private Path nextSpare(String name) throws Exception {
        Path journal = dir.resolve("storage/" + name + ".journal");
        try (Stream<Path> all = Files.list(journal)) {
            long last =
                    all.map(each -> each.getFileName().toString())
                            .filter(each -> each.startsWith("spare-"))
                            .mapToLong(each -> Long.parseLong(each.substring(6), 16))
                            .max()
                            .orElseThrow();
            return journal.resolve("spare-%016x.tmp".formatted(last + 4));
        }
    }
}
