package holdfast.replicator.state;

import holdfast.replicator.state.History.Moment;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;

/// The moments of a copy to which its primary has given a name. A mark is a record of the journal
/// and goes with it: it keeps nothing, and nothing that the primary sends takes one away. So a name
/// that is there is not given to another moment, and when there are [#MAX] no more are taken.
public final class Marks {
    /// What they take of memory is bounded by it, whatever a peer sends.
    public static final int MAX = 256;

    /// @param moment as of everything that was written before the order
    public record Mark(String name, Moment moment) {}

    /// In the order of the journal.
    private final Map<String, Mark> marks = new LinkedHashMap<>();

    /// Appended to the journal, and not durable yet.
    private final List<String> coming = new ArrayList<>();

    Marks() {}

    /// What a record of the journal holds of it.
    static ByteBuffer encode(String name) {
        return ByteBuffer.wrap(name.getBytes(StandardCharsets.US_ASCII));
    }

    /// @return null if it is no name of a moment
    public static String decode(ByteBuffer data) {
        String name = StandardCharsets.US_ASCII.decode(data.duplicate()).toString();
        return Pins.isName(name) ? name : null;
    }

    /// @return empty, or why there can be none of this name
    String refusal(String name) {
        Mark there = marks.get(name);
        if (there != null || coming.contains(name)) {
            return "there is a moment of the name %s already%s"
                    .formatted(name, there == null ? "" : ", " + there.moment.position());
        }
        return marks.size() + coming.size() >= MAX
                ? "%d moments are marked, which is the most until the oldest goes with the history"
                        .formatted(MAX)
                : "";
    }

    /// Appended, and not durable yet.
    boolean isComing(String name) {
        return coming.contains(name);
    }

    void appended(String name) {
        coming.add(name);
    }

    /// It is durable, or found by a start.
    void add(String name, Moment moment) {
        coming.remove(name);
        marks.remove(name);
        marks.put(name, new Mark(name, moment));
    }

    /// The base holds everything in front of this journal offset.
    void rolled(long watermark) {
        marks.values().removeIf(each -> each.moment.address() <= watermark);
    }

    /// These moments are none any more.
    void lost(Predicate<Moment> these) {
        marks.values().removeIf(each -> these.test(each.moment));
    }

    /// There is no point any more.
    void clear() {
        marks.clear();
    }

    Mark named(String name) {
        return marks.get(name);
    }

    List<Mark> all() {
        return List.copyOf(marks.values());
    }
}
