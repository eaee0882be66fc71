package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.config.ResourceSettings;
import holdfast.replicator.control.ExitCode;
import holdfast.replicator.control.MetadataDump;
import holdfast.replicator.control.NodePaths;
import holdfast.replicator.control.Problem;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.device.OwnedLock;
import holdfast.replicator.json.Json;
import holdfast.replicator.metadata.Superblock;
import holdfast.replicator.state.PeerCopy;
import holdfast.replicator.state.Role;
import holdfast.replicator.state.Transaction;
import holdfast.replicator.state.WriteTimes;
import holdfast.tunnel.wire.AddressSpace;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Optional;
import java.util.TreeMap;
import java.util.UUID;

/// What `dump-md` says of files whose every value is known here, and of files that are damaged.
class ResourceDumpTest {
    private static final UUID ID = new UUID(1, 2);
    private static final UUID NODE = new UUID(3, 4);
    private static final long SIZE = (64 << 20) + 512;
    private static final Position AT = new Position(0x3fa9_012c_0000_0001L, 1234);

    @TempDir Path dir;
    private Path resources;

    @BeforeEach
    void makeDirectory() throws IOException {
        resources = Files.createDirectories(dir.resolve("state/resources"));
    }

    private MetadataDump dump(String name) throws ProblemException {
        return new ResourceDump(NodePaths.under(dir), name, 3).read();
    }

    private void primary() throws Exception {
        try (ResourceDir made =
                create("home", Role.PRIMARY, "", Superblock.ofPrimary(ID, AddressSpace.of(SIZE)))) {
            made.attach(made.recover().kept(), true, NODE, AT.generation(), 1_700_000_000_000L);
            long[] bits = new long[Transaction.Page.blocks(1024) / 64];
            bits[0] = 0b1011;
            bits[2] = 0b11001;
            bits[16] = 0b100;
            Transaction.Page page = new Transaction.Page(0, 0b10, bits);
            made.metadata()
                    .write(
                            new Transaction(
                                    2,
                                    2,
                                    Transaction.Blank.CLEAR,
                                    new PeerCopy(AT, AT.plus(3), 5, 6),
                                    1,
                                    WriteTimes.NONE,
                                    false,
                                    List.of(page),
                                    List.of(7L, 2L, 3L, 16L)));
        }
        Files.createFile(resources.resolve("home/sync-paused"));
    }

    private void backup() throws Exception {
        Path base = Files.createFile(dir.resolve("home.img"));
        Superblock first = ResourceDir.newBackup(ID, AddressSpace.of(SIZE), true, NODE, 0x77);
        try (ResourceDir made = create("mail", Role.SECONDARY, base.toString(), first)) {
            Ancestry.Entry entry =
                    new Ancestry.Entry(
                            AT.generation(),
                            Position.NONE,
                            Ancestry.Reason.CREATE,
                            NODE,
                            1_700_000_000_000L);
            made.write(
                    new Superblock(
                            ID,
                            Role.SECONDARY,
                            AddressSpace.of(SIZE),
                            false,
                            true,
                            false,
                            false,
                            false,
                            AT,
                            Position.NONE,
                            17,
                            4096,
                            8192,
                            3,
                            2,
                            9,
                            1_764_400_000_000L,
                            1_764_400_000_100L,
                            Ancestry.EMPTY.plus(entry)));
        }
    }

    private ResourceDir create(String name, Role role, String base, Superblock first)
            throws Exception {
        TreeMap<String, List<Path>> disks = new TreeMap<>();
        disks.put("server", List.of(Path.of("/dev/vg0/home")));
        return ResourceDir.create(
                resources,
                name,
                new ResourceDir.Facts(
                        ID.toString(),
                        role.name(),
                        List.of(role == Role.PRIMARY ? "/dev/vg0/home" : base),
                        false,
                        role == Role.PRIMARY ? "" : "/srv/holdfast/mail.journal",
                        1 << 20,
                        "peer"),
                first,
                ResourceSettings.ofDisks(disks));
    }

    private void requireGolden(String name, MetadataDump dump) throws IOException {
        String said = Json.writePretty(dump).replace(dir.toString(), "ROOT");
        try (var in = ResourceDumpTest.class.getResourceAsStream("/golden/dump/" + name)) {
            assertEquals(
                    new String(in.readAllBytes(), java.nio.charset.StandardCharsets.UTF_8), said);
        }
    }

    @Test
    void aPrimarysFilesAreToldWhole() throws Exception {
        primary();
        requireGolden("primary.json", dump("home"));
    }

    @Test
    void aBackupsFilesAreToldAsFarAsTheyExist() throws Exception {
        backup();
        requireGolden("backup.json", dump("mail"));
    }

