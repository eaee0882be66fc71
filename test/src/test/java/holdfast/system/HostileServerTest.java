package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.bench.BlockClient;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ControlApi.Kept;
import holdfast.replicator.control.ControlApi.Marked;
import holdfast.replicator.control.ControlApi.PointsReply;
import holdfast.replicator.control.NodePaths;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.daemon.Daemon;
import holdfast.replicator.state.DiskState;
import holdfast.replicator.state.Role;
import holdfast.replicator.status.StatusReport;
import holdfast.tunnel.wire.AddressSpace;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.UUID;
import java.util.concurrent.locks.LockSupport;

/// History belongs to the backup (R22): a server that has gone bad does its worst over the real
/// link, with its real key, to a real daemon. Whatever it says, every moment within `retention-min`
/// stays, and what is kept and marked, and each is what it was; the daemon lives, and the copy of
/// another server goes on.
///
/// All is tried twice: with room in the journal, and once a flood has filled it.
class HostileServerTest {
    private static final int MIB = 1 << 20;
    private static final int SIZE = 4 * MIB;
    private static final ControlApi.NameRequest HOME = new ControlApi.NameRequest("home");

    @TempDir Path dir;

    private final Random random = new Random(22);
    private final List<Shown> before = new ArrayList<>();
    private TwoNodes nodes;
    private Daemon other;
    private String otherUri;
    private PointsReply points;
    private UUID id;
    private Ancestry past;
    private Position good;
    private HostileServer peer;
    private int otherWrites;
    private long epoch = 1000;
    private boolean isFull;

    /// What a point showed before the peer went bad.
    private record Shown(String at, String point, long sizeBytes, String digest) {}

    private interface Attack {
        void run() throws Exception;
    }

    @Test
    void nothingThatItSaysShortensDeletesOrAgesWhatIsThere() throws Exception {
        try (TwoNodes both = new TwoNodes(dir)) {
            nodes = both;
            try {
                prepare();
                peer = new HostileServer(nodes.serverPaths.state(), nodes.port, id);
                all("with room");
                attack("flood", this::flood);
                isFull = true;
                all("without room");
                peer.close();
                nodes.backup.close();
                nodes.startBackup();
                requireHistory("a restart");
            } finally {
                if (peer != null) {
                    peer.close();
                }
                if (other != null) {
                    other.close();
                }
            }
        }
    }

    private void all(String when) throws Exception {
        attack("first sync " + when, this::firstSync);
        attack("epochs " + when, this::epochs);
        attack("clocks " + when, this::clocks);
        attack("sizes " + when, this::sizes);
        attack("comparisons " + when, this::comparisons);
        attack("marks " + when, this::marks);
        attack("greetings " + when, this::greetings);
        attack("garbage " + when, this::garbage);
        attack("offers " + when, this::offers);
        attack("another history " + when, this::anotherHistory);
    }

    private void attack(String name, Attack attack) throws Exception {
        peer.forget();
        long began = System.nanoTime();
        attack.run();
        requireHistory(name);
        System.out.printf(
                "HostileServerTest: %s, %d ms%n", name, (System.nanoTime() - began) / 1_000_000);
    }

    // ---- what there is -----------------------------------------------------------------------

    private void prepare() throws Exception {
        nodes.pair();
        Path disk = Files.write(dir.resolve("disk.img"), noise(SIZE));
        String uri = nodes.addAndAttach("home", disk, 16L * MIB);
        nodes.untilInSync("home");
        Path settings = nodes.backupPaths.resourceDirectory().resolve("home.toml");
        Files.writeString(
                settings,
                Files.readString(settings)
                        .replaceFirst(
                                "journal = .*",
                                "journal = { size = \"16 MiB\", retention = \"2h\", retention-min = \"1h\" }"));
        nodes.backup.adjust(new ControlApi.AdjustRequest(false));
        List<String> ats = new ArrayList<>();
        for (int i = 1; i <= 4; i++) {
            String write = "write -P %d %dk 64k".formatted(i, 256 * i);
            Run.ok("qemu-io", "-f", "raw", "-c", write, "-c", "flush", uri);
            nodes.untilInSync("home");
            if (i == 2) {
                nodes.backup.keep(
                        new ControlApi.KeepRequest(
                                "home", "kept", Optional.empty(), Optional.of("1h")));
                ats.add("kept");
            } else if (i == 3) {
                nodes.server.mark(new ControlApi.MarkRequest("home", "marked"));
                ats.add("marked");
            }
            LockSupport.parkNanos(30_000_000);
            ats.add(Instant.now().toString());
            LockSupport.parkNanos(30_000_000);
        }
        id = UUID.fromString(nodes.atServer("home").id());
        nodes.server.close();
        points = nodes.backup.points(HOME);
        ats.add(points.oldest().orElseThrow().time().toString());
        for (String each : ats) {
            before.add(shown(each));
        }
        assertTrue(before.stream().map(Shown::digest).distinct().count() >= 5, before.toString());
        another();
    }

