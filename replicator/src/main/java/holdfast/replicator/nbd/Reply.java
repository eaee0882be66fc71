package holdfast.replicator.nbd;

/// Answers one request that changes or flushes data.
public interface Reply {
    /// Answers it. Any thread may call this, exactly once, also after the client has gone; it does
    /// not wait for the client.
    ///
    /// @param errno [Errno#OK], or why it failed, see [Errno]
    /// @throws IllegalStateException if it was answered before
    void done(int errno);
}
