package holdfast.replicator.status;

import java.time.Duration;
import java.time.Instant;
import java.time.ZoneId;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/// The sentence that `status` begins with: for each resource, what would be lost, or what can be
/// opened, in words that need no knowledge of the product. Each side has its own.
///
/// | side   | situation                          | sentence                                                              |
/// |--------|------------------------------------|-----------------------------------------------------------------------|
/// | both   | it is not open, or not yet         | home is not open at backup: CAUSE. Next: COMMAND.                      |
/// | both   | no second copy                     | home runs at backup. There is no second copy.                         |
/// | server | first sync                         | home has no copy yet: 41 % sent, about 19 h left.                     |
/// | server | nothing is missing                 | If this server vanished now you would lose nothing of home.           |
/// | server | something is                       | If this server vanished now you would lose 14 s (812 KiB) of home.    |
/// | backup | there is a copy                    | The copy of 12:03:07 can be opened.                                   |
/// | backup | first sync                         | home has no copy yet: 41 % received, about 19 h left.                 |
///
/// A second sentence follows when a person may have to do something: the peer is away, the buffer
/// is full, the disk failed. The last one of all says that the clocks of the two hosts differ.
final class Sentences {
    /// A peer that is away for less is being reconnected to and is no news.
    private static final Duration AWAY_IS_NEWS = Duration.ofSeconds(15);

    private final StatusReport.Node node;
    private final Optional<StatusReport.Link> link;
    private final ZoneId zone;

    Sentences(StatusReport.Node node, Optional<StatusReport.Link> link, ZoneId zone) {
        this.node = node;
        this.link = link;
        this.zone = zone;
    }

    /// Those of the resources in their order, then those of what is not open, then of the clocks.
    List<String> of(List<StatusReport.Resource> resources, List<StatusReport.Unopened> unopened) {
        if (resources.isEmpty() && unopened.isEmpty()) {
            return Stream.concat(Stream.of(nothingYet()), clocks().stream()).toList();
        }
        boolean several = resources.size() + unopened.size() > 1;
        return Stream.of(
                        resources.stream().map(r -> of(r, several)),
                        unopened.stream().map(this::notOpened),
                        clocks().stream())
                .flatMap(each -> each)
                .toList();
    }

    /// The same at both sides.
    private Optional<String> clocks() {
        return link.flatMap(
                l ->
                        l.clock()
                                .filter(StatusReport.ClockOffset::isNews)
                                .map(c -> apart(l.peer(), c.aheadSeconds())));
    }

    private String apart(String peer, double aheadSeconds) {
        boolean isPeers = aheadSeconds > 0;
        return "The clock of %s is %s ahead of that of %s. Next: set the one that is wrong; timedatectl says whether somebody keeps it."
                .formatted(
                        isPeers ? peer : node.name(),
                        Words.span(Math.abs(aheadSeconds)),
                        isPeers ? node.name() : peer);
    }

    private String notOpened(StatusReport.Unopened u) {
        return "%s is not open at %s: %s. Next: %s"
                .formatted(u.name(), node.name(), u.cause(), u.next());
    }

    private String nothingYet() {
        if (link.isEmpty()) {
            return "Nothing is replicated yet, and %s has no peer. Next: holdfast invite --address HOST:PORT at the side that can be reached."
                    .formatted(node.name());
        }
        return "Nothing is replicated yet. Next: holdfast add NAME DEVICE, typed where the data"
                + " is.";
    }

    private String of(StatusReport.Resource r, boolean several) {
        if (r.peer().isEmpty()) {
            return "%s runs at %s. There is no second copy.".formatted(r.name(), node.name())
                    + trouble(r);
        }
        return (r.isPrimary() ? atServer(r) : atBackup(r, several)) + trouble(r);
    }

    private String atServer(StatusReport.Resource r) {
        if (r.promoted() && r.progress().isEmpty()) {
            return "%s runs at %s. There is no second copy.".formatted(r.name(), node.name())
                    + away(r);
        }
        if (!r.hasCopy()) {
            return firstSync(r, "sent");
        }
        var behind = r.behind().orElseThrow();
        boolean nothing = behind.operations() == 0 && behind.bytes() == 0;
        if (nothing) {
            return "If this server vanished now you would lose nothing of %s.".formatted(r.name())
                    + away(r)
                    + verify(r);
        }
        // Without the moment only the amount can be told; an age that is not known is not made up.
        String loss =
                r.replicatedUntil()
                        .map(until -> "%s (%s)".formatted(age(until), Words.bytes(behind.bytes())))
                        .orElseGet(() -> Words.bytes(behind.bytes()));
        return "If this server vanished now you would lose %s of %s.".formatted(loss, r.name())
                + catchUp(r)
                + away(r)
                + verify(r);
    }

    private String atBackup(StatusReport.Resource r, boolean several) {
        if (!r.hasCopy()) {
            return firstSync(r, "received") + drill(r);
        }
        String time = Words.moment(r.copyTime().orElseThrow(), node.now(), zone);
        String copy =
                several
                        ? "The copy of %s of %s can be opened.".formatted(r.name(), time)
                        : "The copy of %s can be opened.".formatted(time);
        return copy
                + future(r.copyTime().orElseThrow())
                + r.progress()
                        .map(
                                p ->
                                        " A newer one is on its way: %d %%%s."
                                                .formatted(p.percent(), left(r, p)))
                        .orElse("")
                + away(r)
                + verify(r)
                + drill(r)
                + uncounted(r);
    }