    /// Another server, with a copy on the same backup.
    private void another() throws Exception {
        NodePaths paths = NodePaths.under(dir.resolve("other"));
        TwoNodes.make(paths, "[node]\nname = \"other\"\n");
        other = Daemon.start(paths);
        String token =
                nodes.backup
                        .invite(
                                new ControlApi.InviteRequest(
                                        Optional.of("127.0.0.1:" + nodes.port), Optional.empty()))
                        .token();
        other.join(new ControlApi.JoinRequest(token));
        TwoNodes.until("connected", () -> other.status().link().get().isConnected());
        Path disk = Files.write(dir.resolve("mail.img"), new byte[MIB]);
        other.add(TwoNodes.addRequest("mail", disk, 16L * MIB));
        otherUri = other.attach(new ControlApi.NameRequest("mail")).uri();
    }

    private byte[] noise(int bytes) {
        byte[] data = new byte[bytes];
        random.nextBytes(data);
        return data;
    }

    private Shown shown(String at) throws Exception {
        ControlApi.OpenReply opened =
                nodes.backup.open(new ControlApi.OpenRequest("home", Optional.of(at)));
        String export = URI.create(opened.view().uri()).getPath().substring(1);
        try (BlockClient image = new BlockClient(Path.of(opened.view().socket()), export)) {
            return new Shown(
                    at,
                    opened.view().point(),
                    opened.sizeBytes(),
                    KeptMoments.digest(image, 0, opened.sizeBytes()));
        } finally {
            nodes.backup.closeView(new ControlApi.CloseRequest(opened.view().id()));
        }
    }

    private void requireHistory(String behind) throws Exception {
        PointsReply now = nodes.backup.points(HOME);
        assertEquals(points.oldest(), now.oldest(), behind);
        assertEquals(points.retentionMinSeconds(), now.retentionMinSeconds(), behind);
        assertEquals(points.kept(), now.kept(), behind);
        assertTrue(now.kept().stream().noneMatch(Kept::damaged), behind);
        List<Marked> marked = now.marked();
        assertEquals(points.marked(), marked.subList(0, points.marked().size()), behind);
        for (Shown each : before) {
            try {
                assertEquals(each, shown(each.at()), behind);
            } catch (ProblemException e) {
                throw new AssertionError(behind + ": " + each.at() + ": " + e.getMessage(), e);
            }
        }
        StatusReport said = nodes.backup.status();
        String disk = said.resource("home").orElseThrow().disk();
        assertTrue(List.of("UP_TO_DATE", "OUTDATED").contains(disk), behind + ": " + disk);
        nodes.backup.events(
                new ControlApi.EventsRequest(0, false),
                event ->
                        assertTrue(
                                !event.kind().equals("internal-error")
                                        && !event.text().contains("internal error"),
                                behind + ": " + event));
        otherGoesOn(behind);
    }

    private void otherGoesOn(String behind) throws Exception {
        String write = "write -P %d 0 64k".formatted(++otherWrites % 256);
        Run.ok("qemu-io", "-f", "raw", "-c", write, "-c", "flush", otherUri);
        TwoNodes.until(
                "the other server's copy follows, behind " + behind,
                () -> {
                    StatusReport.Resource mail = other.status().resource("mail").orElseThrow();
                    return mail.replication().equals("ESTABLISHED")
                            && mail.committed().equals(mail.position());
                });
    }

