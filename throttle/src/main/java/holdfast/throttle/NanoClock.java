package holdfast.throttle;

/// Monotonic time for timeouts and rates, handed in so that tests and the simulator move it by
/// hand.
@FunctionalInterface
public interface NanoClock {
    /// Nanoseconds since some fixed moment; never decreases, may be negative.
    long nanoTime();

    /// The clock of this JVM.
    static NanoClock system() {
        return System::nanoTime;
    }
}
