package holdfast.recovery;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ControlServer;
import holdfast.replicator.control.VerifyReport;
import holdfast.replicator.json.Json;
import holdfast.replicator.status.StatusReport;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringReader;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.TimeZone;

/// Each command against a daemon over a real control socket: what it prints, what it asks, how it
/// ends.
@Timeout(60)
class CommandsTest {
    @TempDir Path root;

    private final ScriptedDaemon daemon = new ScriptedDaemon();
    private ControlServer server;
    private StringWriter out;
    private StringWriter err;
    private static TimeZone usualZone;

    @BeforeAll
    static void tellTimesInUtc() {
        usualZone = TimeZone.getDefault();
        TimeZone.setDefault(TimeZone.getTimeZone("UTC"));
    }

    @AfterAll
    static void tellTimesAsUsual() {
        TimeZone.setDefault(usualZone);
    }

    @BeforeEach
    void open() throws IOException {
        server = ControlServer.open(root.resolve("run"), "server", daemon, _ -> {});
    }

    @AfterEach
    void close() throws IOException {
        server.close();
    }

    @Test
    void statusOpensWithTheSentence() {
        daemon.stored = "3fa901/1031";
        assertEquals(0, run("status"));
        assertEquals(
                """
                If this server vanished now you would lose 14 s (812 KiB) of home. Catching up: 41 %, about 30 s left.

                home  10 GiB  /dev/vg0/home
                  role         Primary/Secondary
                  connection   Connected
                  disk         UpToDate/UpToDate
                  replication  SyncSource, protocol A
                  position     3fa901/1234  stored 3fa901/1031  committed 3fa901/1031
                  behind       203 operations, 812 KiB
                  copy         of 12:03:07, 14 s old
                  catch up     [########------------] 41 %  41 MiB of 100 MiB  2.0 MB/s  about 30 s left
                  traffic      sent 2 MiB (raw 4.8 MiB), received 1000 B (raw 2 KiB), ratio 0.40
                  send buffer  1 MiB of 64 MiB, full in 90 s
                  journal      3 GiB of 40 GiB
                               at this rate 24 h need 31 GiB; 40 GiB are set
                  export       nbd+unix:///home?socket=/run/holdfast/home.nbd  1 client

                link to backup  dialling backup.example.net:7788
                  state        Connected for 15 min, round trip 31.4 ms
                  clock        0.250 s ahead of ours, give or take 0.016 s
                  wire         sent 2 MiB (raw 4.8 MiB), received 1000 B (raw 2 KiB)
                  rate         18 Mbit/s; catch-up 2 Mbit/s; from 13:03:21 no limit
                """,
                out.toString());
    }

    @Test
    void statusAsJsonIsTheReport() throws Exception {
        assertEquals(0, run("--json", "status"));
        assertEquals(daemon.status(), Json.read(out.toString(), StatusReport.class));
    }

    @Test
    void watchPrintsABlockEachTimeWithoutATerminal() {
        assertEquals(0, run("status", "--watch", "--interval", "0.1", "--count", "3"));
        assertEquals(3, out.toString().split("If this server vanished", -1).length - 1);
        assertFalse(out.toString().contains("\u001b"));
    }

    @Test
    void watchRefreshesInPlaceOnATerminal() {
        assertEquals(0, typed("", "status", "--watch", "--interval", "0.1", "--count", "2"));
        assertEquals(2, out.toString().split("\u001b\\[H\u001b\\[2J", -1).length - 1);
    }

    @Test
    void aResourceThatIsNotThereIsRefused() {
        assertEquals(3, run("status", "hom"));
        assertEquals(
                "server: there is no resource hom\n  next: holdfast --root %s status\n"
                        .formatted(root),
                err.toString());
    }

    @Test
    void aRefusalBeginsWithHostAndRoleAndEndsWithTheNextCommand() {
        assertEquals(3, run("detach", "home"));
        assertEquals("", out.toString());
        assertEquals(
                """
                server (Primary): home is in use, nothing changed
                  seen: 1 client is connected to its export
                  next: umount /home
                """,
                err.toString());
    }

