package holdfast.replicator.device;

/// A process that leads a group of its own, and its children in it.
public final class ProcessGroup {
    private ProcessGroup() {}

    /// SIGKILL to all of the group. Nothing happens where the process leads none.
    public static void kill(long leader) {
        int ignored = Native.kill((int) -leader, Native.SIGKILL);
    }
}