    // ---- what the peer does ------------------------------------------------------------------

    private void begin() {
        peer.begin();
        good = peer.copy().committed();
        past = peer.copy().ancestry();
    }

    private Frame.Write write(Position at, long wallMillis, long offset, int bytes) {
        return new Frame.Write(
                0, at, wallMillis, offset, ByteBuffer.wrap(noise(bytes)).asReadOnlyBuffer());
    }

    /// Until the journal is full and nothing more of it is taken in.
    private void flood() {
        begin();
        int count = 40;
        for (int i = 1; i <= count; i++) {
            peer.send(
                    write(
                            good.plus(i),
                            System.currentTimeMillis(),
                            (long) MIB * random.nextInt(SIZE / MIB),
                            MIB));
        }
        peer.awaitSent();
        peer.await(
                "the backup holds acknowledgements back, and says so",
                each ->
                        each instanceof Frame.Trouble trouble
                                && trouble.text().contains("retention-min"));
        Position last = good.plus(count);
        assertTrue(
                !peer.has(each -> each instanceof Frame.Ack ack && ack.committed().equals(last)));
    }

    private void firstSync() {
        begin();
        peer.send(
                new Frame.SyncBlocks(0, 1, 0, HostileServer.filled(4096, (byte) 9)),
                new Frame.SyncZero(0, 2, 0, SIZE));
        peer.awaitRefusal("a first sync into a copy that has points already");
        // Whatever it says of itself, of what it knows and of an operator's order.
        Frame.ResourceHello copy = peer.copy();
        for (boolean ordered : new boolean[] {false, true}) {
            peer.greet(
                    new Frame.ResourceHello(
                            id,
                            Role.PRIMARY.ordinal() + 1,
                            DiskState.INCONSISTENT.ordinal(),
                            SIZE,
                            copy.committed(),
                            Position.NONE,
                            77,
                            false,
                            0,
                            true,
                            0,
                            0,
                            new Frame.Known(Position.NONE, Position.NONE, 0, 0, 0, 0, ordered),
                            copy.ancestry()));
            peer.open(copy.committed());
            peer.send(new Frame.SyncZero(0, 1, 0, SIZE));
            peer.awaitSent();
        }
    }

    private void epochs() {
        begin();
        for (long blocks : new long[] {Long.MAX_VALUE, Long.MAX_VALUE / 4096, 1L << 40, 5000}) {
            peer.send(new Frame.EpochBegin(++epoch, blocks, blocks));
            peer.send(new Frame.EpochBegin(0, blocks, 0), new Frame.EpochBegin(-1, 0, blocks));
        }
        peer.awaitSent();
        // More than it asked room for.
        begin();
        peer.send(new Frame.EpochBegin(++epoch, 1, 0));
        for (int i = 0; i < 8; i++) {
            peer.send(new Frame.EpochBlocks(0, epoch, 0, HostileServer.filled(MIB, (byte) 8)));
        }
        peer.awaitSent();
        // Another digest, another count, a place outside.
        begin();
        peer.send(
                new Frame.EpochBegin(++epoch, 2, 2),
                new Frame.EpochZero(0, epoch, 0, SIZE),
                new Frame.EpochCommit(epoch, good.plus(9), Long.MAX_VALUE, 1, new byte[32], past));
        peer.awaitSent();
        begin();
        peer.send(
                new Frame.EpochBegin(++epoch, 2, 2),
                new Frame.EpochZero(0, epoch, Long.MAX_VALUE - 4096, 4096));
        peer.awaitSent();
        // Cut off in the middle, again and again.
        for (int i = 0; i < 5; i++) {
            begin();
            peer.send(
                    new Frame.EpochBegin(++epoch, 64, 1),
                    new Frame.EpochBlocks(0, epoch, 0, HostileServer.filled(65536, (byte) i)));
            peer.awaitSent();
        }
    }