    @Test
    void aRefusalAsJsonHasTheSameFacts() {
        assertEquals(3, run("detach", "home", "--json"));
        assertTrue(out.toString().contains("\"exitCode\": 3"), out.toString());
        assertTrue(out.toString().contains("\"next\": \"umount /home\""), out.toString());
    }

    @Test
    void withoutADaemonTheCodeIsFour() throws IOException {
        server.close();
        assertEquals(4, run("status"));
        assertTrue(
                err.toString().contains("next: holdfast --root " + root + " daemon --detach"),
                err.toString());
    }

    @Test
    void wrongArgumentsAreCodeTwo() {
        assertEquals(2, run("stats"));
        assertTrue(err.toString().contains("holdfast status"), err.toString());
        assertEquals(2, run("add", "home"));
        assertEquals(2, run("wait", "home", "--timeout", "soon"));
        assertEquals(2, run("status", "--frob"));
    }

    @Test
    void invitePrintsTheTokenAloneOnStandardOutput() {
        assertEquals(0, run("invite", "--address", "backup.example.net:7788"));
        assertEquals("hf1:c2VjcmV0\n", out.toString());
        assertTrue(err.toString().contains("holdfast join TOKEN"), err.toString());
    }

    @Test
    void aTokenCanComeFromStandardInputWhereNoProcessListShowsIt() {
        assertEquals(0, input("hf1:c2VjcmV0\n", false, "join", "-"));
        assertEquals(List.of(new ControlApi.JoinRequest("hf1:c2VjcmV0")), daemon.asked);
        assertEquals(
                "Joined backup at backup.example.net:7788, whose key is cd34.\n", out.toString());
    }

    @Test
    void storageTakesASize() {
        assertEquals(0, run("storage", "/srv/holdfast", "--max", "500GiB"));
        assertEquals(
                List.of(new ControlApi.StorageRequest("/srv/holdfast", Optional.of(500L << 30))),
                daemon.asked);
        assertEquals(
                "Copies and journals go to /srv/holdfast: 1 TiB free, 500 GiB may be used.\n",
                out.toString());
    }

    @Test
    void addShowsWhatItDid() {
        assertEquals(0, run("add", "home", "/dev/vg0/home"));
        assertEquals(
                """
                server: added home
                  data         /dev/vg0/home at server, 10 GiB, ext4, label home
                  copy         /srv/holdfast/home.img at backup, which is empty or new
                  journal      4 GiB on each side
                  first sync   about 67 min
                  fstab        /dev/holdfast/home /home ext4 _netdev,nofail 0 2
                  next         holdfast attach home
                """,
                out.toString());
        assertEquals(1, daemon.asked.size());
    }

    @Test
    void addDryRunDoesNothing() {
        assertEquals(0, run("add", "home", "/dev/vg0/home", "--dry-run"));
        assertTrue(out.toString().startsWith("server: would add home\n"), out.toString());
        assertEquals(1, daemon.asked.size());
        assertTrue(((ControlApi.AddRequest) daemon.asked.getFirst()).dryRun());
    }

    @Test
    void addOverSomethingSaysWhereItHasToBePermitted() {
        daemon.peerDiskInUse = true;
        assertEquals(6, run("add", "home", "/dev/vg0/home", "--peer-disk", "/dev/vg1/old"));
        assertTrue(err.toString().contains("next: " + ScriptedDaemon.PERMIT), err.toString());
        assertEquals(0, run("add", "home", "/dev/vg0/home", "--dry-run"));
        assertTrue(out.toString().contains("which holds xfs, label old"), out.toString());
        assertTrue(
                out.toString().endsWith("  first        " + ScriptedDaemon.PERMIT + "\n"),
                out.toString());
    }

    @Test
    void permitShowsWhatIsLostAndWantsItTyped() {
        assertEquals(6, run("permit", "home"));
        assertTrue(err.toString().contains("it holds     xfs, label old"), err.toString());
        assertTrue(err.toString().contains("--confirm server/home@3fa901"), err.toString());
        assertEquals(6, typed("yes\n", "permit", "home"));
        assertTrue(daemon.asked.stream().allMatch(q -> ((ControlApi.PermitRequest) q).dryRun()));
        assertEquals(0, typed("server/home\n", "permit", "home"));
        assertEquals(0, run("permit", "home", "--dry-run"));
        assertTrue(
                out.toString().endsWith("  confirm with --confirm server/home@3fa901\n"),
                out.toString());
        assertEquals(0, run("permit", "home", "--confirm", "server/home@3fa901"));
    }

