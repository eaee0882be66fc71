package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.config.ResourceSettings;
import holdfast.replicator.metadata.Superblock;
import holdfast.replicator.nbd.ExportException;
import holdfast.replicator.nbd.UnknownExportException;
import holdfast.replicator.state.Backup;
import holdfast.replicator.state.DiskState;
import holdfast.replicator.state.OwnChanges;
import holdfast.replicator.state.Role;
import holdfast.tunnel.wire.AddressSpace;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Isolated;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.InstantSource;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.UUID;
import java.util.stream.Stream;

/// A copy that gives up its own says what it has changed, as long as its base is what it was.
@Isolated("no other file may take the inode of one that was deleted")
class LocalBackupTest {
    private static final UUID ID = new UUID(1, 2);
    private static final int SIZE = 1 << 20;
    private static final long GIVEN_UP = 9;

    private static final OwnChanges CHANGES =
            new OwnChanges(
                    GIVEN_UP, new Position(1, 7), 40, 0, List.of(new Frame.KeptRange(4096, 8192)));

    @TempDir Path dir;

    private LoneNode node;
    private Path base;

    @BeforeEach
    void start() throws Exception {
        node = new LoneNode(dir, "");
        base = Files.write(node.storage.resolve("home.disk"), new byte[SIZE]);
        make("home", base, 1);
    }

    private void make(String name, Path disk, long labelMillis) throws Exception {
        ResourceDir.Facts facts =
                new ResourceDir.Facts(
                        ID.toString(),
                        Role.SECONDARY.name(),
                        List.of(disk.toString()),
                        false,
                        node.storage.resolve(name + ".journal").toString(),
                        LocalBackup.wholeSegments(8 << 20),
                        "server");
        LocalBackup.create(facts);
        TreeMap<String, List<Path>> disks = new TreeMap<>();
        disks.put("server", List.of(Path.of("/dev/vg0/home")));
        ResourceDir.next(
                        node.resources(),
                        name,
                        facts,
                        atRest(labelMillis),
                        ResourceSettings.ofDisks(disks),
                        ResourceDir.discarding(ID, GIVEN_UP, CHANGES))
                .close();
    }

    /// As a demotion leaves it.
    private static Superblock atRest(long labelMillis) {
        Ancestry past =
                Ancestry.EMPTY
                        .plus(began(1, Position.NONE, Ancestry.Reason.CREATE))
                        .plus(began(GIVEN_UP, new Position(1, 12), Ancestry.Reason.ATTACH));
        return new Superblock(
                ID,
                Role.SECONDARY,
                AddressSpace.of(SIZE),
                false,
                true,
                false,
                false,
                false,
                new Position(GIVEN_UP, 0),
                Position.NONE,
                0,
                0,
                0,
                0,
                0,
                0,
                labelMillis,
                1,
                past);
    }

    private static Ancestry.Entry began(long generation, Position parent, Ancestry.Reason reason) {
        return new Ancestry.Entry(generation, parent, reason, ID, 0);
    }

    @AfterEach
    void stop() {
        node.close();
    }

    private LocalBackup opened() throws Exception {
        return LocalBackup.open(node.shared, ResourceDir.open(node.resources(), "home"), null);
    }

    private static boolean saysWhatItChanged(LocalBackup copy) {
        return copy.resource().look(Backup::greeting).getFirst() instanceof Frame.Changed;
    }

    private long said(String kind) throws Exception {
        return node.saidOf("home").stream().filter(kind::equals).count();
    }

    @Test
    void whereNothingIsKnownOfUntilWhenItIsCompleteNoTimeIsTold() throws Exception {
        make("var", Files.write(node.storage.resolve("var.disk"), new byte[SIZE]), 0);
        LocalBackup copy =
                LocalBackup.open(node.shared, ResourceDir.open(node.resources(), "var"), null);
        assertEquals(Optional.empty(), copy.points().completeUntil());
        copy.close();
        LocalBackup known = opened();
        assertEquals(Optional.of(Instant.ofEpochMilli(1)), known.points().completeUntil());
        known.close();
    }

    @Test
    void whatViewsOfAnotherResourceLeaveNoMemoryForIsRefusedWithTheirNames() throws Exception {
        ViewMemory memory = node.shared.viewMemory();
        ViewMemory.Claim other = memory.claim("mail", node.shared::command);
        other.holds(2 * memory.most());
        other.isOf("mail@7");
        LocalBackup copy = opened();
        ExportException byName =
                assertThrows(
                        UnknownExportException.class,
                        () -> copy.openFor("home@latest", "latest", 0, _ -> {}));
        assertTrue(byName.getMessage().contains("mail@7 takes"), byName.getMessage());
        assertTrue(byName.getMessage().endsWith("close mail@7"), byName.getMessage());
        IOException promoted =
                assertThrows(IOException.class, () -> copy.point(new AskedPoint.Newest()));
        assertTrue(promoted.getMessage().endsWith("close mail@7"), promoted.getMessage());
        assertEquals("", copy.resource().settle());
        other.giveBack();
        copy.resource().closePoint(copy.point(new AskedPoint.Newest()));
        copy.close();
        assertEquals(0, memory.taken());
    }

