package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.daemon.Daemon;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/// That whoever follows the events knows each state of a resource: they form chains without a gap,
/// whose ends are what the status says.
class EventsTest {
    private static final int MIB = 1 << 20;
    private static final ControlApi.NameRequest HOME = new ControlApi.NameRequest("home");
    private static final Optional<String> NAME = Optional.of("home");

    @TempDir Path dir;

    private TwoNodes nodes;

    @BeforeEach
    void start() throws Exception {
        nodes = new TwoNodes(dir);
        nodes.pair();
        nodes.addAndAttach(
                "home", Files.write(dir.resolve("disk.img"), new byte[4 * MIB]), 16 * MIB);
        nodes.untilInSync("home");
    }

    @AfterEach
    void stop() {
        nodes.close();
    }

    @Test
    void eachStateIsToldWhereItBeginsAndFollowsTheOneBefore() throws Exception {
        nodes.server.invalidateRemote(HOME);
        nodes.server.waitFor(new ControlApi.WaitRequest("home", false, Optional.of(60.0)), _ -> {});
        nodes.untilInSync("home");
        nodes.server.disconnect(new ControlApi.LinkRequest(NAME));
        nodes.server.connect(new ControlApi.LinkRequest(NAME));
        nodes.untilInSync("home");
        nodes.server.disconnect(new ControlApi.LinkRequest(Optional.empty()));
        nodes.server.connect(new ControlApi.LinkRequest(Optional.empty()));
        nodes.untilInSync("home");
        for (Daemon each : List.of(nodes.server, nodes.backup)) {
            // A connection may be replaced between the two looks.
            TwoNodes.until("the last events say what status says", () -> agree(each));
        }
        List<String> replication =
                events(nodes.server).stream()
                        .filter(e -> e.kind().equals("replication-changed"))
                        .map(e -> e.change().orElseThrow().to())
                        .toList();
        assertTrue(replication.contains("COMPARE"), replication.toString());
        assertTrue(replication.contains("SYNC_SOURCE"), replication.toString());
        List<String> connection =
                events(nodes.server).stream()
                        .filter(e -> e.kind().equals("connection-changed"))
                        .map(e -> e.change().orElseThrow().to())
                        .toList();
        assertEquals(
                List.of("STANDALONE", "CONNECTED", "STANDALONE"),
                connection.stream().filter(e -> !e.equals("CONNECTING")).skip(1).limit(3).toList(),
                connection.toString());
    }

    /// A copy is promoted, and gives up its own again: what each role tells goes on from what the
    /// one before told, and the promoted copy below a primary tells nothing of its own.
    @Test
    void theChainsGoOnOverChangesOfRole() throws Exception {
        long before = events(nodes.backup).size();
        nodes.backup.promote(new ControlApi.PromoteRequest("home", Optional.empty(), true, false));
        TwoNodes.until("promoted, as status says", () -> agree(nodes.backup));
        assertEquals("PRIMARY", chains(nodes.backup).get("role"));
        TwoNodes.until(
                "both stand apart",
                () -> nodes.backup.status().resource("home").orElseThrow().trouble().isPresent());
        ControlApi.ReconnectRequest ask =
                new ControlApi.ReconnectRequest("home", Optional.empty(), Optional.empty());
        nodes.backup.reconnect(
                new ControlApi.ReconnectRequest(
                        "home",
                        Optional.of("backup"),
                        Optional.of(nodes.backup.reconnect(ask).confirm())));
        nodes.untilInSync("home");
        for (Daemon each : List.of(nodes.server, nodes.backup)) {
            TwoNodes.until("the last events say what status says", () -> agree(each));
        }
        List<ControlApi.Event> roles =
                events(nodes.backup).stream().filter(e -> e.kind().equals("role-changed")).toList();
        assertEquals(
                List.of("PRIMARY", "SECONDARY"),
                roles.stream().map(e -> e.change().orElseThrow().to()).toList());
        assertTrue(roles.getFirst().number() > before, roles.toString());
        assertEquals("role: Primary, was Secondary", roles.getFirst().text());
        assertEquals(Optional.empty(), Optional.ofNullable(chains(nodes.server).get("role")));
    }

