package holdfast.system;

/// One run of [PromoteFaultsTest].
interface FaultRun extends AutoCloseable {
    /// @return false when the call did not come; all the rest was looked at
    boolean play() throws Exception;

    /// For a failure.
    String account();

    @Override
    void close() throws InterruptedException;
}
