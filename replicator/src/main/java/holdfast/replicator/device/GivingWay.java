package holdfast.replicator.device;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ThreadFactory;

/// Threads that leave the processor to the application and to those that answer it.
///
/// The link's threads compress and encrypt what the application has written. As equals they take
/// from a busy host the time that the application's own writes need; so they run when nobody else
/// wants to (`SCHED_IDLE`), and when there is too little for both, the send buffer fills and closes
/// instead (promise 6). On a host that stays busy the copy would so grow old without end: after a
/// few such seconds [#everySecond] gives them a share, and after some more makes them as others,
/// until the host has time again.
///
/// A thread inherits its policy and nice value from the one that starts it, and going back needs a
/// privilege (`CAP_SYS_NICE`). Without it nobody gives way: a pool whose threads were started by
/// the link would never come back.
public final class GivingWay {
    /// sched(7)
    private static final int SCHED_OTHER = 0;

    private static final int SCHED_IDLE = 5;

    /// What the process was started with, for the others to keep: field 19 of proc(5), the 17th
    /// behind the name in brackets.
    private static final int USUAL = niceOf(LinuxText.read(Path.of("/proc/self/stat")));

    /// 10 more, 19 at most: a tenth of the processor beside a busy thread of the usual value,
    /// sched(7).
    private static final int NICE = Math.min(19, USUAL + 10);

    /// Who stood in line for so much of a second has starved for that second.
    private static final long STARVED_NANOS = 500_000_000;

    /// The kernel counts the wait when it ends: who is still in line at the end of a second, and
    /// ran for less than this, has starved too.
    private static final long RAN_NANOS = 100_000_000;

    /// How long a burst of the application has the processor alone.
    private static final int PATIENCE_SECONDS = 5;

    /// Beside many busy neighbours a tenth of what each of them gets is next to nothing: after so
    /// long it is as they are.
    private static final int LONGEST_SECONDS = 15;

    private static final boolean POSSIBLE = canComeBack();

    /// Those that give way, by their numbers.
    private static final Map<Integer, Line> LINES = new ConcurrentHashMap<>();

    /// As we saw it last.
    ///
    /// @param starvedSeconds of the last ones; each second with time takes one away
    private record Line(Standing standing, int starvedSeconds) {}

    /// @param ranNanos how long it has run in all
    /// @param waitedNanos how long it had stood in line before that
    /// @param isReady it runs or stands in line
    private record Standing(long ranNanos, long waitedNanos, boolean isReady) {}

    private static int niceOf(String stat) {
        return Integer.parseInt(stat.substring(stat.lastIndexOf(')') + 2).split(" ")[16]);
    }

    private static boolean canComeBack() {
        var trial = new Trial(NICE, USUAL);
        Thread thread = Thread.ofPlatform().name("nice").start(trial);
        try {
            thread.join();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        return trial.works;
    }

    /// A class of its own: a thread that uses the outer one would wait for its initialisation,
    /// which waits for the thread.
    private static final class Trial implements Runnable {
        private final int nice;
        private final int usual;
        private volatile boolean works;

        Trial(int nice, int usual) {
            this.nice = nice;
            this.usual = usual;
        }

        @Override
        public void run() {
            works =
                    Native.nice(0, nice) == 0
                            && Native.schedule(0, SCHED_IDLE) == 0
                            && Native.schedule(0, SCHED_OTHER) == 0
                            && Native.nice(0, usual) == 0;
        }
    }

    /// The calling thread gives way from now on, where it may.
    public static void fromNowOn() {
        if (POSSIBLE) {
            int nice = Native.nice(0, NICE);
            int idle = Native.schedule(0, SCHED_IDLE);
            if (nice == 0 && idle == 0) {
                int thread = Native.threadId();
                LINES.put(thread, new Line(standing(thread), 0));
            }
        }
    }

    /// Lets those that give way have a share when they have found no time for a while, and at once
    /// when an application waits for what they carry.
    ///
    /// @param awaited some application's writes are answered by the peer (protocol C)
    public static void everySecond(boolean awaited) {
        LINES.keySet().removeIf(thread -> !Files.exists(task(thread)));
        LINES.replaceAll(
                (thread, before) -> {
                    Standing now = standing(thread);
                    int more = hasStarved(before.standing, now) ? 1 : -1;
                    int seconds = Math.clamp(before.starvedSeconds + more, 0, LONGEST_SECONDS);
                    boolean share = awaited || seconds >= PATIENCE_SECONDS;
                    // It may have ended, which is as good.
                    int ignored =
                            Native.schedule(thread, share ? SCHED_OTHER : SCHED_IDLE)
                                    + Native.nice(
                                            thread, seconds == LONGEST_SECONDS ? USUAL : NICE);
                    return new Line(now, seconds);
                });
    }

    private static boolean hasStarved(Standing before, Standing now) {
        return now.waitedNanos - before.waitedNanos >= STARVED_NANOS
                || now.isReady && now.ranNanos - before.ranNanos < RAN_NANOS;
    }

    private static Path task(int thread) {
        return Path.of("/proc/self/task/" + thread);
    }

    /// From proc(5) and `schedstat`, see Linux's Documentation/scheduler/sched-stats.rst.
    private static Standing standing(int thread) {
        String[] numbers = LinuxText.read(task(thread).resolve("schedstat")).split(" ");
        if (numbers.length < 2) {
            return new Standing(0, 0, false); // It has ended, or the kernel does not count.
        }
        String stat = LinuxText.read(task(thread).resolve("stat"));
        return new Standing(
                Long.parseLong(numbers[0]),
                Long.parseLong(numbers[1]),
                stat.startsWith("R", stat.lastIndexOf(')') + 2));
    }

    /// Makes threads that do not give way, whoever starts them.
    public static ThreadFactory never(ThreadFactory threads) {
        return task ->
                threads.newThread(
                        () -> {
                            if (POSSIBLE) {
                                int ignored =
                                        Native.schedule(0, SCHED_OTHER) + Native.nice(0, USUAL);
                            }
                            task.run();
                        });
    }

    private GivingWay() {}
}
