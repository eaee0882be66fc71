package holdfast.replicator.control;

/// How a command ends, for scripts. The numbers are part of the interface and never change their
/// meaning.
public enum ExitCode {
    DONE(0, 200),
    FAILED(1, 500),
    /// Wrong arguments or settings.
    USAGE(2, 400),
    /// Refused; nothing changed.
    REFUSED(3, 409),
    DAEMON_AWAY(4, 503),
    PEER_AWAY(5, 502),
    /// It destroys something and wants `--confirm`.
    CONFIRMATION_NEEDED(6, 428),
    /// The wait timed out, the work goes on.
    TIMED_OUT(7, 504),
    /// Differences found, or a drill failed.
    DIFFERENT(8, 422);

    private final int number;
    private final int httpStatus;

    ExitCode(int number, int httpStatus) {
        this.number = number;
        this.httpStatus = httpStatus;
    }

    public int number() {
        return number;
    }

    int httpStatus() {
        return httpStatus;
    }

    /// The code of that number; [#FAILED] for a number from a newer daemon.
    public static ExitCode of(int number) {
        for (ExitCode code : values()) {
            if (code.number == number) {
                return code;
            }
        }
        return FAILED;
    }
}
