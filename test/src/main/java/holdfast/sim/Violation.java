package holdfast.sim;

/// A promise was broken: `promise` is its name on the correctness page, such as `PFX`.
final class Violation extends RuntimeException {
    private static final long serialVersionUID = 1;
    private final String promise;

    Violation(String promise, String what) {
        super(promise + ": " + what);
        this.promise = promise;
    }

    Violation(String promise, Throwable cause) {
        super(promise + ": " + cause, cause);
        this.promise = promise;
    }

    String promise() {
        return promise;
    }

    /// The promise; for a crash also where it came from, since crashes differ among themselves.
    String id() {
        if (!(getCause() instanceof RuntimeException cause)) {
            return promise;
        }
        StackTraceElement[] at = cause.getStackTrace();
        return promise
                + " "
                + cause.getClass().getSimpleName()
                + (at.length == 0 ? "" : " in " + at[0].getMethodName());
    }
}
