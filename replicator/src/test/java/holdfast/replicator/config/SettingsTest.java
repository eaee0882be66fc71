package holdfast.replicator.config;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.config.ResourceSettings.Compression;
import holdfast.replicator.config.ResourceSettings.OnCongestion;
import holdfast.replicator.config.ResourceSettings.Protocol;
import holdfast.throttle.Rate;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneId;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;

class SettingsTest {
    private static final String HOME = "[on.server]\ndisk = \"/dev/vg0/home\"\n";

    private static final String NOISE = "\"'[]{}=.,#\n\\ a1\u0000\uD800";

    @TempDir Path etc;

    @Test
    void aWholeConfigurationIsRead() throws Exception {
        node(
                """
                [node]
                name = "server"
                [link]
                dial = "backup.example.net:7788"
                rate = "18 Mbit/s"
                calendar = ["Mon-Fri 08:00-18:00 catch-up 2 Mbit/s"]
                time-zone = "Europe/Berlin"
                keepalive = "30s"
                [storage]
                path = "/srv/holdfast"
                max = "500GiB"
                [metrics]
                listen = "127.0.0.1:9180"
                [buffer]
                send = "1 GiB"
                [handlers]
                timeout = "5s"
                split-brain = "/usr/local/sbin/notify root  now"
                """);
        resource(
                "home",
                """
                protocol = "C"
                compression = "frame"
                journal = { size = "40 GiB", retention = "7d", retention-min = "90min", keep-max = "1 GiB" }
                [on.server]
                disk = "/dev/vg0/home"
                [on.backup]
                disk = "/dev/vg1/home"
                """);
        resource("mail", "[on.server]\ndisk = \"/dev/vg0/mail\"\n");

        Settings.Loaded loaded = Settings.load(etc);

        NodeSettings node = loaded.node();
        assertEquals("server", node.name());
        assertEquals(Optional.of(new Address("backup.example.net", 7788)), node.dial());
        assertEquals(Optional.empty(), node.listen());
        assertEquals(Rate.parse("18 Mbit/s"), node.rate());
        assertEquals(Rate.UNLIMITED, node.catchUp());
        assertEquals(ZoneId.of("Europe/Berlin"), node.timeZone());
        assertEquals(Duration.ofSeconds(30), node.keepalive());
        assertEquals(Optional.of(new Size(500L << 30)), node.storageMax());
        assertEquals(Path.of("/var/lib/holdfast"), node.stateDir());
        assertEquals(new Size(1L << 30), node.sendBuffer());
        assertEquals(
                new HandlerSettings(
                        Map.of("split-brain", "/usr/local/sbin/notify root  now"),
                        Duration.ofSeconds(5)),
                node.handlers());
        assertEquals(
                Rate.parse("2 Mbit/s"),
                node.calendar().at(Instant.parse("2026-11-20T09:00:00Z")).catchUp());

        assertEquals("[home, mail]", loaded.resources().keySet().toString());
        ResourceSettings home = loaded.resources().get("home");
        assertEquals(Protocol.C, home.protocol());
        assertEquals(OnCongestion.BLOCK, home.onCongestion());
        assertEquals(Compression.FRAME, home.compression());
        assertEquals(new Size(40L << 30), home.journalSize());
        assertEquals(Duration.ofDays(7), home.retention());
        assertEquals(Duration.ofMinutes(90), home.retentionMin());
        assertEquals(Size.parse("1 GiB"), home.keepMax());
        assertEquals(Size.parse("4 GiB"), loaded.resources().get("mail").keepMax());
        assertEquals(Duration.ofHours(24), loaded.resources().get("mail").retention());
        assertEquals(Duration.ofHours(4), loaded.resources().get("mail").retentionMin());
        assertEquals(Optional.of(List.of(Path.of("/dev/vg1/home"))), home.disksAt("backup"));
        assertEquals(Optional.empty(), loaded.resources().get("mail").disksAt("backup"));
    }

