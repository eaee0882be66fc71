package holdfast.replicator.status;

import holdfast.throttle.NanoClock;

import java.util.ArrayDeque;
import java.util.Optional;

/// The rate of a long transfer over a sliding window, and the time that is left at that rate.
///
/// One thread reports, any thread asks. The window forgets what was long ago: a link that came back
/// after an hour is not called slow for the next hour.
public final class ProgressMeter {
    /// Long enough to even out the groups in which a backup acknowledges.
    private static final long WINDOW_NANOS = 30_000_000_000L;

    /// A sample each half second: 60 of them.
    private static final long STEP_NANOS = WINDOW_NANOS / 60;

    /// Before it a rate would be a guess from a burst.
    private static final long SETTLED_NANOS = 1_000_000_000L;

    private record Sample(long nanos, long done) {}

    private final NanoClock clock;
    private final String kind;
    private final ArrayDeque<Sample> samples = new ArrayDeque<>();
    private long done;
    private long total;

    public ProgressMeter(NanoClock clock, String kind, long doneBytes, long totalBytes) {
        this.clock = clock;
        this.kind = kind;
        report(doneBytes, totalBytes);
    }

    /// The transfer has come to `doneBytes` of `totalBytes`. The total may change (an extended
    /// epoch), and what is done may shrink when a pass begins again: the window then begins again
    /// too.
    public synchronized void report(long doneBytes, long totalBytes) {
        long now = clock.nanoTime();
        if (doneBytes < done) {
            samples.clear();
        }
        done = doneBytes;
        total = totalBytes;
        if (samples.isEmpty() || now - samples.getLast().nanos() >= STEP_NANOS) {
            samples.addLast(new Sample(now, doneBytes));
        }
        forget(now);
    }

    public synchronized StatusReport.Progress progress() {
        long now = clock.nanoTime();
        forget(now);
        Sample oldest = samples.getFirst();
        long nanos = now - oldest.nanos();
        double rate = nanos < SETTLED_NANOS ? 0 : (done - oldest.done()) * 1e9 / nanos;
        Optional<Double> left = Optional.empty();
        if (done >= total) {
            left = Optional.of(0.0);
        } else if (rate > 0) {
            left = Optional.of(Math.ceil((total - done) / rate));
        }
        return new StatusReport.Progress(kind, done, total, Math.round(rate), left);
    }

    /// Keeps one sample at or before the window's begin, so that the rate always spans the whole
    /// window.
    private void forget(long now) {
        while (samples.size() > 1) {
            Sample first = samples.removeFirst();
            if (now - samples.getFirst().nanos() < WINDOW_NANOS) {
                samples.addFirst(first);
                return;
            }
        }
    }
}
