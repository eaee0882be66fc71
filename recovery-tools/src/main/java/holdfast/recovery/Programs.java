package holdfast.recovery;

import holdfast.replicator.device.ProcessGroup;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;

/// Programs of the host that may or may not be there.
final class Programs {
    /// `sbin` is not in everybody's PATH, though e2fsprogs needs no root.
    private static final List<String> MORE_DIRECTORIES = List.of("/usr/sbin", "/sbin");

    /// Of what a program prints, for messages and reports.
    private static final int OUTPUT_BYTES = 4000;

    private static final long LOOK_MILLIS = 20;

    /// Where Debian has what is not called like its package.
    private static final Map<String, String> PACKAGES =
            Map.ofEntries(
                    Map.entry("nbdfuse", "nbdfuse (up to Debian 12: libnbd-bin)"),
                    Map.entry("fusermount3", "fuse3"),
                    Map.entry("mount", "mount"),
                    Map.entry("setsid", "util-linux"),
                    Map.entry("unshare", "util-linux"),
                    Map.entry("nsenter", "util-linux"),
                    Map.entry("e2fsck", "e2fsprogs"),
                    Map.entry("xfs_repair", "xfsprogs"),
                    Map.entry("btrfs", "btrfs-progs"),
                    Map.entry("fsck.fat", "dosfstools"),
                    Map.entry("fsck.f2fs", "f2fs-tools"));

    private Programs() {}

    static boolean has(String name) {
        return find(name).isPresent();
    }

    /// What it printed on standard output.
    ///
    /// @throws IOException when it is not there or ends with an error; the message has what it said
    static String run(String name, String... arguments) throws IOException, InterruptedException {
        Path program = require(name);
        var command = new ArrayList<String>();
        command.add(program.toString());
        command.addAll(List.of(arguments));
        Path errors = Files.createTempFile("holdfast-", ".err");
        try {
            Process process = new ProcessBuilder(command).redirectError(errors.toFile()).start();
            process.getOutputStream().close();
            String out =
                    new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            int code = process.waitFor();
            if (code != 0) {
                throw new IOException(
                        "%s ended with %d: %s"
                                .formatted(name, code, (out + Files.readString(errors)).strip()));
            }
            return out;
        } finally {
            Files.deleteIfExists(errors);
        }
    }

    /// How a program ended, and what it printed on either stream.
    ///
    /// @param output the end of that
    /// @param found the first line of all of it that has what was looked for
    record Ran(String name, int code, String output, Optional<String> found) {
        boolean isDone() {
            return code == 0;
        }

        /// For a message.
        String words() {
            return "%s ended with %d%s"
                    .formatted(name, code, output.isEmpty() ? "" : ": " + output);
        }
    }

    /// Runs it whatever its end is, without input, in a process group of its own.
    ///
    /// @param limit after which it is killed with its children
    /// @throws IOException when it cannot be started or the time is over
    static Ran attempt(Duration limit, String... command) throws IOException, InterruptedException {
        return attempt(limit, List.of(command), Optional.empty(), Optional.empty());
    }

    /// @param environment in place of our own
    /// @param lookFor in each line that it prints
    static Ran attempt(
            Duration limit,
            List<String> command,
            Optional<Map<String, String>> environment,
            Optional<Pattern> lookFor)
            throws IOException, InterruptedException {
        var builder =
                new ProcessBuilder(inGroup(command))
                        .redirectErrorStream(true)
                        .redirectInput(Path.of("/dev/null").toFile());
        environment.ifPresent(
                each -> {
                    builder.environment().clear();
                    builder.environment().putAll(each);
                    builder.directory(Path.of("/").toFile());
                });
        Process process = builder.start();
        var output = new Printed(lookFor);
        try (InputStream from = process.getInputStream()) {
            long deadline = System.nanoTime() + limit.toNanos();
            while (!process.waitFor(LOOK_MILLIS, TimeUnit.MILLISECONDS)) {
                output.take(from);
                if (System.nanoTime() - deadline > 0) {
                    throw new IOException(
                            "%s has not ended within %d s%s"
                                    .formatted(
                                            command.getFirst(), limit.toSeconds(), output.after()));
                }
            }
            // A full pipe, and what is buffered in front of it.
            for (int i = 0; i < 4; i++) {
                output.take(from);
            }
        } finally {
            kill(process);
        }
        return output.ran(command.getFirst(), process.exitValue());
    }

