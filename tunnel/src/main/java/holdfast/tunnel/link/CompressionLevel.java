package holdfast.tunnel.link;

import holdfast.throttle.NanoClock;

import java.time.Duration;

/// zstd's level for the streams of a session: higher while the link is what is waited for, lower
/// while compressing is. One thread uses it, the pump.
///
/// Each step up takes some three times as long and saves some 6 to 8 % of the bytes. So it is taken
/// where three times the effort would still be less than a third of the waiting, and taken back
/// when compressing fills more than half of the time: between the two lies enough that it does not
/// flap. A line that neither fills stays where it is. A change costs the context of each stream,
/// which is why levels between these are left out.
final class CompressionLevel {
    private static final int[] LEVELS = {1, 3, 6};

    /// Long enough for many packets, short against the hours of a resync.
    private static final long WINDOW_NANOS = Duration.ofSeconds(5).toNanos();

    private final NanoClock clock;
    private int index;
    private long windowStart;
    private long compressedNanos;
    private long waitedNanos;

    CompressionLevel(NanoClock clock) {
        this.clock = clock;
        this.windowStart = clock.nanoTime();
    }

    int get() {
        return LEVELS[index];
    }

    /// A packet was compressed in this time.
    void compressed(long nanos) {
        compressedNanos += nanos;
        judge();
    }

    /// There was something to send for so long, and the link or its rate did not take it.
    void waited(long nanos) {
        waitedNanos += nanos;
        judge();
    }

    private void judge() {
        long now = clock.nanoTime();
        long window = now - windowStart;
        if (window < WINDOW_NANOS) {
            return;
        }
        if (compressedNanos > window / 2) {
            index = Math.max(0, index - 1);
        } else if (waitedNanos > window / 2
                && compressedNanos > 0
                && compressedNanos < waitedNanos / 10) {
            index = Math.min(LEVELS.length - 1, index + 1);
        }
        windowStart = now;
        compressedNanos = 0;
        waitedNanos = 0;
    }
}
