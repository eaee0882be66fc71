package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.config.ResourceSettings;
import holdfast.replicator.device.JournalFiles;
import holdfast.replicator.json.Json;
import holdfast.replicator.metadata.Superblock;
import holdfast.replicator.state.BlockSet;
import holdfast.replicator.state.Kept;
import holdfast.replicator.state.PeerCopy;
import holdfast.replicator.state.Primary;
import holdfast.replicator.state.Role;
import holdfast.replicator.state.Transaction;
import holdfast.tunnel.wire.AddressSpace;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Isolated;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;

@Isolated("no other file may take the inode of one that was deleted")
class ResourceDirTest {
    private static final UUID ID = new UUID(1, 2);
    private static final long SIZE = 16 << 20;
    private static final UUID NODE = new UUID(3, 4);

    @TempDir Path dir;

    @Test
    void anAttachWithoutAWriteCostsNoGenerationAndOneWithAWriteDoes() throws Exception {
        try (ResourceDir resource = created()) {
            assertEquals(100, attach(resource, 100, 1).ancestry().generation());
            resource.detached(new Position(100, 7), PeerCopy.UNKNOWN, true);
            Primary.Attached second = attach(resource, 200, 2);
            assertEquals(200, second.ancestry().generation());
            for (int i = 0; i < Ancestry.MAX_ENTRIES + 10; i++) {
                resource.detached(new Position(200, 0), PeerCopy.UNKNOWN, true);
                second = attach(resource, 300 + i, 3);
                assertEquals(200, second.ancestry().generation());
            }
            assertEquals(2, second.ancestry().entries().size());
            assertEquals(new Position(200, 0), resource.superblock().position());

            resource.detached(new Position(200, 1), PeerCopy.UNKNOWN, true);
            assertEquals(5, attach(resource, 5, 4).ancestry().generation());
            // Not detached: nobody knows whether there was a write.
            Primary.Attached crashed = attach(resource, 6, 5);
            assertNotEquals(5, crashed.ancestry().generation());
            assertEquals(Ancestry.Reason.CRASH, crashed.ancestry().entries().getLast().reason());
        }
    }

    private static Primary.Attached attach(ResourceDir resource, long generation, long wallMillis)
            throws Exception {
        return resource.attach(resource.recover().kept(), true, NODE, generation, wallMillis);
    }

    @Test
    void aDeviceThatMayBeAnotherThanAtTheStopHasNoPositionOfThatGeneration() throws Exception {
        try (ResourceDir resource = created()) {
            attach(resource, 100, 1);
            resource.detached(new Position(100, 0), PeerCopy.UNKNOWN, true);
            Primary.Attached doubted =
                    resource.attach(resource.recover().kept(), false, NODE, 200, 2);
            assertEquals(200, doubted.ancestry().generation());
            assertEquals(Ancestry.Reason.ATTACH, doubted.ancestry().entries().getLast().reason());
        }
    }

    /// What an attach that was no clean stop before finds in its place may hold anything, and no
    /// later attach or stop makes it what it was.
    @Test
    void aDiskThatWasExchangedAfterACrashIsComparedAndNotForgotten() throws Exception {
        Path disk = Files.write(dir.resolve("disk"), new byte[8]);
        try (ResourceDir resource = created(dir, List.of(disk.toString()), AddressSpace.of(SIZE))) {
            assertFalse(resource.isDiskExchanged(true), "there was none before");
            assertFalse(resource.isSameDisk());
            resource.noteDisk(false);
            attach(resource, 100, 1);
            assertTrue(resource.isSameDisk());
            Files.move(disk, dir.resolve("gone"));
            Files.write(disk, new byte[8]);
            assertTrue(resource.isDiskExchanged(true));
            assertFalse(resource.isSameDisk());
            resource.noteDisk(true); // Everything is compared from here on.
            assertFalse(resource.isDiskExchanged(true));
            assertTrue(resource.isSameDisk());

            // After a clean stop the evidence tells.
            resource.detached(new Position(100, 7), PeerCopy.UNKNOWN, true);
            Files.move(dir.resolve("gone"), disk, StandardCopyOption.REPLACE_EXISTING);
            assertFalse(resource.isDiskExchanged(true));
            assertFalse(resource.isSameDisk());
            resource.noteDisk(false);
            attach(resource, 200, 2);

            // Nothing says what was attached.
            Files.delete(dir.resolve("home/attached"));
            assertTrue(resource.isDiskExchanged(true));
        }
    }

