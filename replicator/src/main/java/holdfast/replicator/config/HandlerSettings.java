package holdfast.replicator.config;

import java.time.Duration;
import java.util.Map;

/// Commands that are run when something happens, `[handlers]` of `node.toml`. They stand there and
/// not with a resource, whose settings come from the peer: that must not name what is run here.
///
/// @param commands by the name of what happens: an absolute path and arguments, separated by blanks
/// @param timeout how long each may run
public record HandlerSettings(Map<String, String> commands, Duration timeout) {}
