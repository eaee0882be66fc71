package holdfast.throttle;

/// How a listener goes on that cannot take a client, for want of descriptors as a rule: it tries
/// again, less and less often, and tells once that this is so and once that it is over. It is over
/// when a client was taken and none has been turned away for [#QUIET_NANOS]: at the edge of a limit
/// one is taken and the next is not, ten times a second. That is seen by [#look], since the client
/// that waited may be the last that comes for days.
///
/// Any thread.
public final class AcceptRetry {
    private static final long FIRST_NANOS = 100_000_000;

    /// A client that waits in the queue of the kernel waits no longer than that for its turn.
    private static final long MOST_NANOS = 1_000_000_000;

    private static final long QUIET_NANOS = 10_000_000_000L;

    /// Who is told; on the listener's thread or that of [#look], so it must not wait.
    public interface Told {
        /// Nobody is told.
        Told NOBODY =
                new Told() {
                    @Override
                    public void fails(String why, AcceptRetry retry) {}

                    @Override
                    public void worksAgain(long tries) {}
                };

        /// @param why no client can be taken
        /// @param retry whose [#look] is to be called now and then from now on
        void fails(String why, AcceptRetry retry);

        /// @param tries that failed until then
        void worksAgain(long tries);
    }

    private final Told told;
    private final NanoClock clock;

    // Guarded by this object.
    private boolean fails;
    private boolean took;
    private long tries;
    private long failedNanos;
    private long pauseNanos;

    public AcceptRetry(Told told) {
        this(told, NanoClock.system());
    }

    AcceptRetry(Told told, NanoClock clock) {
        this.told = told;
        this.clock = clock;
    }

    /// A client could not be taken.
    ///
    /// @return how long to wait before the next try
    public synchronized long failed(Throwable why) {
        boolean again = fails && !isQuiet();
        failedNanos = clock.nanoTime();
        took = false;
        if (!again) {
            fails = true;
            tries = 0;
            told.fails(String.valueOf(why.getMessage()), this);
        }
        tries++;
        pauseNanos = Math.clamp(2 * pauseNanos, FIRST_NANOS, MOST_NANOS);
        return pauseNanos;
    }

    /// A client was taken.
    public synchronized void took() {
        pauseNanos = 0;
        took = true;
        look();
    }

    /// Tells that it is over once it is.
    public synchronized void look() {
        if (fails && took && isQuiet()) {
            fails = false;
            told.worksAgain(tries);
        }
    }

    private boolean isQuiet() {
        return clock.nanoTime() - failedNanos >= QUIET_NANOS;
    }
}