    /// Of what a program prints the end, and the first line that has what is looked for, however
    /// much comes behind it. Nobody has to wait for who else has inherited its pipe, and a flood is
    /// slowed down by it to some megabytes a second.
    static final class Printed {
        /// Of a line that is longer the end is looked at.
        private static final int LINE_BYTES = 64 << 10;

        private final Optional<Pattern> lookFor;
        private final byte[] buffer = new byte[64 << 10];
        private byte[] end = new byte[0];

        /// What came behind the last line break.
        private byte[] line = new byte[0];

        private Optional<String> found = Optional.empty();

        Printed(Optional<Pattern> lookFor) {
            this.lookFor = lookFor;
        }

        private void take(InputStream from) throws IOException {
            int there = Math.min(from.available(), buffer.length);
            int got = there == 0 ? 0 : from.read(buffer, 0, there);
            if (got > 0) {
                take(Arrays.copyOf(buffer, got));
            }
        }

        void take(byte[] printed) {
            end = last(OUTPUT_BYTES, end, printed, 0, printed.length);
            int from = 0;
            for (int i = 0; i < printed.length; i++) {
                if (printed[i] == '\n') {
                    look(last(LINE_BYTES, line, printed, from, i));
                    line = new byte[0];
                    from = i + 1;
                }
            }
            line = last(LINE_BYTES, line, printed, from, printed.length);
        }

        /// The end of both together.
        private static byte[] last(int bytes, byte[] before, byte[] of, int from, int to) {
            byte[] all = Arrays.copyOf(before, before.length + to - from);
            System.arraycopy(of, from, all, before.length, to - from);
            return Arrays.copyOfRange(all, Math.max(0, all.length - bytes), all.length);
        }

        private void look(byte[] bytes) {
            if (found.isEmpty() && lookFor.isPresent()) {
                String text = new String(bytes, StandardCharsets.UTF_8);
                found = Optional.of(text).filter(each -> lookFor.get().matcher(each).find());
            }
        }

        Ran ran(String name, int code) {
            look(line);
            return new Ran(name, code, text(), found.map(String::strip));
        }

        private String text() {
            return new String(end, StandardCharsets.UTF_8).strip();
        }

        private String after() {
            return text().isEmpty() ? "" : ": " + text();
        }
    }

    /// Kills what is left of a group that [#inGroup] made.
    static void kill(Process process) {
        if (process.isAlive()) {
            ProcessGroup.kill(process.pid());
            process.destroyForcibly();
        }
    }

    /// The command as leader of a process group, which the keys of a terminal do not reach.
    ///
    /// @throws IOException when it, or setsid, is not installed; the message names the package
    static List<String> inGroup(List<String> command) throws IOException {
        var all = new ArrayList<String>();
        all.add(require("setsid").toString());
        all.add(require(command.getFirst()).toString());
        all.addAll(command.subList(1, command.size()));
        return all;
    }

    /// @throws IOException when it is not installed; the message names the package
    static Path require(String name) throws IOException {
        if (name.startsWith("/")) {
            return Path.of(name);
        }
        return find(name).orElseThrow(() -> new IOException(notInstalled(name)));
    }

    static String notInstalled(String name) {
        return "%s is not installed; it is in the package %s"
                .formatted(name, PACKAGES.getOrDefault(name, name));
    }

    private static Optional<Path> find(String name) {
        String path = System.getenv().getOrDefault("PATH", "/usr/bin:/bin");
        var directories = new ArrayList<>(List.of(path.split(":")));
        directories.addAll(MORE_DIRECTORIES);
        return directories.stream()
                .map(d -> Path.of(d, name))
                .filter(Files::isExecutable)
                .findFirst();
    }
}
