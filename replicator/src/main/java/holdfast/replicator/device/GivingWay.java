package holdfast.replicator.device;

import java.nio.file.Path;
import java.util.concurrent.ThreadFactory;

/// Threads that leave the processor to the application and to those that answer it.
///
/// The link's threads compress and encrypt what the application has written. As equals they take
/// from a busy host the time that the application's own writes need; so they are nicer, and when
/// there is too little for both, the send buffer fills and closes instead (promise 6).
///
/// A thread inherits the value of the one that starts it, and going back needs a privilege
/// (`CAP_SYS_NICE`). Without it nobody gives way: a pool whose threads were started by the link
/// would never come back.
public final class GivingWay {
    /// What the process was started with, for the others to keep: field 19 of proc(5), the 17th
    /// behind the name in brackets.
    private static final int USUAL = niceOf(LinuxText.read(Path.of("/proc/self/stat")));

    /// 10 more, 19 at most: a tenth of the processor beside a busy thread of the usual value,
    /// sched(7).
    private static final int NICE = Math.min(19, USUAL + 10);

    private static final boolean POSSIBLE = canComeBack();

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
            works = Native.nice(nice) == 0 && Native.nice(usual) == 0;
        }
    }

    /// The calling thread gives way from now on, where it may.
    public static void fromNowOn() {
        if (POSSIBLE) {
            int ignored = Native.nice(NICE);
        }
    }

    /// Makes threads that do not give way, whoever starts them.
    public static ThreadFactory never(ThreadFactory threads) {
        return task ->
                threads.newThread(
                        () -> {
                            if (POSSIBLE) {
                                int ignored = Native.nice(USUAL);
                            }
                            task.run();
                        });
    }

    private GivingWay() {}
}