    @Test
    void removeAsksAPersonAndRefusesAScriptWithoutConfirmation() {
        assertEquals(6, run("remove", "home"));
        assertTrue(err.toString().contains("The copy at backup, 10 GiB, goes."), err.toString());
        assertTrue(
                err.toString()
                        .contains(
                                "next: holdfast --root "
                                        + root
                                        + " remove home --confirm server/home@3fa901"),
                err.toString());
        assertEquals(6, typed("home\n", "remove", "home"));
        assertTrue(
                err.toString().endsWith("server: not confirmed, nothing changed\n"),
                err.toString());
        assertTrue(daemon.asked.stream().allMatch(q -> ((ControlApi.RemoveRequest) q).dryRun()));
        assertEquals(0, typed("server/home\n", "remove", "home"));
        assertTrue(out.toString().startsWith("server: removed home\n"), out.toString());
    }

    @Test
    void downWithSettleAsksSinceItGivesUpMoments() {
        assertEquals(6, run("down", "home", "--settle"));
        assertTrue(err.toString().contains("its moments can be opened no more"), err.toString());
        assertTrue(
                err.toString().contains(" down home --settle --confirm backup/home@3fa901"),
                err.toString());
        assertEquals(6, typed("home\n", "down", "home", "--settle"));
        assertTrue(daemon.asked.stream().allMatch(q -> ((ControlApi.SettleRequest) q).dryRun()));
        assertEquals(0, typed("backup/home\n", "down", "home", "--settle"));
        assertTrue(out.toString().startsWith("backup: took home down\n"), out.toString());
        assertEquals(0, run("down", "home", "--settle", "--confirm", "backup/home@3fa901"));
    }

    @Test
    void removeInAScriptNeedsTheGenerationOfItsDryRun() {
        assertEquals(0, run("remove", "home", "--dry-run"));
        assertTrue(
                out.toString().endsWith("  confirm with --confirm server/home@3fa901\n"),
                out.toString());
        assertEquals(6, run("remove", "home", "--confirm", "server/home@000000"));
        assertEquals(0, run("remove", "home", "--confirm", "server/home@3fa901"));
    }

    @Test
    void verifySaysWhatDiffersAndEndsWithEight() {
        assertEquals(0, run("verify", "home"));
        assertTrue(
                out.toString().startsWith("server: no differences in the copy of home at backup\n"),
                out.toString());
        assertTrue(
                err.toString().contains("verify home --stop ends it\nhome waits: it waits for"),
                err.toString());
        daemon.differing = List.of(new VerifyReport.Range(8192, 4096));
        assertEquals(8, run("verify", "home"));
        assertTrue(
                out.toString()
                        .startsWith(
                                """
                                server: 1 block differs (4 KiB) in the copy of home at backup
                                  compared     1 GiB of 1 GiB, from 2026-11-20T12:02:21Z to 2026-11-20T12:03:21Z (60 s), at positions 3fa901/1200 to 3fa901/1234
                                  differs      bytes 8192 to 12287 (4 KiB)
                                """),
                out.toString());
        assertTrue(out.toString().endsWith("verify home --repair server\n"), out.toString());
        daemon.differing = List.of();
        daemon.verifyTrouble = Optional.of("an operator of server stopped it");
        assertEquals(1, run("verify", "home"));
        assertTrue(out.toString().contains("  cut short    an operator of server"), out.toString());
        assertEquals(2, run("verify", "home", "--stop", "--last"));
        assertEquals(2, run("verify", "home", "--confirm", "x"));
    }

    @Test
    void verifyRepairsOnlyWhatIsConfirmed() {
        assertEquals(6, run("verify", "home", "--repair", "server"));
        assertTrue(
                err.toString().contains("verify home --repair server --confirm backup/home@17c"),
                err.toString());
        assertEquals(6, typed("server/home\n", "verify", "home", "--repair", "server"));
        assertTrue(daemon.asked.stream().allMatch(q -> ((ControlApi.MendRequest) q).dryRun()));
        assertEquals(0, typed("backup/home\n", "verify", "home", "--repair", "server"));
        assertTrue(out.toString().startsWith("server: mends 2 blocks (8 KiB)"), out.toString());
        assertEquals(6, run("verify", "home", "--repair", "server", "--confirm", "backup/home@18"));
        assertEquals(
                0, run("verify", "home", "--repair", "server", "--confirm", "backup/home@17c"));
    }

