package holdfast.replicator.control;

/// A request that was not carried out, with the [Problem] that says why.
public final class ProblemException extends Exception {
    private static final long serialVersionUID = 1L;

    private final transient Problem problem;

    public ProblemException(Problem problem) {
        super(problem.text());
        this.problem = problem;
    }

    public Problem problem() {
        return problem;
    }
}
