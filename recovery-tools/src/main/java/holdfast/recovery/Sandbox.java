package holdfast.recovery;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/// A mount namespace and a process namespace of their own, in which a copy is shown, mounted and
/// used without the rest of the host seeing any of it.
///
/// Their first process is a `cat` that reads from us. When this process is gone, however it ended,
/// that one ends, and with it the kernel kills everything else in there and takes every mount down:
/// nothing has to be undone, and no directory was made anywhere.
final class Sandbox implements AutoCloseable {
    private static final Duration START_LIMIT = Duration.ofSeconds(20);
    private static final Duration UNMOUNT_LIMIT = Duration.ofSeconds(60);

    private static final String SEARCH_PATH =
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

    /// Directories that every host has and that programs do not live in. One is covered by a small
    /// filesystem in memory, in here alone. Short, for sockets; and all may go through it.
    private static final List<Path> PLACES =
            List.of(Path.of("/mnt"), Path.of("/media"), Path.of("/srv"));

    private final Process holder;
    private final long first;
    private final Path root;

    private Sandbox(Process holder, long first, Path root) {
        this.holder = holder;
        this.first = first;
        this.root = root;
    }

    /// @param visible what has to be reached from within
    static Sandbox start(List<Path> visible) throws IOException, InterruptedException {
        Path root =
                PLACES.stream()
                        .filter(Files::isDirectory)
                        .filter(place -> visible.stream().noneMatch(each -> each.startsWith(place)))
                        .findFirst()
                        .orElseThrow(
                                () ->
                                        new IOException(
                                                "none of %s can be covered for the drill: %s must be seen from within"
                                                        .formatted(PLACES, visible)));
        Path errors = Files.createTempFile("holdfast-", ".err");
        try {
            Process holder =
                    new ProcessBuilder(
                                    Programs.inGroup(
                                            List.of(
                                                    "unshare",
                                                    "--mount",
                                                    "--propagation",
                                                    "private",
                                                    "--pid",
                                                    "--fork",
                                                    "--kill-child=KILL",
                                                    "--mount-proc",
                                                    "cat")))
                            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                            .redirectError(errors.toFile())
                            .start();
            var sandbox = new Sandbox(holder, firstOf(holder, errors), root);
            try {
                Programs.require("nsenter");
                sandbox.must(
                        "mount",
                        "-t",
                        "tmpfs",
                        "-o",
                        "size=64m,mode=755",
                        "tmpfs",
                        root.toString());
                return sandbox;
            } catch (IOException | InterruptedException e) {
                sandbox.close();
                throw e;
            }
        } finally {
            Files.deleteIfExists(errors);
        }
    }

    /// The `cat`, once it is one: its mounts are in order then.
    private static long firstOf(Process holder, Path errors)
            throws IOException, InterruptedException {
        long deadline = System.nanoTime() + START_LIMIT.toNanos();
        while (true) {
            Optional<ProcessHandle> child = holder.toHandle().children().findFirst();
            if (child.isPresent() && comm(child.get().pid()).equals("cat")) {
                return child.get().pid();
            }
            if (holder.waitFor(10, TimeUnit.MILLISECONDS) || System.nanoTime() > deadline) {
                Programs.kill(holder);
                throw new IOException(
                        "no namespace of its own: " + Files.readString(errors).strip());
            }
        }
    }

    private static String comm(long pid) {
        try {
            return Files.readString(Path.of("/proc", Long.toString(pid), "comm")).strip();
        } catch (IOException e) {
            return "";
        }
    }

    /// A directory that is there in here alone; made by [#makeDirectory].
    Path path(String name) {
        return root.resolve(name);
    }

    Path makeDirectory(String name, String mode) throws IOException, InterruptedException {
        must("mkdir", "-m", mode, path(name).toString());
        return path(name);
    }

    /// The same as seen from outside.
    Path outside(Path inside) {
        return Path.of("/proc", Long.toString(first), "root")
                .resolve(Path.of("/").relativize(inside));
    }

    /// Runs a program in here to its end.
    ///
    /// @param more variables of its environment, which has a PATH and nothing else of ours
    Programs.Ran run(Duration limit, Map<String, String> more, List<String> command)
            throws IOException, InterruptedException {
        return run(limit, more, command, Optional.empty());
    }

    /// @param lookFor as in [Programs#attempt]
    Programs.Ran run(
            Duration limit,
            Map<String, String> more,
            List<String> command,
            Optional<Pattern> lookFor)
            throws IOException, InterruptedException {
        Programs.Ran ran =
                Programs.attempt(limit, entering(command), Optional.of(environment(more)), lookFor);
        return new Programs.Ran(command.getFirst(), ran.code(), ran.output(), ran.found());
    }

    /// As [#run], for what has to succeed.
    void must(String... command) throws IOException, InterruptedException {
        Programs.Ran ran = run(UNMOUNT_LIMIT, Map.of(), List.of(command));
        if (!ran.isDone()) {
            throw new IOException(ran.words());
        }
    }

    /// Starts one that goes on; it ends with the namespace at the latest.
    Process start(Path output, String... command) throws IOException {
        var builder =
                new ProcessBuilder(Programs.inGroup(entering(List.of(command))))
                        .redirectErrorStream(true)
                        .redirectInput(Path.of("/dev/null").toFile())
                        .redirectOutput(output.toFile());
        builder.environment().clear();
        builder.environment().putAll(environment(Map.of()));
        return builder.start();
    }

    private List<String> entering(List<String> command) {
        var all = new ArrayList<>(List.of("nsenter", "-t", Long.toString(first), "-m", "-p", "--"));
        all.addAll(command);
        return all;
    }

    private static Map<String, String> environment(Map<String, String> more) {
        var all = new HashMap<>(Map.of("PATH", SEARCH_PATH, "LANG", "C.UTF-8"));
        all.putAll(more);
        return all;
    }

    /// Kills what still runs in here but `spared`, with whatever it has started.
    void killAllBut(String spared) throws IOException {
        Path own = Files.readSymbolicLink(Path.of("/proc", Long.toString(first), "ns", "pid"));
        try (Stream<ProcessHandle> all = ProcessHandle.allProcesses()) {
            all.filter(each -> each.pid() != first)
                    .filter(each -> isIn(each.pid(), own))
                    .filter(each -> !comm(each.pid()).equals(spared))
                    .forEach(ProcessHandle::destroyForcibly);
        }
    }

    private static boolean isIn(long pid, Path namespace) {
        try {
            return Files.readSymbolicLink(Path.of("/proc", Long.toString(pid), "ns", "pid"))
                    .equals(namespace);
        } catch (IOException e) {
            return false;
        }
    }

    @Override
    public void close() {
        try {
            // The end of its input is the end of the first process.
            holder.getOutputStream().close();
            if (holder.waitFor(UNMOUNT_LIMIT.toSeconds(), TimeUnit.SECONDS)) {
                return;
            }
        } catch (IOException e) {
            // It is gone, or will be.
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        Programs.kill(holder);
    }
}
