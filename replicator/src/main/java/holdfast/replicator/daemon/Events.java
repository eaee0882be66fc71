package holdfast.replicator.daemon;

import holdfast.replicator.control.EventLog;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.util.Optional;
import java.util.function.BiConsumer;

/// Tells an operator what happened: in the event log, which `events` shows, and in the log file.
final class Events {
    private static final Logger LOG = LoggerFactory.getLogger("holdfast");

    private final EventLog log;

    Events(EventLog log) {
        this.log = log;
    }

    EventLog log() {
        return log;
    }

    void node(String kind, String text) {
        LOG.info("{}: {}", kind, text);
        log.append(Optional.empty(), kind, text);
    }

    /// Takes kind and text of what happens to one resource.
    BiConsumer<String, String> of(String resource) {
        return (kind, text) -> {
            LOG.info("{}: {}: {}", resource, kind, text);
            log.append(Optional.of(resource), kind, text);
        };
    }
}