    @Test
    void verifyRepairsTheDataAndWaitsForWhatComesOfIt() {
        daemon.differing = List.of(new VerifyReport.Range(8192, 4096));
        daemon.repair =
                Optional.of(
                        new VerifyReport.Repair(
                                ScriptedDaemon.NOW,
                                1,
                                4096,
                                0,
                                Optional.of("/srv/repaired-1.blocks"),
                                Optional.empty()));
        assertEquals(0, typed("backup/home\n", "verify", "home", "--repair", "backup"));
        assertTrue(
                err.toString().contains("of home here, from the copy at backup"), err.toString());
        assertTrue(
                out.toString().contains("  repaired     1 blocks (4 KiB) are what the copy held\n"),
                out.toString());
        assertTrue(out.toString().contains("is in /srv/repaired-1.blocks\n"), out.toString());
        daemon.repair =
                Optional.of(
                        new VerifyReport.Repair(
                                ScriptedDaemon.NOW,
                                0,
                                0,
                                0,
                                Optional.empty(),
                                Optional.of("the link was lost")));
        assertEquals(1, typed("backup/home\n", "verify", "home", "--repair", "backup"));
        assertTrue(out.toString().endsWith("verify home --repair backup\n"), out.toString());
    }

    @Test
    void waitEndsWithZeroOrSeven() {
        assertEquals(0, run("wait", "home"));
        assertEquals("home: the copy has everything up to 3fa901/1234\n", out.toString());
        daemon.stored = "3fa901/1031";
        assertEquals(7, run("wait", "home", "--timeout", "0.4"));
        assertTrue(err.toString().contains("home [########------------] 41 %"), err.toString());
        assertTrue(
                out.toString().startsWith("home: not there yet, the work goes on."),
                out.toString());
    }

    @Test
    void openSaysHowToReadAndHowToClose() {
        assertEquals(0, run("open", "home@latest"));
        assertEquals(
                new ControlApi.OpenRequest("home", Optional.of("latest")), daemon.asked.getFirst());
        assertTrue(
                out.toString()
                        .contains("nbdinfo 'nbd+unix:///home@latest?socket=/run/holdfast/v1.nbd'"),
                out.toString());
        assertTrue(
                out.toString().contains("holdfast --root " + root + " close v1"), out.toString());
        assertFalse(out.toString().contains("gap"), out.toString());
        assertEquals(0, run("open", "home", "--at", "12:04"));
        assertEquals(
                new ControlApi.OpenRequest("home", Optional.of("12:04")), daemon.asked.getLast());
        assertTrue(out.toString().contains("(the time lies in a gap)"), out.toString());
        assertEquals(0, run("open", "home", "--at", "-15m"));
        assertEquals(
                new ControlApi.OpenRequest("home", Optional.of("-15m")), daemon.asked.getLast());
        assertEquals(2, run("open", "home@latest", "--at", "12:04"));
        assertEquals(0, run("close", "v1"));
        assertEquals("view v1 is closed\n", out.toString());
    }

    @Test
    void pointsSaysFromWhenToWhenAndWhatIsMissing() {
        assertEquals(0, run("points", "home"));
        String text = out.toString();
        assertTrue(text.startsWith("home can be opened as it was at any moment from "), text);
        assertTrue(text.contains("  but for "), text);
        assertTrue(text.contains("It holds 10 GiB of 40 GiB."), text);
        assertTrue(text.contains("At the rate so far 24 h need 31 GiB."), text);
        assertTrue(text.contains("open home --at -15m\n"), text);
        assertTrue(text.endsWith("/home@latest?socket=/run/holdfast/home.nbd\n"), text);
    }

    @Test
    void markSaysWhereTheMomentIsFound() {
        assertEquals(0, run("mark", "home", "nightly"));
        String text = out.toString();
        assertTrue(text.contains("is nightly in the copy at backup."), text);
        assertTrue(text.contains("at backup: holdfast open home --at nightly\n"), text);
        assertEquals(2, run("mark", "home"));
        assertEquals(0, run("points", "home"));
        assertTrue(out.toString().contains("  nightly "), out::toString);
    }

