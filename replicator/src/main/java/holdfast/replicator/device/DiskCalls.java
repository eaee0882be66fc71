package holdfast.replicator.device;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLongArray;

/// Which calls of the kernel for a file have not come back, and when each began: a disk that hangs
/// is seen nowhere else, since whoever called it says nothing more. All files of the daemon are in
/// it that are opened by [RawFile], whatever they are for.
///
/// Any thread. A call costs two writes to memory and a look at the clock: some 50 ns, where the
/// shortest write to a file takes 2 µs.
public final class DiskCalls {
    /// Calls of one file that are told apart; of more, the others tell whether it answers.
    private static final int SLOTS = 32;

    private static final Set<DiskCalls> ALL = ConcurrentHashMap.newKeySet();

    /// A file that has not answered.
    ///
    /// @param sinceNanos when the oldest of its calls began, on the clock of [System#nanoTime]
    public record Owed(String path, long sinceNanos) {}

    private volatile String path;

    /// When each began; 0 for none.
    private final AtomicLongArray begun = new AtomicLongArray(SLOTS);

    private DiskCalls(String path) {
        this.path = path;
    }

    /// Of a file that is opened, or of its name. [#gone] has to follow.
    static DiskCalls of(String path) {
        DiskCalls calls = new DiskCalls(path);
        ALL.add(calls);
        return calls;
    }

    void renamed(String to) {
        path = to;
    }

    /// There will be no more of them.
    void gone() {
        ALL.remove(this);
    }

    /// The kernel is called.
    ///
    /// @return what to tell [#ended]
    int began() {
        long now = System.nanoTime() | 1; // An odd number is not 0.
        int first = (int) Thread.currentThread().threadId();
        for (int i = 0; i < SLOTS; i++) {
            int slot = (first + i) & (SLOTS - 1);
            if (begun.get(slot) == 0 && begun.compareAndSet(slot, 0, now)) {
                return slot;
            }
        }
        return -1;
    }

    void ended(int call) {
        if (call >= 0) {
            begun.setRelease(call, 0);
        }
    }

    /// The files that owe an answer since before then.
    public static List<Owed> owedSince(long beforeNanos) {
        List<Owed> owed = new ArrayList<>();
        for (DiskCalls each : ALL) {
            long longest = 0;
            long oldest = 0;
            for (int i = 0; i < SLOTS; i++) {
                long at = each.begun.getAcquire(i);
                // By differences: this clock may pass from the largest number to the smallest.
                if (at != 0 && beforeNanos - at > longest) {
                    longest = beforeNanos - at;
                    oldest = at;
                }
            }
            if (longest > 0) {
                owed.add(new Owed(each.path, oldest));
            }
        }
        return owed;
    }
}
