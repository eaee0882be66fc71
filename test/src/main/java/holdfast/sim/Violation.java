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
}
