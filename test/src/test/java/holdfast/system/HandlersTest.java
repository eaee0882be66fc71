package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.bench.BlockClient;
import holdfast.replicator.control.ControlApi;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/// Commands of `[handlers]`, as real scripts: what they are told, that nothing waits for them, and
/// that one that hangs, floods or could be changed by others does no harm.
class HandlersTest {
    private static final int MIB = 1 << 20;
    private static final ControlApi.LinkRequest HOME =
            new ControlApi.LinkRequest(Optional.of("home"));
    private static final ControlApi.NameRequest NAME = new ControlApi.NameRequest("home");

    @TempDir Path dir;

    private TwoNodes nodes;
    private Path scripts;
    private Path out;

    @BeforeEach
    void start() throws Exception {
        scripts = Files.createDirectory(dir.resolve("scripts"));
        out = Files.createDirectory(dir.resolve("out"));
        nodes = new TwoNodes(dir);
        nodes.pair();
        nodes.addAndAttach(
                "home", Files.write(dir.resolve("disk.img"), new byte[4 * MIB]), 16 * MIB);
        nodes.untilInSync("home");
        TwoNodes.until(
                "the first sync is done",
                () -> events().stream().anyMatch(e -> e.kind().equals("sync-done")));
    }

    @AfterEach
    void stop() {
        nodes.close();
    }

    @Test
    void aCommandIsToldWhatHappenedAndNothingElse() throws Exception {
        Path script =
                script("env > $1/env.new; pwd >> $1/env.new; mv $1/env.new $1/$HOLDFAST_EVENT");
        handlers("connect", script + " " + out, "disconnect", script + "  " + out);
        nodes.server.disconnect(HOME);
        TwoNodes.until("told", () -> Files.exists(out.resolve("disconnect")));
        nodes.server.connect(HOME);
        TwoNodes.until("told", () -> Files.exists(out.resolve("connect")));
        List<String> told = Files.readAllLines(out.resolve("disconnect"));
        for (String each :
                List.of(
                        "HOLDFAST_EVENT=disconnect",
                        "HOLDFAST_RESOURCE=home",
                        "HOLDFAST_NODE=server",
                        "HOLDFAST_PEER=backup",
                        "HOLDFAST_PEER_ADDRESS=127.0.0.1",
                        "HOLDFAST_VOLUMES=home",
                        "HOLDFAST_GENERATION="
                                + nodes.atServer("home").position().replaceAll("/.*", ""),
                        "HOLDFAST_ROLE=PRIMARY",
                        "HOLDFAST_DISK=" + dir.resolve("disk.img"),
                        "HOLDFAST_KIND=connection-changed",
                        "HOLDFAST_FROM=CONNECTED",
                        "HOLDFAST_TO=STANDALONE",
                        "LANG=C.UTF-8",
                        "/")) {
            assertTrue(told.contains(each), each + " in " + told);
        }
        for (String each : told) {
            assertTrue(each.matches("(HOLDFAST_[A-Z_]+|PATH|LANG|PWD|OLDPWD|SHLVL|_)=.*|/"), each);
        }
        awaitHandler("handler-done", "disconnect: " + script + " ended with 0");
    }