    /// A file that was restored under its name has the inode of the one before, as a rule.
    @Test
    void aFileThatWasMadeAnewIsAnotherDisk() throws Exception {
        Path disk = Files.write(dir.resolve("disk"), new byte[8]);
        try (ResourceDir resource = created(dir, List.of(disk.toString()), AddressSpace.of(SIZE))) {
            resource.noteDisk(false);
            attach(resource, 100, 1);
            Files.write(disk, new byte[16]);
            assertFalse(resource.isDiskExchanged(true), "it was only written to");
            assertFalse(resource.isDiskDoubted());
            makeAnew(disk, 8);
            assertTrue(resource.isDiskExchanged(true));
            assertFalse(resource.isSameDisk());
        }
    }

    @Test
    void aBaseThatWasMadeAnewIsDoubtedAndNotForgotten() throws Exception {
        try (ResourceDir resource = copy()) {
            assertFalse(resource.noteBase());
            makeAnew(dir.resolve("home.img"), 0);
            assertTrue(resource.noteBase());
            assertFalse(resource.noteBase());
            assertTrue(resource.isDiskDoubted());
        }
    }

    /// As on a filesystem that keeps no such time: an attach compares nothing for that, a discard
    /// everything.
    @Test
    void aFileOfWhichNobodyKnowsWhenItWasMadeMayAlwaysBeAnother() throws Exception {
        try (ResourceDir resource = created(dir, List.of("/proc/version"), AddressSpace.of(SIZE))) {
            resource.noteDisk(false);
            attach(resource, 100, 1);
            assertFalse(resource.isDiskExchanged(true));
            resource.trustDisk();
            assertFalse(resource.isSameDisk());
        }
    }

    /// Deleted and written anew, in another tick of the filesystem's clock, which takes some
    /// milliseconds. No other file takes its inode meanwhile.
    static void makeAnew(Path file, int bytes) throws IOException {
        FileTime made = madeAt(file);
        Path probe = file.resolveSibling("probe");
        do {
            Files.deleteIfExists(probe);
            Files.createFile(probe);
        } while (madeAt(probe).equals(made));
        Files.delete(file);
        Files.write(file, new byte[bytes]);
    }

    private static FileTime madeAt(Path file) throws IOException {
        return Files.readAttributes(file, BasicFileAttributes.class).creationTime();
    }

    @Test
    void aDiskThatHasFailedIsDoubtedUntilEverythingWasCompared() throws Exception {
        Path disk = Files.write(dir.resolve("disk"), new byte[8]);
        try (ResourceDir resource = created(dir, List.of(disk.toString()), AddressSpace.of(SIZE))) {
            resource.noteDisk(false);
            attach(resource, 100, 1);
            resource.doubtDisk();
            assertFalse(resource.isDiskExchanged(true));
            resource.noteDisk(false);
            assertFalse(attach(resource, 200, 2).trusted());
            resource.detached(new Position(200, 7), PeerCopy.UNKNOWN, true);
            resource.noteDisk(false);
            attach(resource, 300, 3);
            assertFalse(resource.isSameDisk(), "a clean stop compares nothing");
            resource.trustDisk();
            assertTrue(resource.isSameDisk());
            resource.doubtDisk();
            resource.noteDisk(true);
            assertTrue(resource.isSameDisk());
            assertTrue(attach(resource, 400, 4).trusted());
        }
    }

    /// The thread that ends an attach finds out that the disk has failed, and the one on which it
    /// did.
    @Test
    void aDiskIsDoubtedByAllWhoFindOutAtOnce() throws Exception {
        try (ResourceDir resource = created();
                ExecutorService threads = Executors.newFixedThreadPool(4)) {
            List<Future<Void>> doubts = new ArrayList<>();
            for (int i = 0; i < 200; i++) {
                doubts.add(
                        threads.submit(
                                () -> {
                                    resource.doubtDisk();
                                    return null;
                                }));
            }
            for (Future<Void> each : doubts) {
                each.get();
            }
            assertTrue(resource.isDiskDoubted());
        }
    }