    @Test
    void promoteSaysFromWhenItGoesOnAndWhatIsToBeKnown() {
        assertEquals(0, run("promote", "home@-15m"));
        String text = out.toString();
        assertTrue(text.startsWith("home runs at backup now, from what it was at "), text);
        assertTrue(text.contains("nbd+unix:///home?socket=/run/holdfast/home.nbd"), text);
        assertTrue(text.endsWith("  there is no second copy now\n"), text);
        assertEquals(2, run("promote", "home", "--commit", "--at", "-15m"));
        assertEquals(2, run("promote", "home", "--commit", "--read-only"));
        daemon.asked.clear();
        assertEquals(0, run("promote", "home@-15m", "--read-only"));
        assertEquals(
                new ControlApi.OpenRequest(
                        "home",
                        Optional.of("-15m"),
                        false,
                        Optional.empty(),
                        Optional.empty(),
                        false,
                        true),
                daemon.asked.getFirst());
    }

    @Test
    void anotherMomentIsGoneOnFromOnlyWhenItIsConfirmed() {
        assertEquals(0, run("promote", "home@-15m", "--dry-run"));
        assertTrue(
                out.toString().startsWith("home would run at backup, from what it was at "),
                out::toString);
        daemon.promoted = true;
        assertEquals(6, run("promote", "home@-15m"));
        assertTrue(err.toString().contains("12 writes are undone"), err::toString);
        assertTrue(
                err.toString().contains("promote home --at -15m --confirm backup/home@3fa901"),
                err::toString);
        assertEquals(0, run("promote", "home@-15m", "--confirm", "backup/home@3fa901"));
        assertTrue(
                daemon.asked.contains(
                        new ControlApi.PromoteRequest(
                                "home",
                                Optional.of("-15m"),
                                false,
                                false,
                                false,
                                Optional.of("backup/home@3fa901"))),
                daemon.asked::toString);
        assertEquals(2, run("promote", "home", "--commit", "--dry-run"));
        assertEquals(0, run("points", "home"));
        assertTrue(out.toString().contains(" promote home --at -15m\n"), out::toString);
    }

    @Test
    void reconnectSaysWhatHappenedAndGivesUpOnlyWhatIsConfirmed() {
        assertEquals(0, run("reconnect", "home"));
        String text = out.toString();
        assertTrue(text.contains("  both were the same at 3fa901/7 for the last time\n"), text);
        assertTrue(text.contains("  to decide later: nothing\n"), text);
        assertEquals(6, run("reconnect", "home", "--discard", "server"));
        assertEquals(
                0,
                run("reconnect", "home", "--discard", "server", "--confirm", "server/home@3fa901"));
    }

    @Test
    void connectDiscardMyDataIsThatForThisHost() {
        assertEquals(6, run("connect", "--discard-my-data", "home"));
        String shown = err.toString();
        assertTrue(shown.contains("  both were the same at 3fa901/7 for the last time\n"), shown);
        assertTrue(
                shown.contains("connect --discard-my-data home --confirm server/home@3fa901"),
                shown);
        assertEquals(
                0, run("connect", "--discard-my-data", "home", "--confirm", "server/home@3fa901"));
        ControlApi.ReconnectRequest asked =
                new ControlApi.ReconnectRequest(
                        "home", Optional.of("server"), Optional.of("server/home@3fa901"));
        assertEquals(asked, daemon.asked.getLast());

        assertEquals(2, run("connect", "--discard-my-data"));
        assertEquals(2, run("connect", "home", "--confirm", "server/home@3fa901"));
        assertEquals(asked, daemon.asked.getLast());
    }