    /// Each key of the example in `conf.d/node.toml`, by what happens to a pair.
    @Test
    void eachKeyIsRunByWhatItIsFor() throws Exception {
        List<String> keys = new ArrayList<>();
        String example = Files.readString(Path.of("../conf.d/node.toml"));
        Matcher key = Pattern.compile("(?m)^#([a-z-]+) = \"/").matcher(example);
        for (int from = example.indexOf("[handlers]"); key.find(from); from = key.end()) {
            keys.add(key.group(1));
        }
        assertTrue(keys.containsAll(List.of("connect", "checkpoint-unpinned")), keys.toString());
        Path script =
                script("f=$1/$HOLDFAST_EVENT.$HOLDFAST_NODE; env > $f.new; mv $f.new $f; exit 0");
        String[] pairs =
                keys.stream()
                        .flatMap(each -> Stream.of(each, script + " " + out))
                        .toArray(String[]::new);
        // A drill whose check is not there has failed; nothing has to run for that.
        Instant now = Instant.now();
        ZoneOffset clock = ZoneOffset.ofTotalSeconds(Math.floorMod(50 - now.getEpochSecond(), 60));
        String minute =
                DateTimeFormatter.ofPattern("HH:mm", Locale.ROOT)
                        .withZone(clock)
                        .format(now.plusSeconds(12));
        Files.writeString(
                nodes.backupPaths.nodeFile(),
                Files.readString(nodes.backupPaths.nodeFile())
                        + "[drill]\ncalendar = [\"%s home /none\"]\ntime-zone = \"%s\"\n"
                                .formatted(minute, clock));
        handlers(pairs);
        handlers(nodes.backupPaths.nodeFile(), nodes.backup, pairs);

        nodes.backup.keep(
                new ControlApi.KeepRequest("home", "friday", Optional.empty(), Optional.empty()));
        String confirm =
                nodes.backup
                        .drop(new ControlApi.DropRequest("home", "friday", true, Optional.empty()))
                        .confirm();
        nodes.backup.drop(
                new ControlApi.DropRequest("home", "friday", false, Optional.of(confirm)));
        nodes.server.pauseSync(NAME);
        nodes.server.invalidateRemote(NAME);
        nodes.untilServer("home", "to be compared", r -> r.replication().equals("COMPARE"));
        nodes.server.disconnect(HOME);
        nodes.server.connect(HOME);
        nodes.server.resumeSync(NAME);
        nodes.untilInSync("home");
        change(3, 700);
        nodes.server.verify(new ControlApi.VerifyRequest("home", "start"));
        TwoNodes.until("found", () -> Files.exists(out.resolve("out-of-sync.backup")));

        String promoted =
                nodes.backup
                        .promote(
                                new ControlApi.PromoteRequest(
                                        "home", Optional.empty(), true, false))
                        .attached()
                        .orElseThrow()
                        .socket();
        write(nodes.serverPaths.run().resolve("home.nbd"), 1);
        write(Path.of(promoted), 2);
        for (String host : List.of("server", "backup")) {
            ran("split-brain." + host, "HOLDFAST_KIND=split-brain");
            ran("initial-split-brain." + host, "HOLDFAST_EVENT=initial-split-brain");
        }
        ran(
                "role-change.backup",
                "HOLDFAST_FROM=SECONDARY",
                "HOLDFAST_TO=PRIMARY",
                "HOLDFAST_ROLE=PRIMARY");
        ControlApi.ReconnectRequest ask =
                new ControlApi.ReconnectRequest("home", Optional.empty(), Optional.empty());
        nodes.backup.reconnect(
                new ControlApi.ReconnectRequest(
                        "home",
                        Optional.of("backup"),
                        Optional.of(nodes.backup.reconnect(ask).confirm())));
        ran("role-change.backup", "HOLDFAST_FROM=PRIMARY", "HOLDFAST_TO=SECONDARY");
        nodes.untilInSync("home");
        ran("resync-interrupted.server", "HOLDFAST_KIND=sync-interrupted");
        ran("checkpoint-pinned.backup", "HOLDFAST_KIND=pin-made");
        ran("checkpoint-unpinned.backup", "HOLDFAST_KIND=pin-dropped");
        ran("drill-result.backup", "HOLDFAST_KIND=drill-failed", "HOLDFAST_RESOURCE=home");
        ran("before-resync-source.server", "HOLDFAST_KIND=sync-started");
        ran("after-resync-source.server", "HOLDFAST_KIND=sync-done");
        ran("before-resync-target.backup", "HOLDFAST_KIND=sync-started");
        ran("after-resync-target.backup", "HOLDFAST_KIND=sync-done");
        try (FileChannel image =
                FileChannel.open(dir.resolve("disk.img"), StandardOpenOption.WRITE)) {
            image.truncate(0);
        }
        nodes.server.invalidateRemote(NAME);
        ran("local-io-error.server", "HOLDFAST_TO=FAILED");
        for (String each : keys) {
            assertTrue(
                    Stream.of("server", "backup")
                            .anyMatch(host -> Files.exists(out.resolve(each + "." + host))),
                    each + " was never run");
        }
    }

    private void ran(String file, String... told) {
        TwoNodes.until(
                file + " with " + List.of(told),
                () ->
                        Files.exists(out.resolve(file))
                                && Files.readAllLines(out.resolve(file))
                                        .containsAll(List.of(told)));
    }

    @Test
    void aSyncHasCommandsForItsBeginAndItsEndAtBothSides() throws Exception {
        Path script = script("echo $HOLDFAST_EVENT >> $1/$HOLDFAST_NODE");
        String command = script + " " + out;
        handlers("before-resync-source", command, "after-resync-source", command);
        handlers(
                nodes.backupPaths.nodeFile(),
                nodes.backup,
                "before-resync-target",
                command,
                "after-resync-target",
                command);
        nodes.server.invalidateRemote(new ControlApi.NameRequest("home"));
        TwoNodes.until(
                "both are told of both",
                () ->
                        read("server").equals("before-resync-source\nafter-resync-source\n")
                                && read("backup")
                                        .equals("before-resync-target\nafter-resync-target\n"));
    }

