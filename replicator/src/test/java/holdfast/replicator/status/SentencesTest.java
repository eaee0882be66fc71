package holdfast.replicator.status;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.time.Instant;
import java.time.ZoneOffset;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

class SentencesTest {
    private static final long GIB = 1L << 30;

    static Stream<Arguments> situations() {
        return Stream.of(
                server("If this server vanished now you would lose nothing of home.", primary()),
                server(
                        "If this server vanished now you would lose 14 s (812 KiB) of home.",
                        primary().behind(203, 812 << 10, 14)),
                server(
                        "home has no copy yet: 41 % sent, about 19 h left.",
                        primary()
                                .noCopy()
                                .replication("FIRST_SYNC")
                                .progress("FIRST_SYNC", 41 * GIB, 100 * GIB, 68_000)),
                server(
                        "home has no copy yet: the first sync is about to begin.",
                        primary().noCopy()),
                serverAway(
                        "home has no copy yet: 41 % sent, waiting for backup (away for 12 min).",
                        primary()
                                .noCopy()
                                .connection("CONNECTING")
                                .progress("FIRST_SYNC", 41 * GIB, 100 * GIB, 0)),
                server(
                        "home has no copy yet: server was told not to connect. Next: holdfast"
                                + " connect home.",
                        primary().noCopy().connection("STANDALONE")),
                server(
                        "If this server vanished now you would lose 3 min (6.1 MiB) of home."
                                + " Catching up: 50 %, about 40 s left.",
                        primary()
                                .behind(90, 6_320_000, 150)
                                .replication("SYNC_SOURCE")
                                .progress("CATCH_UP", GIB, 2 * GIB, 40)),
                server(
                        "If this server vanished now you would lose 20 s (64 MiB) of home. The send"
                                + " buffer is full; changed blocks are marked and follow later.",
                        primary().behind(9000, 64 << 20, 20).replication("AHEAD").closed()),
                server(
                        "If this server vanished now you would lose 20 s (64 MiB) of home. The"
                                + " catch-up waits: the backup's journal lacks room.",
                        primary().behind(9000, 64 << 20, 20).replication("PAUSED")),
                serverAway(
                        "If this server vanished now you would lose 12 min (1 MiB) of home. backup"
                                + " has been away for 12 min.",
                        primary().connection("CONNECTING").behind(256, 1 << 20, 710)),
                serverAway(
                        "If this server vanished now you would lose nothing of home. backup has"
                                + " been away for 12 min.",
                        primary().connection("CONNECTING")),
                server(
                        "If this server vanished now you would lose nothing of home. server is not"
                                + " connected to backup because it was told so. Next: holdfast connect"
                                + " home.",
                        primary().connection("STANDALONE")),
                server(
                        "If this server vanished now you would lose nothing of home. The disk"
                                + " failed: EIO at byte 4096.",
                        primary().trouble("the disk failed: EIO at byte 4096")),
                Arguments.of(
                        "If this server vanished now you would lose 4 s (3.6 MiB) of home. server is not connected to"
                                + " backup because it was told so. Next: holdfast connect.",
                        "server",
                        Optional.of(Samples.link("backup", "STANDALONE", 22)),
                        primary().connection("CONNECTING").behind(892, 3_700_000, 4)),
                // Our clock was set back since it was there.
                Arguments.of(
                        "If this server vanished now you would lose nothing of home. backup has"
                                + " been away for some time.",
                        "server",
                        Optional.of(Samples.link("backup", "CONNECTING", -3600)),
                        primary().connection("CONNECTING")),
                Arguments.of(
                        "home runs at backup. There is no second copy.",
                        "backup",
                        Optional.empty(),
                        primary().alone()),
                backup("The copy of 12:03:07 can be opened.", secondary()),
                backup(
                        "The copy of 12:03:07 can be opened. This host's clock says that 31 days more have passed"
                                + " than the daemon has counted: nothing becomes old by that, and nothing that is"
                                + " kept expires, before server is connected and its clock says so too.",
                        secondary().uncounted(31 * 86_400)),
                backup(
                        "The copy of 2026-11-18 23:59:59 can be opened.",
                        secondary().copyTime(Instant.parse("2026-11-18T23:59:59Z"))),
                backup(
                        "The copy of 13:03:21 can be opened. By this host's clock that is in the future, by"
                                + " 60 min: a clock is wrong, or was.",
                        secondary().copyTime(Samples.NOW.plusSeconds(3600))),
                backup(
                        "home has no copy yet: 41 % received, about 19 h left.",
                        secondary().noCopy().progress("FIRST_SYNC", 41 * GIB, 100 * GIB, 68_000)),
                backup(
                        "The copy of 12:03:07 can be opened. A newer one is on its way: 99 %, about"
                                + " 1 s left.",
                        secondary()
                                .replication("SYNC_TARGET")
                                .progress("CATCH_UP", GIB - 1, GIB, 0.3)),
                Arguments.of(
                        "The copy of 12:03:07 can be opened. server has been away for 12 min.",
                        "backup",
                        Optional.of(Samples.link("server", "CONNECTING", 720)),
                        secondary().connection("CONNECTING")));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("situations")
    void eachSituationHasItsSentence(
            String sentence,
            String host,
            Optional<StatusReport.Link> link,
            Samples.Builder resource) {
        var sentences = new Sentences(Samples.node(host), link, ZoneOffset.UTC);
        assertEquals(List.of(sentence), sentences.of(List.of(resource.build()), List.of()));
    }

    @org.junit.jupiter.api.Test
    void bothSidesSayTheSameOfClocksThatDiffer() {
        String apart =
                "The clock of server is 31 s ahead of that of backup. Next: set the one that is wrong; timedatectl says whether somebody keeps it.";
        assertEquals(
                List.of("If this server vanished now you would lose nothing of home.", apart),
                sentences("server", Samples.link("backup", "CONNECTED", 0, -30.2), primary()));
        assertEquals(
                List.of("The copy of 12:03:07 can be opened.", apart),
                sentences("backup", Samples.link("server", "CONNECTED", 0, 30.2), secondary()));
    }

    @org.junit.jupiter.api.Test
    void aDifferenceThatMayBeNoneIsNoNews() {
        assertEquals(
                List.of("The copy of 12:03:07 can be opened."),
                sentences("backup", Samples.link("server", "CONNECTED", 0, 2.01), secondary()));
    }

    private static List<String> sentences(
            String host, StatusReport.Link link, Samples.Builder resource) {
        return new Sentences(Samples.node(host), Optional.of(link), ZoneOffset.UTC)
                .of(List.of(resource.build()), List.of());
    }

    @org.junit.jupiter.api.Test
    void severalCopiesAreNamed() {
        var sentences = new Sentences(Samples.node("backup"), Optional.empty(), ZoneOffset.UTC);
        assertEquals(
                List.of(
                        "The copy of a of 12:03:07 can be opened.",
                        "The copy of b of 12:03:07 can be opened."),
                sentences.of(
                        List.of(
                                Samples.resource("a", "SECONDARY").build(),
                                Samples.resource("b", "SECONDARY").build()),
                        List.of()));
    }

    @org.junit.jupiter.api.Test
    void whatCouldNotBeOpenedIsNotPassedOver() {
        var sentences = new Sentences(Samples.node("backup"), Optional.empty(), ZoneOffset.UTC);
        String music =
                "music is not open at backup: /srv/music.img: No such file or directory."
                        + " Next: holdfast connect music";
        assertEquals(List.of(music), sentences.of(List.of(), List.of(Samples.unopened("music"))));
        assertEquals(
                List.of("The copy of a of 12:03:07 can be opened.", music),
                sentences.of(
                        List.of(Samples.resource("a", "SECONDARY").build()),
                        List.of(Samples.unopened("music"))));
    }

    @org.junit.jupiter.api.Test
    void aNodeWithoutAnythingSaysWhatToTypeNext() {
        assertEquals(
                List.of(
                        "Nothing is replicated yet, and server has no peer. Next: holdfast invite"
                                + " --address HOST:PORT at the side that can be reached."),
                new Sentences(Samples.node("server"), Optional.empty(), ZoneOffset.UTC)
                        .of(List.of(), List.of()));
        assertEquals(
                List.of(
                        "Nothing is replicated yet. Next: holdfast add NAME DEVICE, typed where the"
                                + " data is."),
                new Sentences(
                                Samples.node("server"),
                                Optional.of(Samples.link("backup", "CONNECTED", 0)),
                                ZoneOffset.UTC)
                        .of(List.of(), List.of()));
    }

    @Test
    void theLastDrillIsToldWhereTheCopyIs() {
        assertEquals(
                "The copy of 12:03:07 can be opened. Last drill 3 days ago: passed, 42 s.",
                sentence(secondary().drill(true, 42, "")));
        assertEquals(
                "The copy of 12:03:07 can be opened. Last drill 3 days ago: passed, 42 s, mounted only.",
                sentence(secondary().drill(true, "", 42, "")));
        assertEquals(
                "The copy of 12:03:07 can be opened. Last drill 3 days ago: failed: fsck: it is damaged.",
                sentence(secondary().drill(false, 42, "fsck: it is damaged\nand more")));
    }

    @Test
    void aCopyThatDiffersIsToldUntilItIsMended() {
        assertEquals(
                "The copy of 12:03:07 can be opened. The copy was compared with server, 3 days ago: 2 blocks differ, cut short: stopped. Next, at server: holdfast verify home --last.",
                sentence(secondary().verify(2, "stopped", false)));
        assertEquals(
                "The copy of 12:03:07 can be opened.", sentence(secondary().verify(2, "", true)));
        assertEquals(
                "The copy of 12:03:07 can be opened.", sentence(secondary().verify(0, "", false)));
    }

    private static String sentence(Samples.Builder resource) {
        return new Sentences(
                        Samples.node("backup"),
                        Optional.of(Samples.link("server", "CONNECTED", 0)),
                        ZoneOffset.UTC)
                .of(List.of(resource.build()), List.of())
                .getFirst();
    }

    private static Samples.Builder primary() {
        return Samples.resource("home", "PRIMARY");
    }

    private static Samples.Builder secondary() {
        return Samples.resource("home", "SECONDARY");
    }

    private static Arguments server(String sentence, Samples.Builder resource) {
        return Arguments.of(
                sentence, "server", Optional.of(Samples.link("backup", "CONNECTED", 0)), resource);
    }

    private static Arguments serverAway(String sentence, Samples.Builder resource) {
        return Arguments.of(
                sentence,
                "server",
                Optional.of(Samples.link("backup", "CONNECTING", 720)),
                resource);
    }

    private static Arguments backup(String sentence, Samples.Builder resource) {
        return Arguments.of(
                sentence, "backup", Optional.of(Samples.link("server", "CONNECTED", 0)), resource);
    }
}