    /// It ends by itself, and there is nothing to do.
    private String uncounted(StatusReport.Resource r) {
        return r.journal()
                .filter(j -> j.uncountedSeconds() > 0)
                .map(
                        j ->
                                " This host's clock says that %s more have passed than the daemon has counted: nothing becomes old by that, and nothing that is kept expires, before %s is connected and its clock says so too."
                                        .formatted(
                                                Words.span((double) j.uncountedSeconds()),
                                                r.peer().orElseThrow()))
                .orElse("");
    }

    private String future(Instant copyTime) {
        return Words.isFuture(copyTime, node.now())
                ? " By this host's clock that is %s: a clock is wrong, or was."
                        .formatted(Words.ago(copyTime, node.now()))
                : "";
    }

    /// What somebody should know: the copy is not what it says it is.
    private String verify(StatusReport.Resource r) {
        return r.verify()
                .filter(v -> v.differingBlocks() > 0 && v.mended().isEmpty())
                .map(
                        v ->
                                " The copy was compared with %s, %s. Next, at %s: holdfast verify %s --last."
                                        .formatted(
                                                r.isPrimary()
                                                        ? "this server"
                                                        : r.peer().orElseThrow(),
                                                Words.verify(v, node.now()),
                                                r.isPrimary()
                                                        ? node.name()
                                                        : r.peer().orElseThrow(),
                                                r.name()))
                .orElse("");
    }

    private String drill(StatusReport.Resource r) {
        return r.drill()
                .map(d -> " Last drill %s.".formatted(Words.drill(d, node.now())))
                .orElse("");
    }

    private String firstSync(StatusReport.Resource r, String verb) {
        String peer = r.peer().orElseThrow();
        String start = "%s has no copy yet: ".formatted(r.name());
        var progress = r.progress();
        if (isStandalone(r)) {
            return start
                    + "%s was told not to connect. Next: holdfast connect%s."
                            .formatted(node.name(), connectArgument(r));
        }
        if (!r.isConnected()) {
            String soFar = progress.map(p -> p.percent() + " % " + verb + ", ").orElse("");
            return start
                    + soFar
                    + "waiting for %s%s."
                            .formatted(
                                    peer, awayFor().map(s -> " (away for " + s + ")").orElse(""));
        }
        return start
                + progress.map(p -> "%d %% %s%s.".formatted(p.percent(), verb, left(r, p)))
                        .orElse(
                                r.replication().equals("SYNC_SOURCE")
                                        ? "all is sent, the copy is about to be there."
                                        : "the first sync is about to begin.");
    }

    private static String catchUp(StatusReport.Resource r) {
        if (r.replication().equals("PAUSED") && !r.syncPaused()) {
            return " The catch-up waits: the backup's journal lacks room.";
        }
        String full =
                r.sendBuffer().filter(StatusReport.SendBuffer::closed).isPresent()
                                && r.progress().isEmpty()
                        ? " The send buffer is full; changed blocks are marked and follow later."
                        : "";
        return r.progress()
                .filter(p -> !p.kind().equals("VERIFY") && !p.kind().equals("REPAIR"))
                .map(p -> " Catching up: %d %%%s.".formatted(p.percent(), left(r, p)))
                .orElse(full);
    }

    private static String left(StatusReport.Resource r, StatusReport.Progress p) {
        if (r.syncPaused()) {
            return ", paused";
        }
        return p.secondsLeft().map(s -> ", about %s left".formatted(Words.span(s))).orElse("");
    }

    private String away(StatusReport.Resource r) {
        String peer = r.peer().orElseThrow();
        if (isStandalone(r)) {
            return " %s is not connected to %s because it was told so. Next: holdfast connect%s."
                    .formatted(node.name(), peer, connectArgument(r));
        }
        if (r.isConnected()) {
            return "";
        }
        return awayFor().map(s -> " %s has been away for %s.".formatted(peer, s)).orElse("");
    }

    /// Told not to connect: this resource alone, or the whole link.
    private boolean isStandalone(StatusReport.Resource r) {
        return r.connection().equals("STANDALONE") || isLinkStandalone();
    }

    private boolean isLinkStandalone() {
        return link.filter(l -> l.connection().equals("STANDALONE")).isPresent();
    }

    private String connectArgument(StatusReport.Resource r) {
        return isLinkStandalone() ? "" : " " + r.name();
    }

    private Optional<String> awayFor() {
        return link.filter(l -> !l.isConnected())
                .map(l -> l.lastContact().orElse(l.since()))
                .flatMap(this::since);
    }

    private Optional<String> since(Instant then) {
        if (Words.isFuture(then, node.now())) {
            return Optional.of("some time");
        }
        Duration passed = Duration.between(then, node.now());
        return passed.compareTo(AWAY_IS_NEWS) < 0
                ? Optional.empty()
                : Optional.of(Words.span(passed));
    }

    private static String trouble(StatusReport.Resource r) {
        return r.trouble().map(t -> " " + beginning(t, r.name()) + ".").orElse("");
    }

    /// A sentence begins with a capital, a resource's name is as it is.
    private static String beginning(String sentence, String name) {
        return sentence.startsWith(name)
                ? sentence
                : Character.toUpperCase(sentence.charAt(0)) + sentence.substring(1);
    }

    private String age(Instant until) {
        return Words.span(Duration.between(until, node.now()));
    }
}