    private String read(String name) throws Exception {
        Path file = out.resolve(name);
        return Files.exists(file) ? Files.readString(file) : "";
    }

    @Test
    void readsOfClientsThatFailRunItOnceHoweverManyTheyAre() throws Exception {
        Path script = script("echo $HOLDFAST_KIND >> $1/local-io-error");
        handlers("local-io-error", script + " " + out);
        try (FileChannel image =
                        FileChannel.open(dir.resolve("disk.img"), StandardOpenOption.WRITE);
                BlockClient client =
                        new BlockClient(nodes.serverPaths.run().resolve("home.nbd"), "home")) {
            image.truncate(0);
            for (int i = 0; i < 100; i++) {
                assertThrows(IOException.class, () -> client.read(0, 4096));
            }
        }
        TwoNodes.until("it was run", () -> read("local-io-error").equals("read-error\n"));
    }

    @Test
    void aDiskThatFailsIsOneOfThem() throws Exception {
        Path script = script("echo \"$HOLDFAST_TO\"; exit 3");
        handlers("local-io-error", script.toString());
        try (FileChannel image =
                FileChannel.open(dir.resolve("disk.img"), StandardOpenOption.WRITE)) {
            image.truncate(0);
        }
        nodes.server.invalidateRemote(new ControlApi.NameRequest("home"));
        awaitHandler("handler-failed", "ended with 3");
        awaitHandler("handler-failed", "FAILED");
        String sentence = nodes.server.status().sentences().getFirst();
        assertTrue(
                sentence.contains(nodes.serverPaths.command("attach home") + ", which brings"),
                sentence);
    }

    /// The data path, other commands and the end of the daemon do not wait for it.
    @Test
    void aCommandThatHangsIsKilledWithItsChildren() throws Exception {
        Path script = script("echo waiting; sleep 987 & echo $! > $1/child; sleep 987; echo never");
        handlers("disconnect", script + " " + out, "timeout", "1s");
        nodes.server.disconnect(HOME);
        nodes.server.connect(HOME);
        write(nodes.serverPaths.run().resolve("home.nbd"), 1);
        nodes.untilInSync("home");
        awaitHandler("handler-timeout", "did not end within 1 s and was killed with its children");
        awaitHandler("handler-timeout", "waiting");
        long child = Long.parseLong(Files.readString(out.resolve("child")).strip());
        TwoNodes.until(
                "its child is gone",
                () -> ProcessHandle.of(child).filter(ProcessHandle::isAlive).isEmpty());
    }

    @Test
    void aFloodIsCutToItsEndAndAChildThatKeepsThePipeIsNotWaitedFor() throws Exception {
        Path script =
                script(
                        "head -c 300000 /dev/zero | tr '\\0' x; echo; echo the end; sleep 986 & echo $! > $1/child");
        handlers("disconnect", script + " " + out);
        nodes.server.disconnect(HOME);
        awaitHandler("handler-done", "the end");
        String text = handlerText("handler-done");
        assertTrue(text.length() < 1200, "%d characters".formatted(text.length()));
        long child = Long.parseLong(Files.readString(out.resolve("child")).strip());
        assertTrue(ProcessHandle.of(child).orElseThrow().destroyForcibly());
    }

    /// A calendar begins the verification; what it finds is told at both hosts.
    @Test
    void aVerificationByTheCalendarThatFindsADifferenceCallsOutOfSync() throws Exception {
        Path script = script("n=$HOLDFAST_NODE; env > $1/$n.new; mv $1/$n.new $1/$n");
        handlers(nodes.backupPaths.nodeFile(), nodes.backup, "out-of-sync", script + " " + out);
        handlers("out-of-sync", script + " " + out);
        change(3, 700);
        // A clock that shows a whole minute in ten seconds.
        Instant now = Instant.now();
        ZoneOffset clock = ZoneOffset.ofTotalSeconds(Math.floorMod(50 - now.getEpochSecond(), 60));
        String minute =
                DateTimeFormatter.ofPattern("HH:mm", Locale.ROOT)
                        .withZone(clock)
                        .format(now.plusSeconds(12));
        Files.writeString(
                nodes.serverPaths.nodeFile(),
                Files.readString(nodes.serverPaths.nodeFile())
                        + "[verify]\ncalendar = [\"%s home\", \"%s none\"]\n"
                                .formatted(minute, minute)
                        + "time-zone = \"%s\"\n".formatted(clock));
        assertEquals(
                List.of(), nodes.server.adjust(new ControlApi.AdjustRequest(false)).problems());
        for (String host : List.of("server", "backup")) {
            TwoNodes.until("told at " + host, () -> Files.exists(out.resolve(host)));
            List<String> told = Files.readAllLines(out.resolve(host));
            for (String each :
                    List.of(
                            "HOLDFAST_EVENT=out-of-sync",
                            "HOLDFAST_RESOURCE=home",
                            "HOLDFAST_NODE=" + host,
                            "HOLDFAST_KIND=verify-differs",
                            "HOLDFAST_BLOCKS=2")) {
                assertTrue(told.contains(each), each + " in " + told);
            }
        }
        assertEquals(2, nodes.atServer("home").verify().orElseThrow().differingBlocks());
        TwoNodes.until(
                "the other is left out",
                () ->
                        events().stream()
                                .anyMatch(
                                        e ->
                                                e.kind().equals("verify-left-out")
                                                        && e.text().contains("no resource")));
    }

