package holdfast.system;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.status.StatusReport;

import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;

/// Somebody who looks at status and types what it says about `home`, word by word, and nothing
/// else.
final class Operator {
    private final List<NodeProcess> nodes;
    private final Consumer<String> notes;
    private String asked = "";
    private long askedNanos;
    private int steps;
    private int comparisons;

    /// @param notes takes what was typed, and what came of it if it was refused
    Operator(List<NodeProcess> nodes, Consumer<String> notes) {
        this.nodes = nodes;
        this.notes = notes;
    }

    /// Orders typed so far.
    int steps() {
        return steps;
    }

    /// Orders of them that say that the primary counts.
    int comparisons() {
        return comparisons;
    }

    /// Looks once.
    void doWhatIsAskedFor() throws Exception {
        for (NodeProcess each : nodes) {
            StatusReport said;
            try {
                said = each.api.status();
            } catch (ProblemException e) {
                return; // It still opens its resources.
            }
            for (StatusReport.Unopened unopened : said.unopened()) {
                if (unopened.next().contains(" status ")) {
                    return; // Whoever has it opens it.
                }
                typeWhenItLasts(each, unopened.next());
                return;
            }
            Optional<StatusReport.Resource> home = said.resource("home");
            if (home.filter(Operator::isOut).isPresent()) {
                typeWhenItLasts(each, home.get().trouble().orElse(""));
                return;
            }
            if (home.filter(Operator::isPrimaryAsked).isPresent()) {
                typeWhenItLasts(each, home.get().trouble().orElse(""));
                return;
            }
        }
        asked = "";
    }

    /// Whether its disk has failed or is not there.
    static boolean isOut(StatusReport.Resource of) {
        return of.disk().equals("FAILED") || of.disk().equals("DISKLESS");
    }

    /// Whether somebody must say at its host which side counts.
    private static boolean isPrimaryAsked(StatusReport.Resource of) {
        return of.role().equals("PRIMARY")
                && of.trouble().filter(said -> said.contains("invalidate-remote")).isPresent();
    }

    /// What status asks for is typed when it has asked for a while: a daemon that starts says for a
    /// moment that nothing is attached.
    private void typeWhenItLasts(NodeProcess at, String sentence) {
        if (sentence.contains("is being attached")) {
            return; // Nothing to be typed yet.
        }
        long lasts = sentence.contains("is not attached") ? 3_000_000_000L : 100_000_000L;
        if (!sentence.equals(asked)) {
            asked = sentence;
            askedNanos = System.nanoTime();
        } else if (System.nanoTime() - askedNanos > lasts) {
            asked = "";
            type(at, sentence);
        }
    }

    private void type(NodeProcess at, String sentence) {
        if (sentence.contains("invalidate-remote")) {
            say(at, sentence);
            return;
        }
        boolean any = false;
        for (String verb : new String[] {"detach", "connect", "attach"}) {
            if (sentence.matches("(?s).*\\b" + verb + " home\\b.*")) {
                any = true;
                steps++;
                notes.accept("typed " + verb);
                order(at, verb, notes);
            }
        }
        if (!any) {
            throw new AssertionError("status does not say what to type: " + sentence);
        }
    }

    /// The primary counts: that loses nothing of what was flushed there.
    private void say(NodeProcess at, String sentence) {
        comparisons++;
        String last = sentence.substring(sentence.lastIndexOf("at the primary: "));
        for (String verb : new String[] {"detach", "attach", "invalidate-remote"}) {
            if (last.contains(verb)) {
                steps++;
                notes.accept("typed " + verb);
                order(at, verb, notes);
            }
        }
    }

    /// One order, which may be refused.
    static void order(NodeProcess at, String verb, Consumer<String> notes) {
        try {
            switch (verb) {
                case "detach" -> at.api.detach(new ControlApi.NameRequest("home"));
                case "attach" -> at.api.attach(new ControlApi.NameRequest("home"));
                case "invalidate-remote" ->
                        at.api.invalidateRemote(new ControlApi.NameRequest("home"));
                case "connect" -> at.api.connect(new ControlApi.LinkRequest(Optional.of("home")));
                default -> at.api.disconnect(new ControlApi.LinkRequest(Optional.of("home")));
            }
        } catch (ProblemException e) {
            notes.accept(verb + ": " + words(e));
        }
    }

    /// The beginning of what it says.
    static String words(Exception e) {
        String text = String.valueOf(e.getMessage()).replace('\n', ' ');
        return text.substring(0, Math.min(160, text.length()));
    }
}