    @Test
    void aListOfChangesThatCannotBeReadIsNone() throws Exception {
        try (ResourceDir resource = copy()) {
            assertNull(resource.ownChanges());
            Path list = Files.createDirectory(dir.resolve("home/changed"));
            assertNull(resource.ownChanges());
            Files.delete(list);
            Files.write(list, new byte[100]);
            assertNull(resource.ownChanges());
        }
    }

    /// A base that failed is the disk of the promoted copy, also when it fails behind the
    /// promotion.
    @Test
    void aDoubtOfTheBaseIsOneOfThePromotedDisk() throws Exception {
        try (ResourceDir copy = copy()) {
            copy.doubtDisk();
            try (ResourceDir promoted = promoted(copy.carried())) {
                assertTrue(promoted.isDiskDoubted());
                assertFalse(attach(promoted, 100, 1).trusted());
            }
            try (ResourceDir promoted = promoted(Map.of())) {
                promoted.takeDoubtOf(copy);
                assertTrue(promoted.isDiskDoubted());
                assertFalse(copy.isDiskDoubted(), "or each attach would doubt it again");
                promoted.noteDisk(true);
                promoted.takeDoubtOf(copy);
                assertTrue(promoted.isSameDisk());
            }
        }
    }

    /// A base with a journal has no evidence of a clean stop; nor has a role that was never
    /// attached.
    @Test
    void thePromotedDiskIsTheBaseThatWasThere() throws Exception {
        try (ResourceDir copy = copy();
                ResourceDir promoted = promoted(copy.carried())) {
            attach(promoted, 100, 1);
            promoted.detached(new Position(100, 7), PeerCopy.UNKNOWN, true);
            assertFalse(promoted.isDiskExchanged(false));
            makeAnew(dir.resolve("home.img"), 0);
            assertTrue(promoted.isDiskExchanged(false));
            assertFalse(promoted.isDiskExchanged(true), "the evidence tells");
        }
    }

    private ResourceDir promoted(Map<String, byte[]> marks) throws Exception {
        return ResourceDir.next(
                dir,
                "home",
                new ResourceDir.Facts(
                        ID.toString(),
                        Role.PRIMARY.name(),
                        List.of(dir.resolve("home.img").toString()),
                        false,
                        "",
                        1 << 20,
                        "server"),
                Superblock.ofPrimary(ID, AddressSpace.of(SIZE)),
                ResourceSettings.ofDisks(new TreeMap<>()),
                marks);
    }

    /// Promise 5: after a stop that was none, what was active may be missing.
    @Test
    void whatTheMetadataNameIsMissingAndOfAnExtentThatWasActiveAllOfIt() throws Exception {
        try (ResourceDir resource = created()) {
            assertEquals(SIZE, resource.missingBytes());
            resource.metadata().write(transaction(2, 2, List.of(), List.of()));
            assertEquals(0, resource.recover().kept().missingBytes());
            long[] bits = new long[Transaction.Page.blocks(1024) / 64];
            bits[0] = 0b101000;
            Transaction.Page page = new Transaction.Page(0, 0, bits);
            resource.metadata().write(transaction(3, 2, List.of(page), List.of(2L)));
        }
        try (ResourceDir resource = ResourceDir.open(dir, "home")) {
            assertEquals(2 * BlockSet.BLOCK_BYTES + (4 << 20), resource.missingBytes());
        }
        Files.delete(dir.resolve("home/metadata"));
        try (ResourceDir resource = ResourceDir.open(dir, "home")) {
            assertEquals(SIZE, resource.missingBytes());
        }
    }

