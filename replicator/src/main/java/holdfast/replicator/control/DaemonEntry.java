package holdfast.replicator.control;

/// What `holdfast daemon` runs, found by `ServiceLoader`, so that the command line needs to know
/// the control interface only.
public interface DaemonEntry {
    /// Runs the node until it is told to stop by [ControlApi#shutdown] or by a signal.
    ///
    /// @return an exit code
    /// @throws ProblemException when the node cannot start; nothing has been changed then
    int run(NodePaths paths) throws ProblemException, InterruptedException;
}