    @Test
    void aMomentIsKeptListedAndDroppedWithAConfirmation() {
        assertEquals(0, run("keep", "home"));
        assertEquals("Nothing of home is kept.\n", out.toString());
        assertEquals(0, run("keep", "home", "before", "--at", "-15m", "--for", "7d"));
        assertEquals(
                new ControlApi.KeepRequest(
                        "home", "before", Optional.of("-15m"), Optional.of("7d")),
                daemon.asked.getLast());
        assertTrue(out.toString().contains("open home --at before\n"), out.toString());
        assertEquals(0, run("keep", "home", "--list"));
        assertTrue(out.toString().contains("  before "), out.toString());
        assertTrue(out.toString().contains("3 MiB of 4 GiB"), out.toString());
        assertEquals(6, run("keep", "home", "before", "--drop"));
        assertTrue(
                err.toString().contains("keep home before --drop --confirm backup/home@before"),
                err.toString());
        assertEquals(0, run("keep", "home", "before", "--drop", "--dry-run"));
        assertEquals(0, run("keep", "home", "before", "--drop", "--confirm", "backup/home@before"));
        assertEquals(
                new ControlApi.DropRequest(
                        "home", "before", false, Optional.of("backup/home@before")),
                daemon.asked.getLast());
        assertEquals(2, run("keep", "home", "before", "--drop", "--for", "7d"));
        assertEquals(2, run("keep", "home", "before", "--dry-run"));
        assertEquals(2, run("keep", "home", "--drop"));
    }

    @Test
    void extractNeedsNoDaemonAndSaysWhatIsNotThere() {
        assertEquals(2, run("extract", "copy.img"));
        assertEquals(
                1, run("extract", "--base", "/nowhere", "--journal", "/nowhere", "/nowhere/x"));
        assertTrue(err.toString().contains("/nowhere"), err.toString());
        assertEquals(List.of(), daemon.asked);
    }

    @Test
    void anOverlayMakesAViewWritable() {
        assertEquals(
                0, run("open", "home", "--overlay", "2GiB", "--socket", "/tmp/s", "--while-used"));
        assertEquals(
                new ControlApi.OpenRequest(
                        "home",
                        Optional.empty(),
                        true,
                        Optional.of(2L << 30),
                        Optional.of("/tmp/s"),
                        true),
                daemon.asked.getFirst());
        assertTrue(
                out.toString().contains("read and written (2 GiB at most, thrown away at the end)"),
                out.toString());
    }

    @Test
    void upAndDownAreTheirParts() {
        assertEquals(0, run("up", "home"));
        assertEquals(
                List.of(
                        new ControlApi.LinkRequest(Optional.of("home")),
                        new ControlApi.NameRequest("home")),
                daemon.asked);
        assertEquals(3, run("down", "home"));
    }

    @Test
    void adjustShowsChangesOrAllProblems() {
        assertEquals(0, run("adjust", "--dry-run"));
        assertEquals(
                "node.toml: link.rate 18 Mbit/s -> 20 Mbit/s, at once\nNot applied: this was a dry run.\n",
                out.toString());
        daemon.settingsProblems = List.of("node.toml:3:1: unknown key", "home.toml:1:1: no disk");
        assertEquals(2, run("adjust"));
        assertEquals(
                "node.toml:3:1: unknown key\nhome.toml:1:1: no disk\nNothing was applied.\n",
                out.toString());
    }

    @Test
    void eventsAreLines() {
        daemon.events.append(Optional.empty(), "link-up", "backup is connected.");
        daemon.events.append(Optional.of("home"), "established", "every write goes to backup.");
        assertEquals(0, run("events"));
        assertEquals(2, out.toString().lines().count());
        assertTrue(
                out.toString().endsWith("established  home: every write goes to backup.\n"),
                out.toString());
        assertEquals(0, run("events", "--since", "1", "--json"));
        assertTrue(out.toString().startsWith("{\"number\":2,"), out.toString());
    }

    @Test
    void helpKnowsDrbdsVerbsAndTheVersionIsTold() {
        assertEquals(0, run("help", "drbd"));
        assertTrue(out.toString().contains("drbdadm up NAME"), out.toString());
        assertEquals(0, run("help", "remove"));
        assertTrue(out.toString().contains("--confirm"), out.toString());
        assertEquals(2, run("help", "frobnicate"));
        assertEquals(0, run("--version"));
        assertEquals("holdfast " + Version.number() + "\n", out.toString());
    }

