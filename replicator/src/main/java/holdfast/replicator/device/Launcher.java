package holdfast.replicator.device;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/// Sets what must be set before the daemon's JVM starts, then becomes it: the process id stays.
///
/// ```
/// java [quick start options] -cp … holdfast.replicator.device.Launcher
///      [--oom-score-adj=N] JAVA-OPTIONS… MAIN-CLASS ARGUMENTS…
/// ```
///
/// - the IO-flusher state, which every thread of the daemon then has ([IoFlusher]);
/// - with `--oom-score-adj`, how early the kernel kills the daemon when memory runs out: -1000
///   never, 0 like any other, 1000 first.
///
/// Both need CAP_SYS_RESOURCE. Without it a warning says what that means, and the daemon starts.
/// Memory locks do not survive the exec; [LockedMemory] is the daemon's own.
public final class Launcher {
    private static final String OOM_SCORE_ADJ = "--oom-score-adj=";
    private static final Path OOM_FILE = Path.of("/proc/self/oom_score_adj");

    public static void main(String[] arguments) {
        int first = 0;
        if (arguments.length > 0 && arguments[0].startsWith(OOM_SCORE_ADJ)) {
            setOomScore(arguments[0].substring(OOM_SCORE_ADJ.length()));
            first = 1;
        }
        if (arguments.length == first) {
            System.err.println("holdfast: the launcher was told nothing to launch");
            System.exit(2);
        }
        setIoFlusher();
        String java = System.getProperty("java.home") + "/bin/java";
        String[] command = new String[arguments.length - first + 1];
        command[0] = java;
        System.arraycopy(arguments, first, command, 1, arguments.length - first);
        int errno = -Native.execv(java, command);
        System.err.printf("holdfast: %s cannot be started: %s%n", java, Errno.describe(errno));
        System.exit(1);
    }

    private static void setIoFlusher() {
        int errno = IoFlusher.set();
        if (errno != 0) {
            System.err.printf(
                    "holdfast: warning: the IO-flusher state cannot be set: %s. When memory runs out,"
                            + " writes to exports that are mounted on this host may wait for each"
                            + " other for ever. Start the daemon as root or with CAP_SYS_RESOURCE.%n",
                    Errno.describe(errno));
        }
    }

    private static void setOomScore(String score) {
        try {
            Files.writeString(OOM_FILE, score);
        } catch (IOException e) {
            System.err.printf(
                    "holdfast: warning: oom_score_adj cannot be set to %s: %s. The kernel may kill"
                            + " the daemon when memory runs out.%n",
                    score, e.getMessage());
        }
    }

    private Launcher() {}
}