    @Test
    void aHandlerIsACommandByItsPathAndNeverOneOfAResource() throws Exception {
        for (String command :
                List.of(
                        "notify root",
                        "",
                        " /bin/true",
                        "/bin/tr\\u0007ue",
                        "/a" + "b".repeat(1000))) {
            node("[handlers]\nconnect = \"" + command + "\"\n");
            assertThrows(ConfigException.class, () -> Settings.load(etc), command);
        }
        node("[handlers]\nfence-peer = \"/bin/true\"\n");
        assertThrows(ConfigException.class, () -> Settings.load(etc));
        node("");
        // The peer sends this text with an offer.
        resource("home", HOME + "[handlers]\nconnect = \"/bin/true\"\n");
        assertThrows(ConfigException.class, () -> Settings.load(etc));
    }

    @Test
    void aDrillIsALineOfACalendarAndNeverOneOfAResource() throws Exception {
        node(
                """
                [drill]
                calendar = ["Sun 03:00 home", "04:00 db postgresql 16/main"]
                time-zone = "UTC"
                timeout = "1h"
                """);
        DrillSettings drills = Settings.load(etc).node().drills();
        assertEquals(Duration.ofHours(1), drills.timeout());
        // A Sunday.
        Instant three = Instant.parse("2026-11-29T03:00:00Z");
        assertEquals(
                List.of("home"),
                drills.due(three.minusSeconds(1), three).stream()
                        .map(DrillSettings.Entry::resource)
                        .toList());
        assertEquals(List.of(), drills.due(three, three.plusSeconds(3599)));
        DrillSettings.Entry db = drills.due(three, three.plusSeconds(3600)).getFirst();
        assertEquals("db", db.resource());
        assertEquals(Optional.of("postgresql 16/main"), db.check());
        for (String line :
                List.of(
                        "",
                        "03:00",
                        "Sun home",
                        "25:00 home",
                        "03:00 Home",
                        "03:00 ../x",
                        "03:00 home ./x")) {
            node("[drill]\ncalendar = [\"" + line + "\"]\n");
            assertThrows(ConfigException.class, () -> Settings.load(etc), line);
        }
        node("");
        // The peer sends this text with an offer.
        resource("home", HOME + "[drill]\ncalendar = [\"03:00 home /bin/true\"]\n");
        assertThrows(ConfigException.class, () -> Settings.load(etc));
    }

    @Test
    void aVerificationIsALineOfACalendarToo() throws Exception {
        node(
                """
                [verify]
                calendar = ["Sun 03:00 home", "04:00 db", "04:00 db"]
                time-zone = "UTC"
                [handlers]
                out-of-sync = "/bin/true"
                """);
        VerifySettings verifications = Settings.load(etc).node().verifications();
        // A Sunday.
        Instant three = Instant.parse("2026-11-29T03:00:00Z");
        assertEquals(List.of("home"), verifications.due(three.minusSeconds(1), three));
        assertEquals(List.of(), verifications.due(three, three.plusSeconds(3599)));
        assertEquals(List.of("db"), verifications.due(three, three.plusSeconds(3600)));
        for (String line : List.of("", "03:00", "03:00 Home", "03:00 home files", "3:00 home")) {
            node("[verify]\ncalendar = [\"" + line + "\"]\n");
            assertThrows(ConfigException.class, () -> Settings.load(etc), line);
        }
        node("");
        resource("home", HOME + "[verify]\ncalendar = [\"03:00 home\"]\n");
        assertThrows(ConfigException.class, () -> Settings.load(etc));
    }

    @Test
    void withoutAnyFileAllIsAtItsDefault() throws Exception {
        Settings.Loaded loaded = Settings.load(etc.resolve("missing"));
        assertEquals(NodeSettings.parse("", "empty"), loaded.node());
        assertEquals(Map.of(), loaded.resources());
        assertTrue(Type.NAME.matcher(loaded.node().name()).matches());
    }

