package holdfast.recovery;

import holdfast.replicator.control.ExitCode;
import holdfast.replicator.control.Problem;
import holdfast.replicator.control.ProblemException;

/// The question before something is destroyed. A person types `host/resource`; a script hands in
/// `host/resource@GENERATION` as the dry run printed it, so that what it confirms is what it has
/// seen. There is no blanket yes.
///
/// @param expected `host/resource@GENERATION`
record Confirmation(Terminal terminal, String expected) {
    /// @param what a sentence that begins with the host
    /// @param command that a script would use
    /// @return what the daemon wants to see
    /// @throws ProblemException with exit code 6 when it is not confirmed; nothing has changed then
    String ask(String what, String command) throws ProblemException {
        String host = expected.substring(0, Math.max(0, expected.indexOf('/')));
        if (terminal.interactive()) {
            String typed = expected.substring(0, Math.max(0, expected.indexOf('@')));
            if (terminal.ask("%s.%nType %s to go on: ".formatted(what, typed)).equals(typed)) {
                return expected;
            }
            throw new ProblemException(
                    Problem.of(
                            ExitCode.CONFIRMATION_NEEDED, host, "not confirmed, nothing changed"));
        }
        throw new ProblemException(
                Problem.of(
                                ExitCode.CONFIRMATION_NEEDED,
                                host,
                                what.replaceFirst("^[^:]*: ", "")
                                        + "; it wants a confirmation, nothing changed")
                        .withNext(command));
    }
}
