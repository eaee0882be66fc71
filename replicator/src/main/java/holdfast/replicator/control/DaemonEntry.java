package holdfast.replicator.control;

/// What the command line runs of the node itself instead of asking a daemon, found by
/// `ServiceLoader`, so that it needs to know the control interface only.
public interface DaemonEntry {
    /// Runs the node until it is told to stop by [ControlApi#shutdown] or by a signal.
    ///
    /// @return an exit code
    /// @throws ProblemException when the node cannot start; nothing has been changed then
    int run(NodePaths paths) throws ProblemException, InterruptedException;

    /// Reads the files of a resource in the state directory, and changes nothing. A daemon may have
    /// them or not.
    ///
    /// @param rangesLimit of each list of ranges
    /// @throws ProblemException when there is no such resource or it may not be read; what is
    ///   damaged is told in the reply
    MetadataDump dump(NodePaths paths, String resource, int rangesLimit) throws ProblemException;

    /// Writes a moment of a copy to a new file, from its files alone.
    ///
    /// @throws ProblemException when they do not make that moment; nothing is left of the file
    Extract.Reply extract(Extract.Request request, Extract.Progress progress)
            throws ProblemException;
}
