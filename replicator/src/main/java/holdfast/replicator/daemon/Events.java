package holdfast.replicator.daemon;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.EventLog;
import holdfast.replicator.status.Words;
import holdfast.throttle.AcceptRetry;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.WeakHashMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import java.util.function.BiConsumer;
import java.util.function.Consumer;

/// Tells an operator what happened: in the event log, which `events` shows, in the log file, and to
/// the handlers.
final class Events {
    private static final Logger LOG = LoggerFactory.getLogger("holdfast");

    private final EventLog log;

    /// Lines for the log file of what happens where no file may be touched.
    private final Mailbox lines;

    private final Map<String, StateChanges> states = new ConcurrentHashMap<>();

    /// Listeners that told that they take no clients, as long as there are any.
    private final Set<AcceptRetry> retries =
            Collections.synchronizedSet(Collections.newSetFromMap(new WeakHashMap<>()));

    private volatile Consumer<ControlApi.Event> listener = _ -> {};

    Events(EventLog log, Executor pool) {
        this.log = log;
        this.lines = new Mailbox(pool, () -> {}, bug -> LOG.error("a line was not logged", bug));
    }

    EventLog log() {
        return log;
    }

    /// @param next told each event, on any thread and under any lock: it must not wait
    void listener(Consumer<ControlApi.Event> next) {
        listener = next;
    }

    /// Of the resource of that name, from its first opening on until it is removed.
    StateChanges states(String resource) {
        return states.computeIfAbsent(resource, name -> new StateChanges(this, name));
    }

    /// It is removed: one that is added under that name has nothing to do with it.
    void forget(String resource) {
        states.remove(resource);
    }

    void node(String kind, String text) {
        LOG.info("{}: {}", kind, text);
        listener.accept(log.append(Optional.empty(), kind, text));
    }

    /// Tells when a listener can take no clients, for want of descriptors as a rule, and when that
    /// is over.
    AcceptRetry.Told acceptTold(String where) {
        return new AcceptRetry.Told() {
            @Override
            public void fails(String why, AcceptRetry retry) {
                retries.add(retry);
                node(
                        "accept-failed",
                        "%s takes no new clients, and tries again: %s; those that are connected go on"
                                .formatted(where, why));
            }

            @Override
            public void worksAgain(long tries) {
                node(
                        "accept-works",
                        "%s takes clients again, after %d tries that failed"
                                .formatted(where, tries));
            }
        };
    }

    /// Nobody may connect for hours once clients are taken again.
    void everySecond() {
        List.copyOf(retries).forEach(AcceptRetry::look);
    }

    /// Takes kind and text of what happens to one resource.
    BiConsumer<String, String> of(String resource) {
        return (kind, text) -> {
            LOG.info("{}: {}: {}", resource, kind, text);
            listener.accept(log.append(Optional.of(resource), kind, text));
        };
    }

    /// As [#of], for callers that may not touch a file: the line in the log file comes soon.
    void soon(String resource, String kind, String text) {
        lines.post(() -> LOG.info("{}: {}: {}", resource, kind, text));
        listener.accept(log.append(Optional.of(resource), kind, text));
    }

    /// A state of a resource has changed; like [#soon].
    void changed(String resource, String what, String from, String to) {
        String kind = what + "-changed";
        String text = "%s: %s, was %s".formatted(what, Words.state(to), Words.state(from));
        lines.post(() -> LOG.info("{}: {}: {}", resource, kind, text));
        listener.accept(
                log.append(
                        Optional.of(resource),
                        kind,
                        text,
                        Optional.of(new ControlApi.StateChange(what, from, to))));
    }
}
