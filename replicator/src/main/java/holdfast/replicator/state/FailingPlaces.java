package holdfast.replicator.state;

import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/// Decides what is told of requests of clients that the disk fails one by one, and goes on: reads
/// of a bad sector, or writes for which there is no space. A client repeats such a request as often
/// as it likes, so what is told is bounded whatever it does: that it begins, that it goes on, an
/// hour after the last word of it, and that it is over.
///
/// It is over when each place that failed has worked again, and none has failed for [#QUIET_NANOS],
/// or for longer where it has come back within an hour: twice as long each time. Where a client
/// that has given up asks for that place no more, others that work may say it as well, for
/// [#GIVEN_UP_NANOS]: so it is with space, of which all places have the same, and not with bad
/// sectors.
///
/// It has no clock and is not safe for threads.
public final class FailingPlaces {
    static final long QUIET_NANOS = 10_000_000_000L;

    static final long AGAIN_NANOS = 3_600_000_000_000L;
    static final long GIVEN_UP_NANOS = 600_000_000_000L;

    /// Of which it is known where they begin and end. Beyond that the two that are closest become
    /// one, with what is between them.
    static final int MAX_PLACES = 64;

    /// So many are named, the others are counted.
    private static final int MAX_NAMED = 4;

    private final String what;
    private final String begins;
    private final String ends;
    private final boolean othersTell;

    /// First byte to the byte behind the last; they do not touch.
    private final TreeMap<Long, Long> places = new TreeMap<>();

    private boolean fails;
    private boolean othersWork;
    private long count;
    private long sinceMillis;
    private long failedNanos;
    private long beganNanos;
    private boolean began;

    /// A disk at its edge fails, works and fails again: that is some 16 events in the first hour,
    /// and 2 in each one after it.
    private long patienceNanos = QUIET_NANOS;

    private long toldNanos;
    private long toldCount;
    private String why = "";

    /// @param kind of event
    public record Told(String kind, String words) {}

    private FailingPlaces(String what, String begins, String ends, boolean othersTell) {
        this.what = what;
        this.begins = begins;
        this.ends = ends;
        this.othersTell = othersTell;
    }

    public static FailingPlaces ofReads() {
        return new FailingPlaces("reads", "read-error", "read-again", false);
    }

    public static FailingPlaces ofWrites() {
        return new FailingPlaces("writes", "no-space", "space-again", true);
    }

    /// A request failed.
    ///
    /// @return what is to be told, if anything
    public Optional<Told> failed(
            long offsetBytes, long lengthBytes, String why, long nowNanos, long wallMillis) {
        Optional<Told> before = look(nowNanos);
        boolean first = !fails;
        if (first) {
            fails = true;
            boolean isBack = began && nowNanos - beganNanos < AGAIN_NANOS + patienceNanos;
            patienceNanos = isBack ? Math.min(2 * patienceNanos, AGAIN_NANOS) : QUIET_NANOS;
            began = true;
            beganNanos = nowNanos;
            count = 0;
            toldCount = 0;
            sinceMillis = wallMillis;
        }
        count++;
        othersWork = false;
        failedNanos = nowNanos;
        this.why = why;
        add(offsetBytes, offsetBytes + lengthBytes);
        if (first) {
            // That the last trouble is over is implied where nobody has looked in between.
            String over = before.map(each -> each.words() + "; but now ").orElse("");
            return Optional.of(tell(over + words(), nowNanos));
        }
        return before;
    }

    /// A request worked. What is to be told of it says [#look].
    public void worked(long offsetBytes, long lengthBytes) {
        if (fails) {
            othersWork = true;
            remove(offsetBytes, offsetBytes + lengthBytes);
        }
    }

    /// To be called now and then while [#fails].
    ///
    /// @return what is to be told, if anything
    public Optional<Told> look(long nowNanos) {
        if (!fails) {
            return Optional.empty();
        }
        long quietNanos = nowNanos - failedNanos;
        boolean isMended = places.isEmpty() && quietNanos >= patienceNanos;
        long givenUpNanos = Math.max(GIVEN_UP_NANOS, patienceNanos);
        if (isMended || othersTell && othersWork && quietNanos >= givenUpNanos) {
            fails = false;
            places.clear();
            return Optional.of(
                    new Told(
                            ends,
                            "%s of clients work again, after %d that failed since %s"
                                    .formatted(what, count, since())));
        }
        if (count > toldCount && nowNanos - toldNanos >= AGAIN_NANOS) {
            return Optional.of(tell("still: " + words(), nowNanos));
        }
        return Optional.empty();
    }

    public boolean fails() {
        return fails;
    }

    /// Where, how often, since when and why.
    public String words() {
        List<String> named = new ArrayList<>();
        for (Map.Entry<Long, Long> each : places.entrySet()) {
            if (named.size() == MAX_NAMED) {
                break;
            }
            named.add("bytes %d to %d".formatted(each.getKey(), each.getValue() - 1));
        }
        int others = places.size() - named.size();
        String where =
                named.isEmpty()
                        ? "; all those places work again"
                        : ", at %s%s"
                                .formatted(
                                        String.join(", ", named),
                                        others == 0 ? "" : " and %d places more".formatted(others));
        return "%s of clients fail, %d since %s%s (%s)".formatted(what, count, since(), where, why);
    }

    private Told tell(String words, long nowNanos) {
        toldNanos = nowNanos;
        toldCount = count;
        return new Told(begins, words);
    }

    private Instant since() {
        return Instant.ofEpochMilli(sinceMillis).truncatedTo(ChronoUnit.SECONDS);
    }

    private void add(long from, long to) {
        long start = from;
        long end = to;
        for (Map.Entry<Long, Long> each = places.floorEntry(end);
                each != null && each.getValue() >= start;
                each = places.floorEntry(end)) {
            start = Math.min(start, each.getKey());
            end = Math.max(end, each.getValue());
            places.remove(each.getKey());
        }
        places.put(start, end);
        limit();
    }

    private void remove(long from, long to) {
        for (Map.Entry<Long, Long> each = places.lowerEntry(to);
                each != null && each.getValue() > from;
                each = places.lowerEntry(to)) {
            places.remove(each.getKey());
            if (each.getValue() > to) {
                places.put(to, each.getValue());
            }
            if (each.getKey() < from) {
                places.put(each.getKey(), from);
                break; // What is in front of it does not reach as far.
            }
        }
        limit();
    }

    private void limit() {
        while (places.size() > MAX_PLACES) {
            long closest = places.firstKey();
            long gap = Long.MAX_VALUE;
            for (long start : places.keySet()) {
                Long next = places.higherKey(start);
                if (next != null && next - places.get(start) < gap) {
                    gap = next - places.get(start);
                    closest = start;
                }
            }
            places.put(closest, places.remove(places.higherKey(closest)));
        }
    }
}
