package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.bench.BlockClient;
import holdfast.bench.Ports;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.NodePaths;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.status.StatusReport;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.jar.Attributes;
import java.util.jar.JarEntry;
import java.util.jar.JarOutputStream;
import java.util.jar.Manifest;
import java.util.regex.Pattern;
import java.util.stream.LongStream;
import java.util.stream.Stream;

/// What befalls a process rather than its disks: it stands still, has no memory or no descriptors
/// left, is given bad settings, its line turns bits, the peer's name is not known. One pair for
/// all; each test leaves it in sync.
class ProcessFaultsTest {
    private static final int MIB = 1 << 20;
    private static final long JOURNAL_BYTES = 16L << 20;
    private static final String HOME = "home";

    /// The kind of call that takes space for a file, as `faulty-disk.c` counts them.
    private static final int SPACE = 8;

    private static final int MANY_FILES = 4096;

    @TempDir private static Path dir;

    private static final Random RANDOM = new Random(3);
    private static NodeProcess left;
    private static NodeProcess right;
    private static FlippingLink line;
    private static FaultyDisk faults;
    private static Path hosts;
    private static Path hungry;
    private static Path disk;

    @BeforeAll
    static void start() throws Exception {
        int port = Ports.free();
        line = new FlippingLink(port);
        hosts = dir.resolve("hosts");
        hungry = dir.resolve("hungry");
        nameIsKnown(true);
        NodePaths leftPaths = NodePaths.under(dir.resolve("left"));
        NodePaths rightPaths = NodePaths.under(dir.resolve("right"));
        String link = "[link]\nkeepalive = \"1s\"\n";
        TwoNodes.make(leftPaths, "[node]\nname = \"left\"\n" + link);
        TwoNodes.make(
                rightPaths,
                "[node]\nname = \"right\"\n%slisten = \"127.0.0.1:%d\"\n".formatted(link, port));
        faults = new FaultyDisk(FaultyDisk.build(dir), dir.resolve("left.faults"), dir);
        Map<String, String> environment = new HashMap<>(faults.environment());
        environment.put("JAVA_TOOL_OPTIONS", String.join(" ", flags()));
        left = new NodeProcess(leftPaths, environment);
        right = new NodeProcess(rightPaths);
        right.start();
        left.start();
        right.awaitAnswer();
        left.awaitAnswer();
        right.api.storage(
                new ControlApi.StorageRequest(dir.resolve("storage").toString(), Optional.empty()));
        String token =
                right.api
                        .invite(
                                new ControlApi.InviteRequest(
                                        Optional.of("right.test:" + line.port), Optional.empty()))
                        .token();
        left.api.join(new ControlApi.JoinRequest(token));
        TwoNodes.until("connected", () -> left.api.status().link().get().isConnected());
        disk = sparse(HOME);
        left.api.add(TwoNodes.addRequest(HOME, disk, JOURNAL_BYTES));
        left.api.attach(new ControlApi.NameRequest(HOME));
        awaitInSync(HOME);
    }

    @AfterAll
    static void stop() throws Exception {
        try (FlippingLink _ = line;
                NodeProcess _ = left;
                NodeProcess _ = right) {
            // They end in that order.
        }
    }

    /// What `bin/holdfast` has a daemon do without memory, and what has it run out of it; names are
    /// looked up in a file, each time anew.
    private static List<String> flags() throws Exception {
        String launcher = Files.readString(Path.of("../bin/holdfast"));
        var ending = Pattern.compile("-XX:\\+ExitOnOutOfMemoryError").matcher(launcher);
        assertTrue(ending.find(), "a daemon would live on without memory");
        Path jar = dir.resolve("eater.jar");
        Manifest manifest = new Manifest();
        manifest.getMainAttributes().put(Attributes.Name.MANIFEST_VERSION, "1.0");
        manifest.getMainAttributes().putValue("Premain-Class", HeapEater.class.getName());
        try (OutputStream file = Files.newOutputStream(jar);
                JarOutputStream out = new JarOutputStream(file, manifest);
                InputStream in = HeapEater.class.getResourceAsStream("HeapEater.class")) {
            out.putNextEntry(new JarEntry(HeapEater.class.getName().replace('.', '/') + ".class"));
            in.transferTo(out);
        }
        Path security =
                Files.writeString(
                        dir.resolve("security"),
                        "networkaddress.cache.ttl=0\nnetworkaddress.cache.negative.ttl=0\n");
        return List.of(
                ending.group(),
                "-javaagent:%s=%s".formatted(jar, hungry),
                "-Djdk.net.hosts.file=" + hosts,
                "-Djava.security.properties=" + security);
    }