    @Test
    void allProblemsOfAllFilesAreReportedAtOnceWithTheirPlaces() throws Exception {
        node("[link]\nrat = \"18 Mbit/s\"\ncatch-up = \"2 Mbps\"\n[alert]\nlag = \"1h\"\n");
        resource("home", "protocol = \"D\"\n" + HOME);
        resource("mail", "[on.server]\ndisk = \"dev/mail\"\n");
        var e = assertThrows(ConfigException.class, () -> Settings.load(etc));
        assertEquals(
                """
                ETC/node.toml:2:1: unknown key link.rat, did you mean "rate"?
                ETC/node.toml:3:1: link.catch-up: rate "2 Mbps" has the unknown unit "Mbps", did you mean "Mbit/s"?
                ETC/node.toml:4:1: unknown table [alert], known here: node, link, storage, nbd, metrics, buffer, drill, verify, handlers
                ETC/conf.d/home.toml:1:1: protocol is "D", should be one of A, B, C
                ETC/conf.d/mail.toml:2:1: on.server.disk is "dev/mail", should be an absolute path\
                """
                        .replace("ETC", etc.toString()),
                e.getMessage());
    }

    @Test
    void whatIsNoTomlIsReportedBesideWhatIsWrongInTheRest() {
        var e =
                assertThrows(
                        ConfigException.class,
                        () ->
                                NodeSettings.parse(
                                        "[link]\nrate = 18 Mbit/s\n[nbd]\nport = 1\n", "n"));
        assertTrue(e.getMessage().startsWith("n:2:"), e.getMessage());
        assertTrue(e.getMessage().contains("n:4:1: unknown key nbd.port"), e.getMessage());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "[link];rate = \"1 Mbit/s\";rate = \"2 Mbit/s\" | n:3:1: rate previously defined at"
                        + " line 2, column 1",
                "[link];[node];[link] | n:3:1: link previously defined at line 1, column 1",
                "link = 3 | n:1:1: link is the number 3, should be a table: [link]",
                "[link];rate = 18 | n:2:1: link.rate is the number 18, should be a quoted text like"
                        + " \"18 Mbit/s\"",
                "[link];rate = true | link.rate is true, should be a quoted text",
                "[link];rate = \"1 kbit/s\" | link.rate: rate is 1 kbit/s, should be at least 64"
                        + " kbit/s",
                "[link];keepalive = \"10\" | link.keepalive: \"10\" is no duration, should be like"
                        + " \"30s\"",
                "[link];keepalive = \"1h\" | link.keepalive is \"1h\", should be 1s to 10min",
                "[link];listen = \"7788\" | link.listen: \"7788\" is no address, should be like",
                "[link];listen = \"host:77880\" | link.listen: port is 77880, should be 1 to 65535",
                "[link];time-zone = \"Mars/Base\" | link.time-zone is \"Mars/Base\", which is no"
                        + " time zone",
                "[link];calendar = \"x\" | link.calendar is a text, should be a list: [",
                "[link];calendar = [;\"08:00-18:00 link 1 Mbit/s\",;\"x\"] | n:4:1: link.calendar:"
                        + " \"x\" is no calendar entry",
                "[link];calendar = [1] | link.calendar has the number 1, should have quoted texts",
                "[link];dial = \"a:1\";listen = \"b:1\" | n:3:1: link.dial and link.listen are both"
                        + " set",
                "[storage];max = \"5 GiB\" | n:2:1: storage.max is set without storage.path",
                "[storage];path = \"srv\" | storage.path is \"srv\", should be an absolute path",
                "[storage];path = \"/srv\";max = \"5 gib\" | size \"5 gib\" has the unknown unit"
                        + " \"gib\", did you mean \"GiB\"?",
                "[metrics];listen = \"0.0.0.0:9180\" | should be like \"127.0.0.1:9180\"",
                "[buffer];send = \"1 KiB\" | buffer.send is 1 KiB, should be 1 MiB to 1 TiB",
                "[node];name = \"My Server\" | node.name is \"My Server\", should be 1 to 63 of"
                        + " a-z",
                "[node];state-dir = \"/a\\u0000b\" | node.state-dir: contains a control character",
                "rate = \"1 Mbit/s\" | n:1:1: unknown key rate, did you mean \"link.rate\"?",
                "[lnk] | unknown table [lnk], did you mean \"link\"?",
                "[link.rate] | link.rate is a table, should be a quoted text"
            })
    void aNodeFileThatIsWrongSaysWhereAndWhatWouldBeRight(String text, String message) {
        var e =
                assertThrows(
                        ConfigException.class,
                        () -> NodeSettings.parse(text.replace(';', '\n'), "n"));
        assertTrue(e.getMessage().contains(message), e.getMessage());
        assertEquals(1, e.problems().size(), e.getMessage());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "protocol = \"A\" | r: no disk is named, should have at least [on.NODE]",
                "[on.server] | r: no disk is named",
                "protocol = \"C\";on-congestion = \"pull-ahead\";[on.a];disk = \"/x\" | r:2:1:"
                        + " on-congestion is \"pull-ahead\" with protocol C",
                "protocol = \"B\";on-congestion = \"pull-ahead\";[on.a];disk = \"/x\" | r:2:1:"
                        + " on-congestion is \"pull-ahead\" with protocol B",
                "on-congestion = \"wait\";[on.a];disk = \"/x\" | on-congestion is \"wait\", should"
                        + " be one of pull-ahead, block",
                "compression = \"zstd\";[on.a];disk = \"/x\" | compression is \"zstd\", should be"
                        + " one of stream, frame, off",
                "journal = \"4 GiB\";[on.a];disk = \"/x\" | journal is a text, should be a table:"
                        + " [journal]",
                "journal = { size = \"1 MiB\" };[on.a];disk = \"/x\" | journal.size is 1 MiB,"
                        + " should be 16 MiB to 64 TiB",
                "journal = { keep = \"24h\" };[on.a];disk = \"/x\" | unknown key"
                        + " journal.keep, known here: size, retention, retention-min, keep-max",
                "[on.a];disk = \"/x\";[on.b];[on.c] | disks of 3 nodes, a resource has 2",
                "[on.Server];disk = \"/x\" | node \"Server\" should be 1 to 63 of a-z",
                "[on.a];disc = \"/x\";disk = \"/x\" | r:2:1: unknown key on.a.disc, did you mean"
                        + " \"disk\"?",
                "[on.a];disk = \"vg0/home\" | on.a.disk is \"vg0/home\", should be an absolute"
                        + " path",
                "[on];disk = \"/x\" | on.disk is a text, should be a table"
            })
    void aResourceFileThatIsWrongSaysWhereAndWhatWouldBeRight(String text, String message) {
        var e =
                assertThrows(
                        ConfigException.class,
                        () -> ResourceSettings.parse(text.replace(';', '\n'), "r"));
        assertTrue(e.getMessage().contains(message), e.getMessage());
    }

    @Test
    void oneDiskHasOneResource() throws Exception {
        node("[node]\nname = \"server\"\n");
        resource("home", HOME);
        resource("mail", "[on.server]\ndisk = \"/dev/vg0/../vg0/home\"\n");
        assertProblem(
                "mail.toml:2:1: disk /dev/vg0/home at server is that of the resource \"home\""
                        + " already");
    }

    @Test
    void aDiskIsNoneOfHoldfastsOwnPlaces() throws Exception {
        node("[node]\nname = \"server\"\n[storage]\npath = \"/srv/holdfast\"\n");
        resource("home", "[on.server]\ndisk = \"/var/lib/holdfast/x\"\n");
        resource("mail", "[on.server]\ndisk = \"/srv/holdfast\"\n");
        assertProblem("home.toml:2:1: disk /var/lib/holdfast/x lies in the state directory");
        assertProblem("mail.toml:2:1: disk /srv/holdfast is the directory storage.path");
    }

    @Test
    void disksOfTwoOtherNodesAreAMistake() throws Exception {
        node("[node]\nname = \"sever\"\n");
        resource("home", HOME + "[on.backup]\ndisk = \"/dev/vg1/home\"\n");
        assertProblem("disks are those of backup and server, this node is \"sever\" (node.name)");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "Home",
                "a b",
                "-home",
                "a.b",
                "0123456789012345678901234567890123456789012345678901234567890123"
            })
    void aResourceIsNamedByTheRule(String name) throws Exception {
        resource(name, HOME);
        assertProblem("resource \"" + name + "\" should be 1 to 63 of a-z 0-9 _ -");
        assertThrows(IllegalArgumentException.class, () -> Settings.checkResourceName(name));
    }

    @Test
    void otherFilesAreLeftAlone() throws Exception {
        resource("home", HOME);
        Files.writeString(etc.resolve("conf.d/home.toml~"), "nonsense");
        assertEquals(1, Settings.load(etc).resources().size());
    }

    @Test
    void aFileThatIsNoTextIsReported() throws Exception {
        resource("home", HOME);
        Files.write(etc.resolve("conf.d/home.toml"), new byte[] {(byte) 0xff, 0});
        assertProblem("home.toml: is not UTF-8");
    }

    @Test
    void aTextFromThePeerHasALimit() {
        var e =
                assertThrows(
                        ConfigException.class,
                        () ->
                                ResourceSettings.parse(
                                        HOME + "#".repeat(SettingsText.MAX_CHARS), "peer"));
        assertTrue(e.getMessage().contains("longer than 65536 characters"), e.getMessage());
    }

    @Test
    void aReportHasALimit() {
        String text = "[link]\n" + "x = 1\n".repeat(5000);
        var e = assertThrows(ConfigException.class, () -> NodeSettings.parse(text, "n"));
        assertEquals(SettingsText.MAX_PROBLEMS + 1, e.problems().size());
        assertTrue(e.getMessage().endsWith("n: 4900 more problems"), e.getMessage());
    }

    @ParameterizedTest
    @ValueSource(strings = {"x = [", "x = {a=", "a."})
    void nestingHasALimit(String open) {
        String text = open.repeat(5000);
        assertThrows(ConfigException.class, () -> ResourceSettings.parse(text, "peer"));
    }

    /// A text from the peer may be anything; it is settings or it is refused, and nothing else.
    @Test
    void whateverTheTextItIsReadOrRefused() throws Exception {
        String example = Files.readString(Path.of("../conf.d/resource.toml")).replace("#", "");
        for (int seed = 0; seed < 1000; seed++) {
            var random = new Random(seed);
            var text = new StringBuilder(example.substring(example.indexOf("protocol")));
            for (int i = random.nextInt(8); i >= 0; i--) {
                int at = random.nextInt(text.length());
                switch (random.nextInt(3)) {
                    case 0 -> text.setCharAt(at, NOISE.charAt(random.nextInt(NOISE.length())));
                    case 1 -> text.delete(at, Math.min(text.length(), at + random.nextInt(40)));
                    default ->
                            text.insert(at, text.substring(at, Math.min(text.length(), at + 30)));
                }
            }
            try {
                ResourceSettings settings = ResourceSettings.parse(text.toString(), "peer");
                assertEquals(
                        settings, ResourceSettings.parse(settings.render(), "r"), "seed " + seed);
            } catch (ConfigException e) {
                assertTrue(!e.problems().isEmpty(), "seed " + seed);
            } catch (RuntimeException | Error e) {
                throw new AssertionError("seed " + seed + ": " + text, e);
            }
        }
    }

    @Test
    void severalDisksAreVolumesOfOneResource() throws Exception {
        resource(
                "db",
                """
                [on.server]
                disk = ["/dev/vg0/data", "/dev/vg1/log"]
                [on.backup]
                """);
        node("[node]\nname = \"server\"\n");
        ResourceSettings db = Settings.load(etc).resources().get("db");
        assertEquals(
                Optional.of(List.of(Path.of("/dev/vg0/data"), Path.of("/dev/vg1/log"))),
                db.disksAt("server"));
        assertEquals(Optional.empty(), db.disksAt("backup"));
    }

    @ParameterizedTest
    @CsvSource({
        "'[\"/dev/a\", \"/dev/a\"]', a disk at server is named twice",
        "'[]', disk is an empty list",
        "'[\"/dev/a\", 7]', disk has the number 7",
        "'[\"/dev/a\", \"b\"]', should be an absolute path",
        "'[\"/dev/a\", \"/dev/b\", \"/dev/c\"]', 'disks of 2 and of 3 volumes'"
    })
    void disksThatMakeNoSenseAreNamed(String disks, String problem) throws Exception {
        resource(
                "db",
                """
                [on.server]
                disk = %s
                [on.backup]
                disk = ["/dev/x", "/dev/y"]
                """
                        .formatted(disks));
        node("[node]\nname = \"server\"\n");
        assertProblem(problem);
    }

    @Test
    void whatIsRenderedReadsBackAsTheSame() throws Exception {
        for (Protocol protocol : Protocol.values()) {
            for (OnCongestion onCongestion : OnCongestion.values()) {
                for (Compression compression : Compression.values()) {
                    if (protocol != Protocol.A && onCongestion == OnCongestion.PULL_AHEAD) {
                        continue;
                    }
                    var disks =
                            new TreeMap<>(
                                    Map.of(
                                            "a",
                                            List.of(Path.of("/x \"y\" \\z"), Path.of("/l")),
                                            "b",
                                            List.of(Path.of("/dev/ü"), Path.of("/m"))));
                    var settings =
                            new ResourceSettings(
                                    protocol,
                                    onCongestion,
                                    compression,
                                    Size.parse("40 GiB"),
                                    Duration.ofMinutes(90),
                                    Duration.ofMillis(1500),
                                    Size.parse("7 MiB"),
                                    disks);
                    assertEquals(settings, ResourceSettings.parse(settings.render(), "r"));
                }
            }
        }
    }

    @Test
    void aShortRetentionIsItsOwnLeast() throws Exception {
        ResourceSettings hour =
                ResourceSettings.parse(
                        "journal = { size = \"1 GiB\", retention = \"1h\" }\n" + HOME, "r");
        assertEquals(Duration.ofHours(1), hour.retentionMin());
        assertEquals(hour, ResourceSettings.parse(hour.render(), "r"));
        ConfigException e =
                assertThrows(
                        ConfigException.class,
                        () ->
                                ResourceSettings.parse(
                                        "journal = { retention = \"1h\", retention-min = \"2h\" }\n"
                                                + HOME,
                                        "r"));
        assertTrue(e.getMessage().contains("should be 1h at most"), e.getMessage());
    }

    @ParameterizedTest
    @CsvSource({"16 MiB, 0", "4 GiB, 0", "16 GiB, 14400", "40 GiB, 14400"})
    void theLeastRetentionThatIsProposedGoesByTheSizeOfTheJournal(String size, long seconds)
            throws Exception {
        ResourceSettings proposed =
                ResourceSettings.parse(
                                "journal = { size = \"%s\", retention = \"0s\", keep-max = \"0 B\" }\n%s"
                                        .formatted(size, HOME),
                                "r")
                        .withProposedHistory();
        assertEquals(Duration.ofSeconds(seconds), proposed.retentionMin());
        assertEquals(Duration.ofHours(24), proposed.retention());
        assertEquals(Size.parse("4 GiB"), proposed.keepMax());
        assertEquals(Size.parse(size), proposed.journalSize());
        assertEquals(proposed, ResourceSettings.parse(proposed.render(), "r"));
    }

    @Test
    void whatAddProposesIsEveryDefault() throws Exception {
        ResourceSettings proposed =
                ResourceSettings.ofDisks(Map.of("server", List.of(Path.of("/dev/vg0/home"))));
        assertEquals(ResourceSettings.parse(HOME, "r"), proposed);
        assertEquals(Protocol.A, proposed.protocol());
        assertEquals(OnCongestion.PULL_AHEAD, proposed.onCongestion());
    }

    @ParameterizedTest
    @CsvSource({
        "40 GiB, 42949672960, 40 GiB",
        "500GB, 500000000000, 488281250 KiB",
        "1.5 MiB, 1572864, 1536 KiB",
        "7 B, 7, 7 B"
    })
    void aSizeIsReadAndPrinted(String text, long bytes, String printed) {
        assertEquals(bytes, Size.parse(text).bytes());
        assertEquals(printed, Size.parse(text).toString());
        assertEquals(Size.parse(text), Size.parse(printed));
    }

    @ParameterizedTest
    @CsvSource({"[::1]:9180", "0.0.0.0:7788", "backup.example.net:1"})
    void anAddressPrintsAsItIsWritten(String text) {
        assertEquals(text, Address.parse(text).toString());
    }

    private void assertProblem(String message) {
        var e = assertThrows(ConfigException.class, () -> Settings.load(etc));
        assertTrue(e.getMessage().contains(message), e.getMessage());
    }

    private void node(String text) throws IOException {
        Files.writeString(etc.resolve("node.toml"), text);
    }

    private void resource(String name, String text) throws IOException {
        Files.createDirectories(etc.resolve("conf.d"));
        Files.writeString(etc.resolve("conf.d").resolve(name + ".toml"), text);
    }
}