    @Test
    void whatOthersMayWriteIsRefused() throws Exception {
        Path script = script("touch $1/ran");
        handlers("disconnect", script + " " + out, "connect", dir.resolve("none").toString());
        Files.setPosixFilePermissions(script, PosixFilePermissions.fromString("rwxrwxr-x"));
        nodes.server.disconnect(HOME);
        awaitHandler("handler-refused", "next: chmod go-w " + script);
        nodes.server.connect(HOME);
        awaitHandler("handler-refused", "none is not there");
        Files.setPosixFilePermissions(script, PosixFilePermissions.fromString("rwxr-xr-x"));
        Files.setPosixFilePermissions(scripts, PosixFilePermissions.fromString("rwxrwxrwx"));
        nodes.server.disconnect(HOME);
        String ofDirectory = "next: chmod go-w " + scripts;
        TwoNodes.until(
                "the directory is refused too",
                () -> events().stream().anyMatch(e -> e.text().endsWith(ofDirectory)));
        assertFalse(Files.exists(out.resolve("ran")));
    }

    @Test
    void tooManyAreDroppedAndSaidToBe() throws Exception {
        Path script = script("while [ ! -e $1/go ]; do sleep 0.05; done");
        handlers("disconnect", script + " " + out, "connect", script + " " + out);
        for (int i = 0; i < 140; i++) {
            nodes.server.disconnect(HOME);
            nodes.server.connect(HOME);
        }
        awaitHandler("handler-dropped", "256 commands are waiting already");
        Files.createFile(out.resolve("go"));
        nodes.untilInSync("home");
        nodes.server.close();
        nodes.startServer();
        nodes.untilInSync("home");
    }

    private Path script(String body) throws Exception {
        Path script = Files.writeString(scripts.resolve("notify"), "#!/bin/sh\n" + body + "\n");
        Files.setPosixFilePermissions(script, PosixFilePermissions.fromString("rwxr-xr-x"));
        return script;
    }

    private void handlers(String... pairs) throws Exception {
        handlers(nodes.serverPaths.nodeFile(), nodes.server, pairs);
    }

    private static void handlers(
            Path file, holdfast.replicator.daemon.Daemon daemon, String... pairs) throws Exception {
        StringBuilder toml = new StringBuilder(Files.readString(file)).append("\n[handlers]\n");
        for (int i = 0; i < pairs.length; i += 2) {
            toml.append(pairs[i]).append(" = \"").append(pairs[i + 1]).append("\"\n");
        }
        Files.writeString(file, toml);
        ControlApi.AdjustReply reply = daemon.adjust(new ControlApi.AdjustRequest(false));
        assertEquals(List.of(), reply.problems());
    }

    private void awaitHandler(String kind, String words) {
        TwoNodes.until(
                kind + ": " + words,
                () ->
                        events().stream()
                                .anyMatch(e -> e.kind().equals(kind) && e.text().contains(words)));
    }

    private String handlerText(String kind) throws Exception {
        return events().stream()
                .filter(e -> e.kind().equals(kind))
                .findFirst()
                .orElseThrow()
                .text();
    }

    private List<ControlApi.Event> events() throws Exception {
        List<ControlApi.Event> all = new ArrayList<>();
        nodes.server.events(new ControlApi.EventsRequest(0, false), all::add);
        return all;
    }

    /// Blocks of the copy, behind the daemon's back.
    private void change(int... blocks) throws Exception {
        try (RandomAccessFile image =
                new RandomAccessFile(dir.resolve("storage/home.img").toFile(), "rws")) {
            for (int block : blocks) {
                image.seek(block * 4096L + 7);
                image.write(1);
            }
        }
    }

    private static void write(Path socket, int fill) throws Exception {
        byte[] data = new byte[64 << 10];
        java.util.Arrays.fill(data, (byte) fill);
        try (BlockClient client = new BlockClient(socket, "home")) {
            client.write(0, ByteBuffer.wrap(data), true);
        }
    }
}
