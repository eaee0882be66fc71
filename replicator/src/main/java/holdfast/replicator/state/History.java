package holdfast.replicator.state;

import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Position;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;
import java.util.Optional;

/// Moments of a copy that lie in its journal, oldest first: each commit of an epoch, and of the
/// live records between them one every [#spacingBytes] of journal. To any of them the base can be
/// rolled, and from any of them on a view finds its moment. 640 KiB for a journal of 40 GiB.
public final class History {
    /// One moment: what the base and the journal up to here make together.
    ///
    /// @param address journal offset behind its last record
    /// @param ancestry past of the position
    /// @param labelMillis the primary's wall clock, or the backup's where that is earlier; it never
    ///   falls from one moment to the next
    /// @param receiptMillis the backup's own, which retention goes by; it never falls either
    /// @param tracked newest transaction of the primary's metadata that something of it was written
    ///   under
    /// @param incarnation opening of the journal in which its last record was written
    /// @param gapMillis of a commit: until when the moment before it was the newest there was, as
    ///   far as it is known; else 0
    public record Moment(
            long address,
            Position position,
            Ancestry ancestry,
            long labelMillis,
            long receiptMillis,
            long tracked,
            long incarnation,
            long gapMillis) {
        /// This one by itself, without what was not before it.
        Moment alone() {
            return new Moment(
                    address,
                    position,
                    ancestry,
                    labelMillis,
                    receiptMillis,
                    tracked,
                    incarnation,
                    0);
        }

        /// This one, which follows another.
        private Moment after(Moment before, boolean commit) {
            return new Moment(
                    address,
                    position,
                    ancestry,
                    Math.max(before.labelMillis, labelMillis),
                    Math.max(before.receiptMillis, receiptMillis),
                    tracked,
                    incarnation,
                    commit ? Math.max(before.labelMillis, gapMillis) : 0);
        }

        /// The same with what follows in the journal and changes nothing.
        Moment to(long address) {
            return new Moment(
                    address,
                    position,
                    ancestry,
                    labelMillis,
                    receiptMillis,
                    tracked,
                    incarnation,
                    gapMillis);
        }

        /// The same of another opening of the journal.
        Moment in(long incarnation) {
            return new Moment(
                    address,
                    position,
                    ancestry,
                    labelMillis,
                    receiptMillis,
                    tracked,
                    incarnation,
                    gapMillis);
        }

        private Moment behindGap(long gapMillis) {
            return new Moment(
                    address,
                    position,
                    ancestry,
                    labelMillis,
                    receiptMillis,
                    tracked,
                    incarnation,
                    gapMillis);
        }

        /// Whether an epoch was being applied just before it, or the journal is damaged there.
        public boolean endsGap() {
            return gapMillis > 0 && gapMillis < labelMillis;
        }
    }

    /// A forecast from less than this would be noise.
    private static final long FORECAST_MILLIS = 60_000;

    private final long spacingBytes;
    private final Deque<Moment> moments = new ArrayDeque<>();

    /// What the base alone is; null while there is no point, and while more is on its way into it.
    private Moment base;

    private Moment newest;

    /// What the last [#rollBegins] took away.
    private Moment baseBefore;

    private List<Moment> taken = List.of();

    /// Of the last moment in front of damage, as long as none is behind it; else 0.
    private long endedMillis;

    History(long spacingBytes) {
        this.spacingBytes = spacingBytes;
    }

    /// What was durable of the base at a start.
    ///
    /// @param whole false where a roll-forward was interrupted
    void begin(Moment at, boolean whole) {
        moments.clear();
        base = whole ? at : null;
        newest = at;
    }

    /// There is no point any more.
    void clear() {
        moments.clear();
        base = null;
        newest = null;
        endedMillis = 0;
    }

    /// The copy has moved on.
    ///
    /// @param commit by an epoch, so that nothing between this and the last one can be opened
    void add(Moment moment, boolean commit) {
        Moment before = newest;
        newest = before == null ? moment : moment.after(before, commit);
        if (endedMillis > 0) {
            newest = newest.behindGap(endedMillis);
            return;
        }
        if (commit) {
            keep(before); // The last one before the gap.
        }
        long last =
                !moments.isEmpty()
                        ? moments.getLast().address()
                        : base == null ? Long.MIN_VALUE : base.address();
        if (commit || last == Long.MIN_VALUE || newest.address() - last >= spacingBytes) {
            keep(newest);
        }
    }

    private void keep(Moment moment) {
        if (moment != null
                && (base == null || moment.address() > base.address())
                && (moments.isEmpty() || moments.getLast().address() < moment.address())) {
            moments.addLast(moment);
        }
    }

    /// The base is being moved there, and is no moment until it is: none before that can be opened.
    void rollBegins(long address) {
        if (Faults.M51) {
            return;
        }
        baseBefore = base;
        taken = new ArrayList<>();
        base = null;
        while (!moments.isEmpty() && moments.getFirst().address() < address) {
            taken.add(moments.removeFirst());
        }
    }

    /// It ended before anything was written to the base, or said to be written.
    void rollGivenUp() {
        base = baseBefore;
        for (Moment each : taken.reversed()) {
            moments.addFirst(each);
        }
        taken = List.of();
    }