    private static void nameIsKnown(boolean known) throws IOException {
        Path next = Files.writeString(dir.resolve("hosts.new"), "127.0.0.1 localhost\n");
        if (known) {
            Files.writeString(next, "127.0.0.1 localhost right.test\n");
        }
        Files.move(next, hosts, StandardCopyOption.REPLACE_EXISTING);
    }

    // ---- row 45, and 49 meanwhile --------------------------------------------------------------

    /// The command is killed while the peer does not answer its daemon.
    @Test
    void aBackupThatStandsStillIsNoticedAndNothingIsClaimedOfItAndAKilledCommandIsTypedAgain()
            throws Exception {
        Path second = sparse("second");
        signal("STOP", right);
        String committed;
        try {
            write();
            StatusReport.Resource home = left.resource(HOME).orElseThrow();
            committed = home.committed();
            assertNotEquals(home.position(), committed);
            Command add =
                    Command.start(
                            left.paths,
                            dir,
                            "add",
                            "second",
                            second.toString(),
                            "--journal",
                            "16 MiB");
            TwoNodes.until("it asks the daemon", () -> hasSocket(add.process));
            add.process.destroyForcibly().waitFor();
            NodeProcess.until("noticed", () -> !isConnected(left), left);
            home = left.resource(HOME).orElseThrow();
            assertEquals(committed, home.committed());
        } finally {
            signal("CONT", right);
        }
        awaitInSync(HOME);
        requireSame();
        TwoNodes.until("the same command is carried out", () -> isAdded("second", second));
        left.api.attach(new ControlApi.NameRequest("second"));
        awaitInSync("second");
    }

    @Test
    void aPrimaryThatStandsStillIsNoticedAndGoesOn() throws Exception {
        write();
        awaitInSync(HOME);
        String committed = right.resource(HOME).orElseThrow().committed();
        signal("STOP", left);
        try {
            NodeProcess.until("noticed", () -> !isConnected(right), right);
            assertEquals(committed, right.resource(HOME).orElseThrow().committed());
            requireSame();
        } finally {
            signal("CONT", left);
        }
        awaitInSync(HOME);
        write();
        awaitInSync(HOME);
        requireSame();
        assertEquals(0, events(left, "split-brain") + events(right, "split-brain"));
    }

    // ---- row 46 --------------------------------------------------------------------------------

    @Test
    void aDaemonWithoutMemoryEndsAndARestartFindsWhatWasFlushed() throws Exception {
        ByteBuffer written = write();
        long before = left.loggedBytes();
        Files.createFile(hungry);
        assertTrue(left.hasEnded(), "it goes on without memory");
        Files.delete(hungry);
        assertTrue(
                left.loggedText(before).contains("Terminating due to java.lang.OutOfMemoryError"),
                left.loggedText(before));
        left.start();
        left.awaitAnswer();
        TwoNodes.until(
                "it is exported",
                () -> left.resource(HOME).flatMap(StatusReport.Resource::export).isPresent());
        try (BlockClient client = client()) {
            assertEquals(written.rewind(), client.read(0, written.remaining()));
        }
        awaitInSync(HOME);
        requireSame();
    }

    // ---- row 47 --------------------------------------------------------------------------------

