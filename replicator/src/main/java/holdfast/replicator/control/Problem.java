package holdfast.replicator.control;

import java.util.List;
import java.util.Optional;

/// Why something was not done, in the form that every refusal has: who speaks, the cause, what it
/// was seen by, and what to type next.
///
/// @param exitCode number of an [ExitCode]
/// @param host node that refuses
/// @param role its role for the resource in question, absent when none is
/// @param cause a sentence without its full stop
/// @param evidence what was measured or read, one fact in each
/// @param next a command to type
public record Problem(
        int exitCode,
        String host,
        Optional<String> role,
        String cause,
        List<String> evidence,
        Optional<String> next) {

    public static Problem of(ExitCode code, String host, String cause) {
        return new Problem(
                code.number(), host, Optional.empty(), cause, List.of(), Optional.empty());
    }

    public Problem withRole(String role) {
        return new Problem(exitCode, host, Optional.of(role), cause, evidence, next);
    }

    public Problem withEvidence(String... facts) {
        return new Problem(exitCode, host, role, cause, List.of(facts), next);
    }

    public Problem withNext(String command) {
        return new Problem(exitCode, host, role, cause, evidence, Optional.of(command));
    }

    /// In a few words, for what says itself what was not done: the first that it was seen by.
    public String why() {
        return evidence.isEmpty() ? cause : evidence.getFirst();
    }

    /// Like
    ///
    /// ```
    /// server (Primary): home is in use, nothing changed
    ///   seen: 1 client is connected to the export
    ///   next: umount /home && holdfast detach home
    /// ```
    public String text() {
        var out = new StringBuilder(host);
        role.ifPresent(
                r ->
                        out.append(" (")
                                .append(holdfast.replicator.status.Words.state(r))
                                .append(')'));
        out.append(": ").append(cause).append('\n');
        evidence.forEach(fact -> out.append("  seen: ").append(fact).append('\n'));
        next.ifPresent(command -> out.append("  next: ").append(command).append('\n'));
        return out.toString();
    }
}
