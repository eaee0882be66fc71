package holdfast.tunnel.link;

import java.util.EnumMap;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLongArray;

/// How often each thing happened at an endpoint since it started. Any thread.
public final class Counters {
    public enum Event {
        ACCEPTED,
        DIALLED,
        DIAL_FAILED,
        /// Refused at once: too many strangers at the door, in all or from one address.
        FLOOD_REFUSED,
        /// TLS failed, or no protocol of ours was asked for.
        HANDSHAKE_FAILED,
        AUTHENTICATION_LATE,
        /// A key that no peer has.
        KEY_REFUSED,
        /// A live session ended because its key was taken away.
        KEY_REMOVED,
        /// A second connection of one peer was given up, by the tie-break or for a newer one.
        DUPLICATE,
        CONNECTED,
        DISCONNECTED,
        PEER_DEAD,
        PROTOCOL_ERROR,
        HANDLER_FAILED,
        JOIN_ACCEPTED,
        JOIN_REFUSED
    }

    private final AtomicLongArray counts = new AtomicLongArray(Event.values().length);

    void count(Event event) {
        counts.incrementAndGet(event.ordinal());
    }

    public long get(Event event) {
        return counts.get(event.ordinal());
    }

    public Map<Event, Long> all() {
        var all = new EnumMap<Event, Long>(Event.class);
        for (Event event : Event.values()) {
            all.put(event, get(event));
        }
        return all;
    }
}