    @Test
    void withoutDescriptorsWhoIsThereGoesOnAndWhoComesWaits() throws Exception {
        long pid = pid(left);
        write(); // A class that lies in a directory, and not in a jar, is a file to be opened.
        try (BlockClient first = client()) {
            first.flush();
            limitFiles(pid, firstFree(pid));
            CompletableFuture<ByteBuffer> second =
                    CompletableFuture.supplyAsync(ProcessFaultsTest::late);
            CompletableFuture<StatusReport> asked =
                    CompletableFuture.supplyAsync(
                            () -> {
                                try {
                                    return left.api.status();
                                } catch (ProblemException e) {
                                    throw new IllegalStateException(e);
                                }
                            });
            String was = right.resource(HOME).orElseThrow().committed();
            byte[] data = new byte[MIB];
            RANDOM.nextBytes(data);
            first.write(0, ByteBuffer.wrap(data), true);
            NodeProcess.until(
                    "it is replicated all the same",
                    () -> !right.resource(HOME).orElseThrow().committed().equals(was),
                    right);
            assertFalse(asked.isDone(), "there are descriptors left");
            limitFiles(pid, MANY_FILES);
            assertEquals(ByteBuffer.wrap(data, 0, 4096).slice(), second.get(60, TimeUnit.SECONDS));
            assertTrue(asked.get(60, TimeUnit.SECONDS).resource(HOME).isPresent());
        } finally {
            limitFiles(pid, MANY_FILES);
        }
        long failed = events(left, "accept-failed");
        assertTrue(failed > 0, left.account());
        NodeProcess.until(
                "each listener tells that it is over, though no other client comes",
                () -> events(left, "accept-works") == failed,
                left);
        awaitInSync(HOME);
        requireSame();
    }

    /// One that waits, or comes again where it was let in and there was nothing to serve it with.
    private static ByteBuffer late() {
        while (true) {
            try (BlockClient client = client()) {
                return client.read(0, 4096);
            } catch (IOException _) {
                LockSupport.parkNanos(50_000_000);
            }
        }
    }

    private static void limitFiles(long pid, long most) throws Exception {
        Run.ok("prlimit", "--pid", Long.toString(pid), "--nofile=%d:".formatted(most));
    }

    /// The lowest number that is no descriptor: below a limit of so many there is none to be had.
    private static long firstFree(long pid) {
        return LongStream.iterate(0, each -> each + 1)
                .filter(
                        each ->
                                !Files.isSymbolicLink(
                                        Path.of("/proc/%d/fd/%d".formatted(pid, each))))
                .findFirst()
                .orElseThrow();
    }

    // ---- row 51 --------------------------------------------------------------------------------

    @Test
    void badSettingsAreNamedAndThoseOfBeforeStayInForce() throws Exception {
        Path node = left.paths.nodeFile();
        Path home = left.paths.resourceDirectory().resolve("home.toml");
        String nodeWas = Files.readString(node);
        String homeWas = Files.readString(home);
        Files.writeString(node, nodeWas + "rate = \"fast\"\n");
        Files.writeString(home, homeWas.replace("protocol = \"A\"", "protocol = \"D\""));
        ControlApi.AdjustReply reply = left.api.adjust(new ControlApi.AdjustRequest(false));
        assertFalse(reply.applied(), reply.toString());
        String problems = String.join("\n", reply.problems());
        assertTrue(problems.contains("node.toml:5:") && problems.contains("fast"), problems);
        assertTrue(problems.contains("home.toml:") && problems.contains("\"D\""), problems);
        assertEquals(
                Optional.empty(), left.api.status().link().orElseThrow().rate().bytesPerSecond());
        assertEquals(Optional.of("A"), left.resource(HOME).orElseThrow().protocol());
        write();
        awaitInSync(HOME);
        Files.writeString(node, nodeWas + "rate = \"1 Gbit/s\"\n");
        Files.writeString(home, homeWas);
        assertTrue(left.api.adjust(new ControlApi.AdjustRequest(false)).applied());
        assertEquals(
                Optional.of(125_000_000L),
                left.api.status().link().orElseThrow().rate().bytesPerSecond());
        Files.writeString(node, nodeWas);
        assertTrue(left.api.adjust(new ControlApi.AdjustRequest(false)).applied());
    }

    // ---- rows 36 and 43 ------------------------------------------------------------------------

    @Test
    void aBitThatTurnsBelowTlsEndsTheConnectionAndNothingElse() throws Exception {
        long downs = events(left, "link-down");
        long[] behind = {3, 40, 300_000};
        for (long bytes : behind) {
            line.flip(true, bytes);
            write();
            TwoNodes.until("a bit was turned", line::hasFlipped);
            awaitInSync(HOME);
        }
        line.flip(false, 7);
        write();
        TwoNodes.until("a bit was turned", line::hasFlipped);
        awaitInSync(HOME);
        requireSame();
        long ended = events(left, "link-down") - downs;
        assertTrue(ended > behind.length, ended + " connections ended");
        assertEquals(0, events(left, "split-brain") + events(right, "split-brain"));
    }

