package holdfast;

/// The mounts and loop devices of this host, of which two tests say that nothing is left: for
/// `@ResourceLock`. Who mounts takes it with `READ`, who looks at all of them takes it alone.
public final class HostMounts {
    public static final String LOCK = "the mounts and loop devices of this host";

    private HostMounts() {}
}
