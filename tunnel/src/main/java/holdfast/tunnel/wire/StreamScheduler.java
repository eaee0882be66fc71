package holdfast.tunnel.wire;

import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeMap;

/// Decides which stream sends next: the most urgent class first, fair by weight among the streams
/// of a class, and no stream beyond its credit. Pure: equal calls give equal answers.
///
/// **Urgency** is strict but for a small share: whenever a class sends, each less urgent class that
/// could have sent is owed a [#SHARE]th of it, and when it is owed a whole [#QUANTUM_BYTES] it goes
/// first once. So a verify under a flood of live writes still ends some day, and a live write waits
/// behind one packet of the other classes, not more. Control owes nothing: it is small and goes
/// first always.
///
/// **Fairness** is by virtual time: a stream's clock runs on by what it sent over its weight, the
/// stream whose clock is furthest behind goes next, and one that had nothing to send does not save
/// that up.
///
/// **Credit** may be overdrawn by the one packet that crosses it; so a frame longer than the whole
/// credit still passes, and the receiver is bound to take one packet more than it granted.
public final class StreamScheduler {
    /// A less urgent class gets at least one part in this many: 5 %.
    public static final int SHARE = 20;

    /// As much as one batch holds.
    public static final long QUANTUM_BYTES = 128 << 10;

    private static final TrafficClass[] CLASSES = TrafficClass.values();

    private final Map<Integer, Stream> streams = new TreeMap<>();
    private final long[] owedBytes = new long[CLASSES.length];

    /// For each class, the clock of the stream it served last, as it was before.
    private final long[] clocks = new long[CLASSES.length];

    /// Streams with a packet of which a part is still to be sent.
    private int openCount;

    private static final class Stream {
        final int id;
        final int weight;
        TrafficClass trafficClass;
        boolean ready;
        boolean credited;
        boolean open;
        long creditBytes;
        long clock;

        Stream(int id, TrafficClass trafficClass, int weight) {
            this.id = id;
            this.trafficClass = trafficClass;
            this.weight = weight;
        }

        boolean canSend() {
            return open || ready && (!credited || creditBytes > 0);
        }
    }

    /// A stream without flow control (the control stream) or one that starts without credit.
    ///
    /// @param weight share among the streams of its class, 1 or more
    public void add(int stream, TrafficClass trafficClass, int weight, boolean credited) {
        if (weight < 1 || streams.containsKey(stream)) {
            throw new IllegalArgumentException("stream " + stream + " of weight " + weight);
        }
        var added = new Stream(stream, trafficClass, weight);
        added.credited = credited;
        streams.put(stream, added);
    }

    public void remove(int stream) {
        open(stream, false);
        streams.remove(stream);
    }

    /// Whether a part of the stream's last packet is still to be sent, for which it needs no more
    /// credit.
    public void open(int stream, boolean open) {
        Stream s = streams.get(stream);
        if (s != null && s.open != open) {
            s.open = open;
            openCount += open ? 1 : -1;
        }
    }

    public boolean contains(int stream) {
        return streams.containsKey(stream);
    }

    /// Whether the stream has something to send, and of which class that is.
    public void ready(int stream, boolean ready, TrafficClass trafficClass) {
        Stream s = streams.get(stream);
        boolean joins = ready && (!s.ready || s.trafficClass != trafficClass);
        s.ready = ready;
        s.trafficClass = trafficClass;
        if (joins) {
            s.clock = Math.max(s.clock, clocks[trafficClass.ordinal()]);
        }
    }

    /// The peer takes this many more bytes of the stream; unknown streams are passed over, for they
    /// may just have ended.
    public void credit(int stream, long bytes) {
        Stream s = streams.get(stream);
        if (s == null) {
            return;
        }
        boolean waited = s.creditBytes <= 0;
        s.creditBytes = Math.addExact(s.creditBytes, bytes);
        if (waited && s.creditBytes > 0) {
            s.clock = Math.max(s.clock, clocks[s.trafficClass.ordinal()]);
        }
    }

    public long creditBytes(int stream) {
        Stream s = streams.get(stream);
        return s == null ? 0 : s.creditBytes;
    }

    /// Whether any stream could send, if its class may.
    public boolean canSend() {
        return streams.values().stream().anyMatch(Stream::canSend);
    }

    /// So many packets may be in parts already when a stream of the class begins another. The
    /// packets of a class whose rate holds it back stay so for as long as that takes: they leave
    /// room for live writes, and these for control, or the peer would take the link for dead.
    private static int openMax(TrafficClass trafficClass) {
        return switch (trafficClass) {
            case CONTROL -> PacketCodec.MAX_OPEN;
            case LIVE -> PacketCodec.MAX_OPEN - 1;
            case CATCH_UP, FIRST_SYNC, VERIFY -> PacketCodec.MAX_OPEN / 2;
        };
    }

    /// The stream whose turn it is, empty when none can send.
    ///
    /// @param held classes that may not send now, whatever their streams have
    public OptionalInt next(Set<TrafficClass> held) {
        var best = new Stream[CLASSES.length];
        for (Stream s : streams.values()) {
            int c = s.trafficClass.ordinal();
            // Ascending ids, so that of two equal clocks the lower id wins.
            if (s.canSend()
                    && (s.open || openCount < openMax(s.trafficClass))
                    && !held.contains(s.trafficClass)
                    && (best[c] == null || s.clock < best[c].clock)) {
                best[c] = s;
            }
        }
        Stream urgent = null;
        Stream owed = null;
        for (int c = 0; c < best.length; c++) {
            if (best[c] == null) {
                owedBytes[c] = 0;
            } else if (urgent == null) {
                urgent = best[c];
            } else if (owed == null && owedBytes[c] >= QUANTUM_BYTES) {
                owed = best[c];
            }
        }
        if (urgent == null) {
            return OptionalInt.empty();
        }
        boolean yields = owed != null && urgent.trafficClass != TrafficClass.CONTROL;
        return OptionalInt.of(yields ? owed.id : urgent.id);
    }

    /// The stream has made a packet of this much, raw, which uses up its credit.
    public void took(int stream, long rawBytes) {
        Stream s = streams.get(stream);
        if (s != null && s.credited) {
            s.creditBytes -= rawBytes;
        }
    }

    /// The stream has sent this much, which uses up its turn.
    public void sent(int stream, long bytes) {
        Stream s = streams.get(stream);
        if (s == null) {
            return;
        }
        int sender = s.trafficClass.ordinal();
        clocks[sender] = Math.max(clocks[sender], s.clock);
        s.clock += bytes / s.weight;
        owedBytes[sender] = Math.max(0, owedBytes[sender] - bytes);
        if (s.trafficClass == TrafficClass.CONTROL) {
            return;
        }
        for (int c = sender + 1; c < CLASSES.length; c++) {
            owedBytes[c] += bytes / SHARE;
        }
    }
}
