package holdfast.replicator.state;

/// Memory for what the peer does not have yet: one budget for the daemon, with a guaranteed minimum
/// for each resource (R9). The daemon's is shared between the threads of all resources.
public interface Budget {
    /// Takes `bytes`, or nothing and says no. `used` is what the asking resource holds already.
    boolean take(long bytes, long used);

    void give(long bytes);

    /// A budget of one resource alone.
    static Budget of(long limitBytes) {
        return new Budget() {
            @Override
            public boolean take(long bytes, long used) {
                return used + bytes <= limitBytes;
            }

            @Override
            public void give(long bytes) {}
        };
    }
}