    /// Or old pages would count as those of the new era, and say that what nobody compared is
    /// equal.
    @Test
    void withoutTheNewestTransactionAnEraBeginsThatNoPageHas() throws Exception {
        Transaction.Page page =
                new Transaction.Page(0, 0, new long[Transaction.Page.blocks(1024) / 64]);
        try (ResourceDir resource = created()) {
            resource.metadata().write(transaction(2, 1, List.of(page), List.of()));
            resource.metadata().write(transaction(3, 1, List.of(page), List.of()));
        }
        try (FileChannel file =
                FileChannel.open(dir.resolve("home/metadata"), StandardOpenOption.WRITE)) {
            file.write(ByteBuffer.allocate(2 * 64 * 4096), 0);
        }
        try (ResourceDir resource = ResourceDir.open(dir, "home")) {
            Kept kept = resource.recover().kept();
            assertTrue(kept.isLost());
            resource.metadata()
                    .write(
                            new Transaction(
                                    kept.transaction() + 1,
                                    kept.era() + 1,
                                    Transaction.Blank.SUSPECT,
                                    PeerCopy.UNKNOWN,
                                    false,
                                    List.of(),
                                    List.of()));
            assertEquals(SIZE, resource.recover().kept().missingBytes());
        }
    }

    private static Transaction transaction(
            long number, long era, List<Transaction.Page> pages, List<Long> extents) {
        return new Transaction(
                number,
                era,
                Transaction.Blank.CLEAR,
                new PeerCopy(new Position(100, 7), Position.NONE, 1, 0),
                false,
                pages,
                extents);
    }

    /// Whatever a crash leaves of the mark, a point says by its past which size it has.
    @Test
    void aPointHasTheSizeOfTheDeviceInItsGeneration() throws Exception {
        Ancestry before = past(1);
        Ancestry after = before.plus(entry(2));
        Ancestry later = after.plus(entry(3));
        try (ResourceDir resource = copy()) {
            assertEquals(SIZE, resource.pointBytes(before));
            resource.grow(AddressSpace.of(2 * SIZE));
            assertEquals(SIZE, resource.pointBytes(before));
            resource.grownIn(SIZE, 1); // It has not grown yet.
            assertEquals(SIZE, resource.pointBytes(before));
            resource.grownIn(2 * SIZE, 2);
            resource.grownIn(2 * SIZE, 3);
            assertEquals(SIZE, resource.pointBytes(before));
            assertEquals(2 * SIZE, resource.pointBytes(after));
        }
        try (ResourceDir resource = ResourceDir.open(dir, "home")) {
            resource.endGrowth(before);
            assertEquals(SIZE, resource.pointBytes(before));
            assertEquals(2 * SIZE, resource.pointBytes(later));
            resource.grow(AddressSpace.of(3 * SIZE));
            assertEquals(SIZE, resource.pointBytes(before), "none of 2 was committed");
            resource.grownIn(3 * SIZE, 3);
            resource.endGrowth(later);
            assertFalse(Files.exists(resource.grownMark()));
            assertEquals(3 * SIZE, resource.pointBytes(later));
        }
    }

    private static Ancestry past(long generation) {
        return Ancestry.EMPTY.plus(entry(generation));
    }

    private static Ancestry.Entry entry(long generation) {
        return new Ancestry.Entry(
                generation, Position.NONE, Ancestry.Reason.CREATE, NODE, generation);
    }

    private ResourceDir copy() throws Exception {
        Path base = Files.createFile(dir.resolve("home.img"));
        TreeMap<String, List<Path>> disks = new TreeMap<>();
        disks.put("server", List.of(Path.of("/dev/vg0/home")));
        return ResourceDir.create(
                dir,
                "home",
                new ResourceDir.Facts(
                        ID.toString(),
                        Role.SECONDARY.name(),
                        List.of(base.toString()),
                        false,
                        dir.resolve("home.journal").toString(),
                        1 << 20,
                        "server"),
                ResourceDir.newBackup(ID, AddressSpace.of(SIZE), true, NODE, 0x77),
                ResourceSettings.ofDisks(disks));
    }