    private static boolean agree(Daemon daemon) throws Exception {
        Map<String, String> last = chains(daemon);
        var now = daemon.status().resource("home").orElseThrow();
        return now.role().equals(last.getOrDefault("role", now.role()))
                && now.connection().equals(last.get("connection"))
                && now.disk().equals(last.get("disk"))
                && now.replication().equals(last.get("replication"))
                && now.peerDisk().equals(Optional.of(last.get("peer-disk")))
                && now.peerRole().equals(Optional.of(last.get("peer-role")));
    }

    @Test
    void aSyncBeginsAndEndsAtBothSidesAlsoAShortOne() throws Exception {
        for (Daemon each : List.of(nodes.server, nodes.backup)) {
            TwoNodes.until("the first one is done", () -> syncs(each).endsWith("sync-done"));
        }
        String first = syncs(nodes.backup);
        nodes.server.pauseSync(HOME);
        nodes.server.invalidateRemote(HOME);
        nodes.untilServer("home", "to be compared", r -> r.replication().equals("COMPARE"));
        nodes.backup.close();
        nodes.untilServer("home", "away", r -> !r.isConnected());
        nodes.startBackup();
        nodes.server.resumeSync(HOME);
        TwoNodes.until(
                "the second one is done",
                () ->
                        syncs(nodes.server)
                                        .endsWith(
                                                "sync-paused sync-started sync-interrupted sync-started"
                                                        + " sync-resumed sync-done")
                                || syncs(nodes.server)
                                        .endsWith(
                                                "sync-paused sync-started sync-interrupted"
                                                        + " sync-resumed sync-started sync-done"));
        TwoNodes.until("there too", () -> syncs(nodes.backup).equals("sync-started sync-done"));
        assertEquals("sync-started sync-done", first);
    }

    @Test
    void everyKindIsInTheDocs() throws Exception {
        String docs = Files.readString(Path.of("../docs/control.md"));
        Pattern told =
                Pattern.compile(
                        "(?:fx\\.event|events\\.node|\\.accept|events\\.soon)\\((?:\\s*resource,)?\\s*(?:pause\\s*\\?\\s*)?\"([a-z-]+)\"");
        List<String> missing = new ArrayList<>();
        try (var files = Files.walk(Path.of("../replicator/src/main/java"))) {
            for (Path each : files.filter(f -> f.toString().endsWith(".java")).toList()) {
                Matcher kinds = told.matcher(Files.readString(each));
                while (kinds.find()) {
                    if (!docs.contains("`" + kinds.group(1) + "`")) {
                        missing.add(kinds.group(1));
                    }
                }
            }
        }
        assertEquals(List.of(), missing);
    }

    private static String syncs(Daemon at) throws Exception {
        return events(at).stream()
                .map(ControlApi.Event::kind)
                .filter(kind -> kind.startsWith("sync-"))
                .collect(Collectors.joining(" "));
    }

    /// @return the last value of each state
    private static Map<String, String> chains(Daemon at) throws Exception {
        Map<String, String> last = new HashMap<>();
        long number = 0;
        for (ControlApi.Event each : events(at)) {
            assertEquals(++number, each.number());
            if (each.change().isPresent()) {
                ControlApi.StateChange change = each.change().get();
                assertEquals(change.what() + "-changed", each.kind());
                String before = last.put(change.what(), change.to());
                assertTrue(before == null || before.equals(change.from()), each.toString());
            }
        }
        return last;
    }

    private static List<ControlApi.Event> events(Daemon at) throws Exception {
        List<ControlApi.Event> all = new ArrayList<>();
        at.events(new ControlApi.EventsRequest(0, false), all::add);
        return all;
    }
}