    @Test
    void ofABaseThatWasMadeAnewItSaysNothing() throws Exception {
        for (int i = 0; i < 2; i++) {
            LocalBackup copy = opened();
            assertTrue(saysWhatItChanged(copy));
            copy.close();
        }
        ResourceDirTest.makeAnew(base, SIZE);
        for (int i = 0; i < 2; i++) {
            LocalBackup copy = opened();
            assertFalse(saysWhatItChanged(copy));
            assertTrue(copy.dir().isDiskDoubted());
            copy.close();
        }
        assertEquals(1, said("disk-exchanged"));
    }

    /// What an operator puts in its place, or brings back to it, nothing here says.
    @Test
    void ofABaseThatHasFailedItSaysNothingFromTheNextOpeningOn() throws Exception {
        LocalBackup copy = opened();
        copy.resource().failed("it is broken");
        assertEquals(DiskState.FAILED, copy.resource().look(Backup::diskState));
        assertTrue(copy.dir().isDiskDoubted());
        copy.close();
        assertEquals(1, said("disk-failed"));
        for (int i = 0; i < 2; i++) {
            copy = opened();
            assertFalse(saysWhatItChanged(copy));
            copy.close();
        }
    }

    /// In whichever step it is closed: what is noted counts at its next opening, and nothing fails.
    @Test
    void aCopyThatIsClosedWhileItsJournalGrowsStaysOutOfIt() throws Exception {
        ResourceSettings larger = larger();
        for (int steps = 0; steps < 4; steps++) {
            LocalBackup copy = opened();
            long before = copy.journalBytes();
            assertTrue(copy.moreJournal(larger) > 0);
            if (steps > 0) {
                copy.takeJournal(larger);
            }
            if (steps == 2) {
                copy.noteJournal();
            }
            copy.close();
            LocalBackup next = opened();
            copy.takeJournal(larger);
            copy.noteJournal();
            if (steps % 2 == 0) {
                copy.useJournal();
            } else {
                copy.giveJournalBack();
            }
            long now = steps == 2 ? 16L << 20 : before;
            assertEquals(now, next.journalBytes());
            assertEquals(now, segments() * LocalBackup.segmentBytes(8 << 20));
            next.close();
            if (steps == 2) {
                Files.delete(next.dir().path().resolve("journal-grown"));
            }
        }
        assertEquals(0, said("journal-grown"));
    }

    /// Else a start would count on space that is gone.
    @Test
    void whereTheNoteCannotBePutBackTheJournalStaysAsLargeAsItSays() throws Exception {
        LocalBackup copy = opened();
        copy.takeJournal(larger());
        copy.noteJournal();
        Path inTheWay = Files.createDirectory(copy.dir().path().resolve("journal-grown.tmp"));
        assertThrows(IOException.class, copy::giveJournalBack);
        assertEquals(16L << 20, segments() * LocalBackup.segmentBytes(8 << 20));
        Files.delete(inTheWay);
        copy.close();
        LocalBackup next = opened();
        assertEquals(16L << 20, next.journalBytes());
        next.close();
    }

    private static ResourceSettings larger() throws Exception {
        return ResourceSettings.parse(
                "journal = { size = \"16 MiB\" }\n[on.server]\ndisk = \"/dev/vg0/home\"\n",
                "home.toml");
    }

    /// Those that hold records, and spares.
    private long segments() throws Exception {
        try (Stream<Path> all = Files.list(node.storage.resolve("home.journal"))) {
            return all.filter(
                            each -> each.getFileName().toString().matches("(spare-)?[0-9a-f]{16}"))
                    .count();
        }
    }

    @Test
    void anErrorThatIsNoneOfTheDiskLeavesNoSpaceTaken() throws Exception {
        ResourceSettings larger = larger();
        LocalBackup copy = opened();
        long before = copy.journalBytes();
        for (boolean takes : new boolean[] {false, true}) {
            JournalGrowth growth =
                    new JournalGrowth(
                            node.shared,
                            new Offers(
                                    node.shared,
                                    () -> node.settings,
                                    node.resources(),
                                    new Permits(InstantSource.system()),
                                    new Adding(),
                                    new Roster(),
                                    new TcpExports(node.shared, List::of, List::of)));
            List<String> problems =
                    growth.grow(
                            List.of(copy, new Failing(node.storage, takes)),
                            Map.of("home", larger, "failing", larger),
                            Optional.empty(),
                            false);
            assertEquals(1, problems.size());
            assertTrue(
                    problems.getFirst().contains("failing.toml")
                            && problems.getFirst().contains("not of the disk"),
                    problems.toString());
            assertEquals(before, copy.journalBytes());
            assertEquals(before, segments() * LocalBackup.segmentBytes(8 << 20));
        }
        copy.close();
        LocalBackup next = opened();
        assertEquals(before, next.journalBytes());
        next.close();
    }

    /// @param takes it fails only when that is to be noted
    private record Failing(Path storage, boolean takes) implements JournalGrowth.Growable {
        @Override
        public String name() {
            return "failing";
        }

        @Override
        public long moreJournal(ResourceSettings settings) {
            return 1;
        }

        @Override
        public void takeJournal(ResourceSettings settings) {
            if (!takes) {
                throw new IllegalStateException("not of the disk");
            }
        }

        @Override
        public void noteJournal() {
            throw new IllegalStateException("not of the disk");
        }

        @Override
        public void useJournal() {
            throw new AssertionError("it has nothing");
        }

        @Override
        public void giveJournalBack() {
            throw new IllegalStateException("and here as well");
        }
    }
}