    /// Nothing is synced, tidied up or mended by looking.
    @Test
    void lookingChangesNothing() throws Exception {
        primary();
        Files.createDirectories(resources.resolve("unfinished"));
        damage("home/superblock", 0);
        byte[] metadata = Files.readAllBytes(resources.resolve("home/metadata"));
        byte[] superblock = Files.readAllBytes(resources.resolve("home/superblock"));
        assertFalse(dump("home").damage().isEmpty());
        assertTrue(Files.exists(resources.resolve("unfinished")));
        assertEquals(
                ByteBuffer.wrap(metadata),
                ByteBuffer.wrap(Files.readAllBytes(resources.resolve("home/metadata"))));
        assertEquals(
                ByteBuffer.wrap(superblock),
                ByteBuffer.wrap(Files.readAllBytes(resources.resolve("home/superblock"))));
    }

    @Test
    void aDamagedSlotIsToldAndTheOtherOneShown() throws Exception {
        primary();
        int slot = dump("home").superblock().orElseThrow().slot();
        long half = Files.size(resources.resolve("home/superblock")) / 2;
        damage("home/superblock", slot * half + 70);
        MetadataDump dump = dump("home");
        assertEquals(1 - slot, dump.superblock().orElseThrow().slot());
        assertTrue(dump.damage().getFirst().contains("superblock, byte"), dump.damage().toString());
        damage("home/superblock", (1 - slot) * half);
        dump = dump("home");
        assertEquals(Optional.empty(), dump.superblock());
        assertEquals(Optional.empty(), dump.tracking());
        assertEquals("/dev/vg0/home", dump.disk());
        assertTrue(dump.damage().getLast().contains("metadata was not read"));
    }

    @Test
    void aDamagedPageOfTheBitmapIsToldWithWhatAStartWouldMakeOfIt() throws Exception {
        primary();
        damage("home/metadata", 128 * 4096 + 200);
        MetadataDump dump = dump("home");
        assertTrue(dump.damage().getFirst().contains("byte 524288"), dump.damage().toString());
        assertEquals(0, dump.tracking().orElseThrow().toSend().blocks());
        assertEquals(16_385, dump.tracking().orElseThrow().toCompare().blocks());
        Files.delete(resources.resolve("home/metadata"));
        assertTrue(
                dump("home").damage().getFirst().contains("metadata is missing; the next start"),
                dump.damage().toString());
    }

    @Test
    void whatIsNotThereIsRefusedWithWhatIs() throws Exception {
        primary();
        Problem problem = refused("hom");
        assertEquals(ExitCode.REFUSED.number(), problem.exitCode());
        assertEquals("there is no resource hom", problem.cause());
        assertEquals(List.of("there is home"), problem.evidence());
        assertEquals("holdfast --root " + dir + " dump-md home", problem.next().orElseThrow());
        assertEquals(
                "there is no resource ../resources/home", refused("../resources/home").cause());
        Files.createDirectories(resources.resolve("music"));
        assertEquals("the add of music was not finished", refused("music").cause());
        Files.writeString(resources.resolve("home/resource.json"), "{");
        problem = refused("home");
        assertEquals(ExitCode.FAILED.number(), problem.exitCode());
        assertTrue(problem.evidence().getFirst().contains("resource.json: "), problem.text());
    }

    @Test
    void withoutAStateDirectoryItSaysWhereItLooked() {
        ProblemException e =
                assertThrows(
                        ProblemException.class,
                        () ->
                                new ResourceDump(NodePaths.under(dir.resolve("no")), "home", 3)
                                        .read());
        assertEquals(
                List.of(dir.resolve("no/state/resources") + " does not exist"),
                e.problem().evidence());
    }

    @Test
    void whoHasTheStateDirectoryIsToldAndKeepsIt() throws Exception {
        primary();
        try (OwnedLock held = OwnedLock.ofStateDirectory(dir.resolve("state"))) {
            assertEquals(Optional.of(held.owner().pid()), dump("home").daemonPid());
        }
        assertEquals(Optional.empty(), dump("home").daemonPid());
    }

    private Problem refused(String name) {
        return assertThrows(ProblemException.class, () -> dump(name)).problem();
    }

    private void damage(String file, long at) throws IOException {
        try (FileChannel channel =
                FileChannel.open(
                        resources.resolve(file),
                        StandardOpenOption.READ,
                        StandardOpenOption.WRITE)) {
            ByteBuffer one = ByteBuffer.allocate(1);
            channel.read(one, at);
            one.put(0, (byte) (one.get(0) ^ 1)).rewind();
            channel.write(one, at);
        }
    }
}