    /// What an order to become a copy left that was cut off has all the space of a journal. One
    /// that a role has, or that holds a record, is none of that.
    @Test
    void aJournalThatWasMadeForARoleThatNeverCameGoes() throws Exception {
        Path roles = Files.createDirectory(dir.resolve("roles"));
        Path journal = dir.resolve("home.journal");
        Path note = roles.resolve("home/journal-begun");
        try (ResourceDir primary = created(roles)) {
            primary.endJournal();
            primary.beginJournal(journal);
            // It was cut off in front of the journal, or its storage is not mounted.
            primary.endJournal();
            assertTrue(Files.exists(note));

            JournalFiles.create(journal, 4 << 20, 8 << 20);
            primary.endJournal();
            assertFalse(Files.exists(journal) || Files.exists(note));

            JournalFiles.create(journal, 4 << 20, 8 << 20);
            primary.beginJournal(journal);
            ResourceDir.Facts was = primary.facts();
            ResourceDir.Facts has =
                    new ResourceDir.Facts(
                            was.id(),
                            Role.SECONDARY.name(),
                            was.disks(),
                            false,
                            journal.toString(),
                            8 << 20,
                            "backup");
            Path next = Files.createDirectory(roles.resolve("home~1")).resolve("resource.json");
            Files.writeString(next, Json.writePretty(has));
            primary.endJournal();
            assertTrue(Files.exists(journal));

            Files.delete(next);
            primary.beginJournal(journal);
            try (Stream<Path> segments = Files.list(journal);
                    FileChannel segment =
                            FileChannel.open(
                                    segments.findFirst().orElseThrow(), StandardOpenOption.WRITE)) {
                segment.write(ByteBuffer.wrap(new byte[] {0x48}), 0);
            }
            primary.endJournal();
            assertTrue(Files.exists(journal));
        }
    }

    /// Whatever stands in the note: nothing goes that is not such a journal and nothing else.
    @Test
    void onlyAJournalOfTheResourceIsDeletedForANote() throws Exception {
        Path roles = Files.createDirectory(dir.resolve("roles"));
        Path note = roles.resolve("home/journal-begun");
        try (ResourceDir primary = created(roles)) {
            Path other = Files.createDirectory(dir.resolve("other.journal"));
            for (String each : List.of("", ".", "home.journal", "/", dir.toString(), "" + other)) {
                Files.writeString(note, each);
                assertThrows(IOException.class, primary::endJournal, each);
            }
            assertTrue(Files.exists(other));

            Path journal = dir.resolve("home.2.journal");
            JournalFiles.create(journal, 4 << 20, 8 << 20);
            Path foreign = Files.createFile(journal.resolve("notes.txt"));
            primary.beginJournal(journal);
            assertThrows(IOException.class, primary::endJournal);
            assertTrue(Files.exists(foreign) && Files.exists(note));
            Files.delete(foreign);
            primary.endJournal();
            assertFalse(Files.exists(journal) || Files.exists(note));
        }
    }

    @Test
    void aPromotionThatNeverBeganLeavesWhatWasNotedOfTheOneBefore() throws Exception {
        try (ResourceDir resource = copy()) {
            assertEquals(0, resource.partedMillis(promotedIn(7)));
            resource.part(7, 700);
            resource.part(8, 800);
            assertEquals(700, resource.partedMillis(promotedIn(7)));
            assertEquals(800, resource.partedMillis(promotedIn(8)));
            assertEquals(0, resource.partedMillis(promotedIn(9)));
            for (int i = 0; i < 100; i++) {
                resource.part(100 + i, 900 + i);
            }
            assertEquals(0, resource.partedMillis(promotedIn(7)));
            assertEquals(999, resource.partedMillis(promotedIn(199)));
            assertTrue(Files.size(dir.resolve("home/parted")) < 500);
        }
    }

    private static Ancestry promotedIn(long generation) {
        return past(1).plus(
                        new Ancestry.Entry(
                                generation,
                                new Position(1, 5),
                                Ancestry.Reason.PROMOTE,
                                NODE,
                                generation));
    }

    /// Also of a role that was never attached, and behind an attach that did not end cleanly.
    @Test
    void whatWasWrittenIsToldAsOfNow() throws Exception {
        copy().close();
        try (ResourceDir resource = promoted(Map.of())) {
            assertEquals(Position.NONE, resource.wrote().at());
            attach(resource, 100, 1);
            assertEquals(new Position(100, 0), resource.wrote().at());
            assertTrue(resource.wrote().orLater());
            assertEquals(Frame.Wrote.UNKNOWN, resource.wrote().blocks());
            resource.lookAgain();
            assertEquals(new Position(100, 0), resource.wrote().at());
            assertTrue(resource.wrote().orLater());
            resource.detached(new Position(100, 7), PeerCopy.UNKNOWN, true);
            assertEquals(new Position(100, 7), resource.wrote().at());
            assertFalse(resource.wrote().orLater());
        }
    }

