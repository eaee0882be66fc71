package holdfast.replicator.device;

/// Keeps the daemon's memory from being paged out: a page that must come back from a disk behind
/// our own export may wait for us.
///
/// Called by the daemon at its start, where its owner asks for it: locks do not survive the exec of
/// [Launcher]. Pages are locked when they are first touched, so nothing that is merely reserved
/// becomes resident. docs/decisions has what it costs.
public final class LockedMemory {
    /// Locks what is mapped now and whatever is mapped later.
    ///
    /// @throws DeviceException EPERM or ENOMEM without CAP_IPC_LOCK or a high RLIMIT_MEMLOCK; the
    ///   daemon warns and goes on
    public static void lockAll() throws DeviceException {
        int result = Native.mlockall(Native.MCL_CURRENT | Native.MCL_FUTURE | Native.MCL_ONFAULT);
        if (result < 0) {
            throw new DeviceException(-result, "the daemon's memory cannot be locked");
        }
    }

    private LockedMemory() {}
}