    /// A month ahead, years behind, and what no clock shows.
    private void clocks() {
        begin();
        long now = System.currentTimeMillis();
        long month = 30L * 86_400_000;
        long[] millis = {
            now + month,
            now - month,
            0,
            1,
            -1,
            Long.MAX_VALUE,
            Long.MIN_VALUE,
            Long.MAX_VALUE / 2,
            Long.MIN_VALUE / 2,
            now
        };
        Position at = good;
        for (long each : millis) {
            at = at.plus(1);
            peer.send(write(at, each, 0, 4096), new Frame.Heartbeat(at, each));
        }
        peer.awaitSent();
        begin();
        for (long each : millis) {
            peer.send(new Frame.Heartbeat(good, each), new Frame.Heartbeat(good.plus(1000), each));
        }
        peer.awaitSent();
    }

    private void sizes() {
        long larger = SIZE + 4L * MIB;
        for (AddressSpace each :
                List.of(
                        AddressSpace.of(4096),
                        AddressSpace.of(larger),
                        AddressSpace.of(4096),
                        AddressSpace.of((1L << 50) + 4096),
                        AddressSpace.ofVolumes(List.of(4096L, 1L << 30)))) {
            peer.forget();
            peer.say(new Frame.Resize(id, each));
            peer.await("it is answered", answer -> answer instanceof Frame.ResizeReply);
        }
        begin();
        // As if the moments that there are had been of that size.
        for (long size : new long[] {4096, larger, SIZE, 1L << 50}) {
            peer.greet(peer.hello(size, good, past));
            peer.open(good);
        }
        peer.awaitSent();
    }

    private void comparisons() {
        begin();
        for (int i = 1; i <= 2000; i++) {
            peer.send(new Frame.Compare(0, i, 0, SIZE, i % 5));
        }
        peer.awaitSent();
        begin();
        for (int i = 1; i <= 2000; i++) {
            peer.send(new Frame.Verify(0, i % 7, i, 0, SIZE, 0, false));
            peer.send(new Frame.Verify(0, 3, i, 4096, 128 << 10, 0, true));
        }
        peer.awaitSent();
        begin();
        for (int i = 1; i <= 1000; i++) {
            peer.send(new Frame.CompareSectors(i, List.of(new Frame.Range(512, MIB))));
        }
        peer.awaitSent();
        begin();
        peer.send(new Frame.Compare(0, 1, 1L << 40, 4096, 0));
        peer.awaitSent();
    }

    private void marks() {
        begin();
        for (String each : new String[] {"marked", "kept", "latest1"}) {
            peer.send(new Frame.Mark(1, good, 0, each));
        }
        for (int i = 0; i < 600; i++) {
            peer.send(new Frame.Mark(i, good, Long.MAX_VALUE, "m" + i));
        }
        peer.send(new Frame.Mark(9, good.plus(5), 0, "nowhere"));
        peer.awaitSent();
    }

    private void greetings() {
        begin();
        Position[] places = {
            good, Position.NONE, new Position(good.generation(), 1), good.plus(Long.MAX_VALUE / 2)
        };
        for (int i = 0; i < 300; i++) {
            Role role = i % 5 == 4 ? Role.SECONDARY : Role.PRIMARY;
            DiskState disk = DiskState.values()[i % DiskState.values().length];
            Ancestry of = i % 3 == 0 ? Ancestry.EMPTY : i % 3 == 1 ? past : forged(i);
            peer.say(peer.hello(role, disk, SIZE, places[i % places.length], of));
            if (i % 10 == 0) {
                peer.open(places[i % places.length]);
                peer.send(new Frame.Heartbeat(good, 0), write(good.plus(1), 0, 0, 4096));
            }
        }
        peer.awaitSent();
    }