    @Test
    void initMakesIdentityAndSettingsOnceAndKeepsThem() throws IOException {
        assertEquals(0, run("init", "--name", "server", "--no-daemon"));
        String first = out.toString();
        assertTrue(first.startsWith("server has an identity now: its key is "), first);
        String settings = Files.readString(root.resolve("etc/node.toml"));
        assertEquals(0, run("init", "--no-daemon"));
        assertTrue(
                out.toString().startsWith("server has its identity already: its key is "),
                out.toString());
        assertEquals(settings, Files.readString(root.resolve("etc/node.toml")));
        assertEquals(3, run("init", "--name", "other", "--no-daemon"));
        Files.writeString(root.resolve("etc/node.toml"), "rate = 3\nfrob = 1\n");
        assertEquals(2, run("init", "--no-daemon"));
        assertTrue(err.toString().contains("node.toml"), err.toString());
    }

    /// `help` prints text, and a daemon in the foreground nothing.
    @ParameterizedTest
    @CsvSource({
        "init --no-daemon,                      0, commands/init",
        "invite --address a.example.net:7788,   0, invite-reply",
        "join hf1:c2VjcmV0,                     0, join-reply",
        "storage /srv,                          0, storage-reply",
        "add home /dev/a,                       0, add-reply",
        "add home,                              2, problem",
        "add home /dev/a --protocol D,          2, problem",
        "storage /srv --max 10,                 2, problem",
        "permit home --dry-run,                 0, permit-reply",
        "permit home,                           6, problem",
        "attach home,                           0, attach-reply",
        "detach home,                           3, problem",
        "status,                                0, status-report",
        "status home,                           0, status-report",
        "status nope,                           3, problem",
        "status --watch --count 1,              0, status-report",
        "wait home,                             0, wait-status",
        "wait nope,                             3, problem",
        "verify home,                           0, verify-report",
        "verify home --no-wait,                 0, verify-reply",
        "verify home --repair server --dry-run, 0, mend-reply",
        "verify home --repair server,           6, problem",
        "open home,                             0, open-reply",
        "close v1,                              0, done",
        "remove home --dry-run,                 0, remove-reply",
        "remove home --confirm x/y@1,           6, problem",
        "adjust,                                0, adjust-reply",
        "events,                                0, event",
        "peers,                                 0, peers-reply",
        "daemon --detach,                       0, done",
        "up home,                               0, attach-reply",
        "down home,                             3, problem",
        "down home --settle --dry-run,          0, settle-reply",
        "down home --settle,                    6, problem",
        "down home --dry-run,                   2, problem",
        "connect,                               0, done",
        "disconnect home,                       0, done",
        "dump-md nope,                          3, problem",
        "dump-md home --ranges -1,              2, problem",
        "frobnicate,                            2, problem"
    })
    void whatIsPrintedAsJsonFitsItsSchema(String words, int code, String schema) throws Exception {
        daemon.stored = "3fa901/1234";
        daemon.events.append(Optional.empty(), "started", "up");
        assertEquals(code, run((words + " --json").split(" ")), err.toString());
        new SchemaFile(schema + ".json").requireFits(out.toString());
    }

    @Test
    void theExaminationAsJsonFitsItsSchema() throws Exception {
        assertEquals(1, run("doctor", "--json"), "there are no settings, which is red");
        new SchemaFile("commands/doctor.json").requireFits(out.toString());
    }

    @Test
    void aMountAsJsonFitsItsSchema() throws Exception {
        new SchemaFile("commands/mount.json")
                .requireFits(
                        Json.writePretty(
                                new ViewMounts.Mounted(
                                        "home",
                                        "3fa901/1234",
                                        ScriptedDaemon.NOW,
                                        "/mnt",
                                        "ext4 \"home\"",
                                        "v1")));
    }

    private int run(String... arguments) {
        return input("", false, arguments);
    }

    private int typed(String answers, String... arguments) {
        return input(answers, true, arguments);
    }

    private int input(String text, boolean interactive, String... arguments) {
        out = new StringWriter();
        err = new StringWriter();
        var terminal =
                new Terminal(
                        new PrintWriter(out),
                        new PrintWriter(err),
                        new BufferedReader(new StringReader(text)),
                        interactive);
        String[] all = new String[arguments.length + 2];
        all[0] = "--root";
        all[1] = root.toString();
        System.arraycopy(arguments, 0, all, 2, arguments.length);
        return Holdfast.run(all, terminal);
    }
}
