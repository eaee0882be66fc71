package holdfast.recovery;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ProblemException;

import java.util.Optional;

/// An order that one of two histories is given up, by its two names: what is lost is printed first,
/// and has to be confirmed at the host that loses it.
///
/// @param name of the resource
record GivingUp(Holdfast holdfast, String name) {
    /// What both sides have done, and what can be typed.
    ControlApi.ReconnectReply look() throws ProblemException {
        return ask(Optional.empty(), Optional.empty());
    }

    /// @param host that gives up its own
    /// @param confirmed as a look printed it; else it is asked for
    /// @param command that a script would use
    int of(String host, Optional<String> confirmed, String command) throws ProblemException {
        Optional<String> confirm = confirmed;
        if (confirm.isEmpty()) {
            ControlApi.ReconnectReply seen = look();
            if (host.equals(seen.host())) {
                holdfast.terminal().complain(text(seen));
                confirm = Optional.of(typed(seen, command));
            }
        }
        return answer(ask(Optional.of(host), confirm));
    }

    private String typed(ControlApi.ReconnectReply seen, String command) throws ProblemException {
        return new Confirmation(holdfast.terminal(), seen.confirm())
                .ask(
                        "%s: give up what %s has of %s by itself"
                                .formatted(seen.host(), seen.host(), name),
                        holdfast.paths().command(command + " --confirm " + seen.confirm()));
    }

    private ControlApi.ReconnectReply ask(Optional<String> discard, Optional<String> confirm)
            throws ProblemException {
        return holdfast.api().reconnect(new ControlApi.ReconnectRequest(name, discard, confirm));
    }

    int answer(ControlApi.ReconnectReply reply) {
        return holdfast.answer(reply, text(reply));
    }

    private static String text(ControlApi.ReconnectReply reply) {
        var out = new StringBuilder("%s at %s:%n".formatted(reply.name(), reply.host()));
        reply.facts().forEach(each -> out.append("  ").append(each).append('\n'));
        reply.choices().forEach(each -> out.append("  ").append(each).append('\n'));
        return out.toString();
    }
}
