package holdfast.replicator.control;

import java.time.Clock;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/// The last events of a daemon, numbered densely, for whoever asks or follows. It only remembers;
/// the log file has all of them. Threads may be virtual: waiting holds no monitor.
public final class EventLog {
    /// A few hours of a bad link. 4096 events of some 300 bytes are 1.2 MiB.
    private static final int MAX_EVENTS = 4096;

    private static final long IDLE_SECONDS = 5;

    private final String host;
    private final Clock clock;

    /// Guards all below; held only for moments.
    private final ReentrantLock lock = new ReentrantLock();

    private final Condition appended = lock.newCondition();
    private final ArrayDeque<ControlApi.Event> events = new ArrayDeque<>();
    private long last;

    public EventLog(String host, Clock clock) {
        this.host = host;
        this.clock = clock;
    }

    /// @param kind a word like `link-up`, stable for scripts
    public ControlApi.Event append(Optional<String> resource, String kind, String text) {
        return append(resource, kind, text, Optional.empty());
    }

    /// @param change absent unless a state has changed
    public ControlApi.Event append(
            Optional<String> resource,
            String kind,
            String text,
            Optional<ControlApi.StateChange> change) {
        lock.lock();
        try {
            var event =
                    new ControlApi.Event(
                            ++last, clock.instant(), host, resource, kind, text, change);
            if (events.size() == MAX_EVENTS) {
                events.removeFirst();
            }
            events.addLast(event);
            appended.signalAll();
            return event;
        } finally {
            lock.unlock();
        }
    }

    /// As [ControlApi#events]. A follower that is slower than [#MAX_EVENTS] loses the oldest and
    /// sees it by the numbers.
    public void stream(ControlApi.EventsRequest request, ControlApi.EventSink sink)
            throws InterruptedException {
        long seen = request.since();
        while (true) {
            List<ControlApi.Event> next = await(seen, request.follow());
            for (ControlApi.Event event : next) {
                sink.event(event);
                seen = event.number();
            }
            if (!request.follow()) {
                return;
            }
            if (next.isEmpty()) {
                sink.idle();
            }
        }
    }

    private List<ControlApi.Event> await(long seen, boolean mayWait) throws InterruptedException {
        lock.lockInterruptibly();
        try {
            long left = mayWait ? TimeUnit.SECONDS.toNanos(IDLE_SECONDS) : 0;
            while (last <= seen && left > 0) {
                left = appended.awaitNanos(left);
            }
            var next = new ArrayList<ControlApi.Event>();
            for (ControlApi.Event event : events) {
                if (event.number() > seen) {
                    next.add(event);
                }
            }
            return next;
        } finally {
            lock.unlock();
        }
    }
}
