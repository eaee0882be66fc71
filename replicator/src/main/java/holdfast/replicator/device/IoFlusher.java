package holdfast.replicator.device;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/// The IO-flusher state of a process that stands in the block I/O path of its own host: the kernel
/// then takes memory for it without first writing back pages that only this process could write
/// (protocol rule R13, `PR_SET_IO_FLUSHER` of prctl(2)).
///
/// The state belongs to a thread, and new threads and programs inherit it. So [Launcher] sets it
/// before the JVM of the daemon starts; set from inside, it covers the calling thread alone.
public final class IoFlusher {
    /// `PF_MEMALLOC_NOIO | PF_LOCAL_THROTTLE`, which is what the state is in the kernel.
    private static final long FLAGS = 0x0018_0000;

    /// What the kernel says about each thread of a process.
    ///
    /// @param threads how many there are
    /// @param without names of those that lack the state; a few virtual machine threads or all
    public record Report(int threads, List<String> without) {
        public boolean complete() {
            return threads > 0 && without.isEmpty();
        }
    }

    /// Reads the state back, per thread; anybody may, for any process.
    public static Report of(long pid) {
        var without = new ArrayList<String>();
        int threads = 0;
        for (Path task : tasks(pid)) {
            String stat = LinuxText.read(task.resolve("stat"));
            if (stat.isEmpty()) {
                // It ended in between.
                continue;
            }
            threads++;
            if (!isSet(stat)) {
                without.add(stat.substring(stat.indexOf('(') + 1, stat.lastIndexOf(')')));
            }
        }
        return new Report(threads, List.copyOf(without));
    }

    /// @param stat of one thread, as proc(5) has it: the name in brackets, then state ppid pgrp
    ///   session tty tpgid flags
    static boolean isSet(String stat) {
        String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ");
        return (Long.parseLong(fields[6]) & FLAGS) == FLAGS;
    }

    private static List<Path> tasks(long pid) {
        try (Stream<Path> tasks = Files.list(Path.of("/proc", Long.toString(pid), "task"))) {
            return tasks.toList();
        } catch (IOException e) {
            return List.of();
        }
    }

    /// Sets it for the calling thread; 0, or why not: EPERM without CAP_SYS_RESOURCE, EINVAL before
    /// Linux 5.6.
    static int set() {
        return -Native.prctl(Native.PR_SET_IO_FLUSHER, 1);
    }

    private IoFlusher() {}
}