    /// Another moment was chosen twice, and the roles in between were not deleted.
    @Test
    void theCopyThatWasPromotedIsBeforeEachOfItsPrimaries() throws Exception {
        copy().close();
        for (int i = 1; i <= 3; i++) {
            try (ResourceDir next =
                    promoted(Map.of("boot", "b".getBytes(StandardCharsets.UTF_8)))) {
                assertEquals(Set.of("boot"), next.carried().keySet());
                Files.createFile(next.standaloneMark());
                next.doubtDisk();
                assertEquals(Set.of("boot", "standalone", "disk-doubted"), next.carried().keySet());
            }
        }
        try (ResourceDir before = ResourceDir.openBefore(dir, "home").orElseThrow()) {
            assertFalse(before.facts().isPrimary());
        }
        assertTrue(Files.exists(dir.resolve("home~3")));
        assertFalse(Files.exists(dir.resolve("home~2")) || Files.exists(dir.resolve("home~1")));
    }

    /// Grows a resource of which the peer has everything, and says how much it may lack of it.
    static final class Grows {
        public static void main(String[] arguments) throws Exception {
            Path dir = Path.of(arguments[0]);
            try (ResourceDir resource = created(dir)) {
                resource.metadata().write(transaction(2, 2, List.of(), List.of()));
                resource.makeRoom(AddressSpace.of(3 * SIZE));
                resource.grow(AddressSpace.of(2 * SIZE));
                resource.grow(AddressSpace.of(3 * SIZE));
            }
            try (ResourceDir resource = ResourceDir.open(dir, "home")) {
                System.out.println(resource.missingBytes());
            }
        }
    }

    @Test
    void whatCameWithAGrowthIsMissingUntilItIsCompared() throws Exception {
        assertEquals("" + 2 * SIZE, grows("", "whole"));
        assertEquals("0", grows("M28", "mutant"));
        System.out.println("M28 caught, what came with a growth is taken for equal");
    }

    @Test
    void severalVolumesAndAnOrderToGrowAreThereAfterAStart() throws Exception {
        AddressSpace first = AddressSpace.ofVolumes(List.of(SIZE + 512, SIZE));
        AddressSpace larger = first.grown(List.of(SIZE + 1024, 2 * SIZE));
        List<Path> disks =
                List.of(
                        Files.createFile(dir.resolve("a.img")),
                        Files.createFile(dir.resolve("b.img")));
        List<String> paths = disks.stream().map(Path::toString).toList();
        try (ResourceDir made = created(dir, paths, first)) {
            assertNull(made.wanted());
            made.makeRoom(larger);
            Files.writeString(made.resizeMark(), larger.text());
        }
        try (ResourceDir opened = ResourceDir.open(dir, "home")) {
            assertEquals(disks, opened.facts().paths());
            assertEquals(first, opened.superblock().space());
            assertEquals(larger, opened.wanted());
            opened.grow(larger);
        }
        try (ResourceDir opened = ResourceDir.open(dir, "home")) {
            assertEquals(larger, opened.superblock().space());
            assertEquals(first.sizeBytes(), opened.grownFrom(0));
            Files.writeString(opened.resizeMark(), "0:5 7:5");
            assertThrows(IOException.class, opened::wanted);
        }
    }

    private String grows(String mutant, String name) throws Exception {
        Path place = Files.createDirectory(dir.resolve(name));
        return MutantProcess.printed(mutant, Grows.class, place.toString());
    }

    private ResourceDir created() throws Exception {
        return created(dir);
    }

    private static ResourceDir created(Path dir) throws Exception {
        return created(dir, List.of("/dev/vg0/home"), AddressSpace.of(SIZE));
    }

    private static ResourceDir created(Path dir, List<String> paths, AddressSpace space)
            throws Exception {
        TreeMap<String, List<Path>> disks = new TreeMap<>();
        disks.put("server", List.of(Path.of("/dev/vg0/home")));
        return ResourceDir.create(
                dir,
                "home",
                new ResourceDir.Facts(
                        ID.toString(), Role.PRIMARY.name(), paths, false, "", 1 << 20, "backup"),
                Superblock.ofPrimary(ID, space),
                ResourceSettings.ofDisks(disks));
    }
}