    private void garbage() {
        begin();
        peer.say(new Frame.Invalidate(id));
        peer.say(new Frame.InvalidateReply(id, ""));
        peer.say(new Frame.Refused(id, "x".repeat(4000)));
        peer.say(new Frame.Trouble(id, "\u001b[2J" + "y".repeat(1000)));
        peer.say(new Frame.Ack(id, 0, good.plus(7), good.plus(7), -1, -1));
        peer.say(new Frame.Changed(id, List.of(new Frame.KeptRange(0, 1L << 40))));
        peer.say(new Frame.Behind(id, 0, good));
        peer.say(new Frame.EpochReply(id, 0, epoch, Long.MAX_VALUE, 0, 0));
        peer.say(new Frame.CompareReply(id, 0, 1, new byte[32]));
        peer.say(new Frame.MarkReply(id, 0, 1, "no"));
        peer.say(new Frame.Verified(id, 1, Long.MAX_VALUE, Long.MIN_VALUE, 1, 1, ""));
        peer.say(new Frame.Wrote(id, good, good, -5, Long.MAX_VALUE, -7, true, -9, true, 1L << 60));
        begin();
        peer.send(
                write(good.plus(2), 0, 0, 4096),
                write(good, 0, 0, 4096),
                new Frame.Zero(0, good.plus(1), 0, SIZE, 1L << 50, true));
        peer.awaitSent();
        begin();
        peer.send(new Frame.Zero(0, good.plus(1), 0, 0, Long.MAX_VALUE, true));
        peer.awaitSent();
        // On a stream that nothing was granted for: that ends the session.
        peer.say(new Frame.Credit(77, Long.MAX_VALUE));
        peer.say(new Frame.StreamStart(id, 5, -3, good));
        peer.say(new Frame.StreamStart(new UUID(1, 2), 5, 3, good));
        for (int i = 0; i < 300; i++) {
            peer.say(new Frame.StreamStart(id, 5, i, Position.NONE));
        }
        begin();
    }

    /// The copy is given up and offered again, with a history of nothing, under its own and under
    /// other names, on its own disk.
    private void offers() throws Exception {
        Path image = dir.resolve("storage/home.img");
        String mine =
                "journal = { size = \"16 MiB\", retention = \"0s\", retention-min = \"0s\" }\n";
        String there = mine + "on.backup.disk = \"%s\"\n".formatted(image);
        for (int i = 0; i < 3; i++) {
            peer.say(new Frame.Withdraw(id, i % 2 == 0));
            peer.say(new Frame.Offer(id, "home", AddressSpace.of(SIZE), mine, i == 1));
            peer.say(new Frame.Offer(new UUID(7, i), "home", AddressSpace.of(SIZE), there, false));
            peer.say(new Frame.Offer(new UUID(8, i), "house", AddressSpace.of(SIZE), there, false));
            peer.say(new Frame.Offer(id, "hut", AddressSpace.of(SIZE), there, false));
            peer.say(
                    new Frame.Offer(
                            new UUID(9, i),
                            "huge",
                            AddressSpace.of(1L << 50),
                            "journal = { size = \"900 TiB\" }\n",
                            false));
        }
        // A withdrawal is carried out in front of the offers behind it, and has no answer.
        TwoNodes.until(
                "all are answered", () -> peer.count(e -> e instanceof Frame.OfferReply) == 15);
        assertTrue(!peer.has(e -> e instanceof Frame.OfferReply r && r.accepted()), peer::last);
        // An operator goes on with it.
        nodes.backup.connect(new ControlApi.LinkRequest(Optional.of("home")));
        begin();
    }

    private static Ancestry forged(long generation) {
        return Ancestry.EMPTY.plus(
                new Ancestry.Entry(
                        generation + 1,
                        Position.NONE,
                        Ancestry.Reason.CREATE,
                        new UUID(6, generation),
                        Long.MAX_VALUE));
    }

    /// Epochs that put the copy into another history, back to an old position, and to the last
    /// number that there is.
    private void anotherHistory() {
        begin();
        peer.commit(++epoch, new Position(667, 5), forged(666), (byte) 1, 0, 1);
        Position old = new Position(good.generation(), 1);
        begin();
        peer.commit(++epoch, old, past, (byte) 2, 0, 3);
        begin();
        peer.commit(++epoch, new Position(668, Long.MAX_VALUE), forged(667), (byte) 3, 0);
        peer.send(write(new Position(668, Long.MAX_VALUE), 0, 0, 4096));
        peer.awaitSent();
        begin();
        peer.commit(++epoch, new Position(669, 0), forged(668), (byte) 4, 2);
        begin();
        // With room for them the copy has been all of that.
        assertTrue(isFull || good.equals(new Position(669, 0)), good::toString);
    }
}