    /// The journal is damaged there: what lies behind that is no moment to which the base could be
    /// rolled, and none that could be opened but the newest. Until [#goesOn].
    void ends(long address) {
        forget(address, Long.MAX_VALUE);
        Moment last = lastUpTo(address);
        endedMillis = last == null ? 1 : Math.max(1, last.labelMillis());
        newest = newest.behindGap(endedMillis);
    }

    /// The journal is damaged there, and a moment behind that needs nothing of it: those in between
    /// are none any more.
    void lost(long address, long before) {
        forget(address, before);
        Moment last = lastUpTo(address);
        long sinceMillis = last == null ? 1 : Math.max(1, last.labelMillis());
        List<Moment> behind = new ArrayList<>();
        while (!moments.isEmpty() && moments.getLast().address() > address) {
            behind.addFirst(moments.removeLast());
        }
        if (!behind.isEmpty()) {
            behind.addFirst(behind.removeFirst().behindGap(sinceMillis));
        }
        moments.addAll(behind);
    }

    private void forget(long from, long before) {
        moments.removeIf(each -> each.address() > from && each.address() < before);
        taken =
                taken.stream()
                        .filter(each -> each.address() <= from || each.address() >= before)
                        .toList();
    }

    /// The last moment up to there, also of those that a roll has taken away; null for none.
    private Moment lastUpTo(long address) {
        Moment last = base != null ? base : baseBefore;
        for (Moment each : taken) {
            last = each.address() <= address ? each : last;
        }
        for (Moment each : moments) {
            last = each.address() <= address ? each : last;
        }
        return last;
    }

    /// The newest moment needs nothing of what is damaged: from it on there are moments again.
    ///
    /// @param as it is from now on
    void goesOn(Moment as) {
        endedMillis = 0;
        newest = as;
        keep(newest);
    }

    /// The base is to stop there, and views are to find it there.
    void insert(Moment moment) {
        List<Moment> later = new ArrayList<>();
        while (!moments.isEmpty() && moments.getLast().address() >= moment.address()) {
            later.addFirst(moments.removeLast());
        }
        if (later.isEmpty() || later.getFirst().address() > moment.address()) {
            keep(moment);
        }
        moments.addAll(later);
    }

    /// The base is this.
    void rolled(Moment to) {
        base = to;
        taken = List.of();
        while (!moments.isEmpty() && moments.getFirst().address() <= to.address()) {
            moments.removeFirst();
        }
        if (newest == null || newest.address() <= to.address()) {
            newest = to;
        }
    }

    /// What a promotion would get; null while there is no point.
    public Moment newest() {
        return newest;
    }

    /// The oldest moment that can be opened; null while there is no point.
    public Moment oldest() {
        return base != null ? base : moments.isEmpty() ? newest : moments.getFirst();
    }

    /// Journal that all of a retention needs at the rate at which it was filled with what is there;
    /// empty while that is too little to tell.
    ///
    /// @param packedRatio how much of what it holds the journal takes
    Optional<Long> neededBytes(long retentionMillis, double packedRatio) {
        Moment oldest = oldest();
        if (oldest == null || oldest.receiptMillis() == 0 || retentionMillis == 0) {
            return Optional.empty();
        }
        long millis = newest.receiptMillis() - oldest.receiptMillis();
        long bytes = newest.address() - oldest.address();
        return millis < FORECAST_MILLIS
                ? Optional.empty()
                : Optional.of((long) ((double) bytes / millis * retentionMillis * packedRatio));
    }

    /// The newest of the moments here with a label not after this; null when all are later. There
    /// may be more in the journal between it and the next.
    public Moment notAfter(long labelMillis) {
        if (newest != null && newest.labelMillis() <= labelMillis) {
            return newest;
        }
        Iterator<Moment> backwards = moments.descendingIterator();
        while (backwards.hasNext()) {
            Moment moment = backwards.next();
            if (moment.labelMillis() <= labelMillis) {
                return moment;
            }
        }
        return base != null && base.labelMillis() <= labelMillis ? base : null;
    }

    /// The first of the moments here behind this journal offset; null for none.
    public Moment behind(long address) {
        for (Moment moment : moments) {
            if (moment.address() > address) {
                return moment;
            }
        }
        return newest != null && newest.address() > address ? newest : null;
    }

    /// The newest of the moments here that ends at or before this journal offset and was received
    /// no later; null for none.
    Moment upTo(long address, long receiptMillis) {
        if (newest != null && isUpTo(newest, address, receiptMillis)) {
            return newest;
        }
        Moment found = null;
        for (Moment moment : moments) {
            if (!isUpTo(moment, address, receiptMillis)) {
                break;
            }
            found = moment;
        }
        return found;
    }

    private static boolean isUpTo(Moment moment, long address, long receiptMillis) {
        return moment.address() <= address && moment.receiptMillis() <= receiptMillis;
    }

    /// The times between which there is no moment, because an epoch was being applied or the
    /// journal is damaged: each by the moment that ends it.
    ///
    /// @param most the last ones of them
    public List<Moment> gaps(int most) {
        List<Moment> gaps = new ArrayList<>();
        Iterator<Moment> backwards = moments.descendingIterator();
        while (backwards.hasNext() && gaps.size() < most) {
            Moment moment = backwards.next();
            if (moment.endsGap()) {
                gaps.addFirst(moment);
            }
        }
        return gaps;
    }
}