    @Test
    void aNameThatIsNotKnownForAWhileIsAskedForAgain() throws Exception {
        nameIsKnown(false);
        line.cut();
        write();
        NodeProcess.until(
                "status says that the name is the trouble",
                () ->
                        left.api
                                .status()
                                .link()
                                .orElseThrow()
                                .trouble()
                                .filter(each -> each.contains("right.test"))
                                .isPresent(),
                left);
        nameIsKnown(true);
        awaitInSync(HOME);
        requireSame();
    }

    // ---- row 20 --------------------------------------------------------------------------------

    @Test
    void whatFindsNoRoomForItsMetadataIsNotAddedAndLeavesNothing() throws Exception {
        Path third = sparse("third");
        faults.arm(FaultyDisk.Kind.NO_SPACE, SPACE, "resources/third/metadata", 1, 1);
        ProblemException refusal =
                assertThrows(
                        ProblemException.class,
                        () -> left.api.add(TwoNodes.addRequest("third", third, JOURNAL_BYTES)));
        assertTrue(faults.hasStruck(), "the space was taken otherwise");
        String text = refusal.problem().text();
        assertTrue(text.contains("third was not added"), text);
        assertTrue(text.contains("metadata") && text.contains("no space left"), text);
        assertFalse(Files.exists(left.paths.state().resolve("resources/third")));
        assertFalse(Files.exists(left.paths.resourceDirectory().resolve("third.toml")));
        assertEquals(Optional.empty(), left.resource("third"));
        left.api.add(TwoNodes.addRequest("third", third, JOURNAL_BYTES));
        left.api.attach(new ControlApi.NameRequest("third"));
        awaitInSync("third");
    }

    // ---- the pair ------------------------------------------------------------------------------

    private static Path sparse(String name) throws IOException {
        Path path = dir.resolve(name + ".disk");
        try (var file = new RandomAccessFile(path.toFile(), "rw")) {
            file.setLength(4L * MIB);
        }
        return path;
    }

    private static BlockClient client() throws IOException {
        return new BlockClient(TwoProcesses.socket(left, HOME), HOME);
    }

    /// What nothing makes smaller, flushed.
    private static ByteBuffer write() throws IOException {
        byte[] data = new byte[MIB];
        RANDOM.nextBytes(data);
        try (BlockClient client = client()) {
            client.write(0, ByteBuffer.wrap(data), false);
            client.flush();
        }
        return ByteBuffer.wrap(data);
    }

    private static void awaitInSync(String name) {
        NodeProcess.until(
                name + " in sync",
                () -> left.resource(name).filter(TwoProcesses::isInSync).isPresent(),
                left,
                right);
    }

    private static void requireSame() throws Exception {
        TwoProcesses.compare(right, HOME, disk);
    }

    /// By this order, or by that of the command that was killed.
    private static boolean isAdded(String name, Path of) {
        if (left.resource(name).isPresent()) {
            return true;
        }
        try {
            left.api.add(TwoNodes.addRequest(name, of, JOURNAL_BYTES));
            return true;
        } catch (ProblemException _) {
            return false; // The daemon is still at it.
        }
    }

    private static boolean isConnected(NodeProcess node) {
        return node.resource(HOME).orElseThrow().isConnected();
    }

    private static boolean hasSocket(Process process) throws IOException {
        try (Stream<Path> all = Files.list(Path.of("/proc/%d/fd".formatted(process.pid())))) {
            for (Path each : all.toList()) {
                if (Files.isSymbolicLink(each)
                        && Files.readSymbolicLink(each).toString().startsWith("socket:")) {
                    return true;
                }
            }
        }
        return false;
    }

    private static long pid(NodeProcess node) throws ProblemException {
        return node.api.status().node().pid();
    }

    private static final Map<NodeProcess, Long> STOPPED = new HashMap<>();

    /// @param name STOP, or behind it CONT
    private static void signal(String name, NodeProcess node) throws Exception {
        long pid = STOPPED.containsKey(node) ? STOPPED.remove(node) : pid(node);
        if (name.equals("STOP")) {
            STOPPED.put(node, pid);
        }
        Run.ok("kill", "-" + name, Long.toString(pid));
    }

    private static long events(NodeProcess node, String kind) throws Exception {
        List<ControlApi.Event> all = new ArrayList<>();
        node.api.events(new ControlApi.EventsRequest(0, false), all::add);
        return all.stream().filter(each -> each.kind().equals(kind)).count();
    }
}
