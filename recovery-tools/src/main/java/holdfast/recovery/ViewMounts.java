package holdfast.recovery;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ExitCode;
import holdfast.replicator.control.NodePaths;
import holdfast.replicator.control.Problem;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.daemon.KernelDevice;
import holdfast.replicator.json.Json;
import holdfast.replicator.json.JsonException;
import holdfast.replicator.status.StatusReport;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.time.Instant;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/// Copies that are mounted on this host. Each is a writable view whose overlay takes what the
/// replay of the filesystem's journal writes, shown to the kernel by its own NBD client or by
/// nbdfuse and a loop device, and mounted read-only where somebody wants it.
///
/// Of each there is a directory in the run directory, named after the place of the mount:
///
/// | in it         | what                                                              |
/// |---------------|-------------------------------------------------------------------|
/// | `record.json` | [MountRecord]: what was opened, and for which directory           |
/// | `fuse/nbd`    | the view as a file, while nbdfuse runs                            |
/// | `replay/`     | where the filesystem is mounted once to be replayed               |
/// | `nbdfuse.pid`, `nbdfuse.log` | its process, and what it says                      |
///
/// The record is written before anything is connected, and everything else is found by its place in
/// this directory. So `umount` undoes whatever there is, in reverse order, after a crash at any
/// step, of the command or of the daemon. A crash before the record leaves a view that no client
/// uses, which the daemon closes by itself.
final class ViewMounts {
    private static final Duration MOUNT_LIMIT = Duration.ofMinutes(30);
    private static final Duration STEP_LIMIT = Duration.ofSeconds(60);

    /// A loop device lets its file go, and nbdfuse ends, a moment after the unmount.
    private static final Duration LETTING_GO = Duration.ofSeconds(10);

    private final NodePaths paths;
    private final ControlApi api;
    private final Path mounts;
    private final KernelDevice kernel;

    /// What is written down of a mount.
    ///
    /// @param name of the kernel's device, in [KernelDevice]; absent: nbdfuse is used
    record MountRecord(
            String resource, String view, String directory, String uri, Optional<String> name) {}

    /// What `mount` has done, as its `--json` says it.
    ///
    /// @param point the position it shows
    /// @param filesystem like `ext4 "home" 8c…`
    /// @param view is closed by `umount`
    record Mounted(
            String resource,
            String point,
            Instant pointTime,
            String directory,
            String filesystem,
            String view) {}

    ViewMounts(NodePaths paths, ControlApi api) {
        this.paths = paths;
        this.api = api;
        this.mounts = paths.run().resolve("mounts");
        this.kernel = new KernelDevice(paths.run());
    }

    // ---- mount -------------------------------------------------------------------------------

    Mounted mount(Point point, int volume, Path directory, Optional<Long> overlayBytes)
            throws IOException, ProblemException, InterruptedException {
        requireRoot("mount");
        if (!Files.isDirectory(directory)) {
            throw refused(directory + " is no directory", "mkdir " + directory);
        }
        Path place = directory.toRealPath();
        Path home = home(place);
        if (Files.exists(home) || isMounted(place)) {
            throw refused(
                    "something is mounted at %s already".formatted(place),
                    Files.exists(home) ? paths.command("umount " + place) : "umount " + place);
        }
        boolean byKernel = kernel.isThere() && Programs.has("nbd-client");
        if (!byKernel) {
            Programs.require("nbdfuse");
        }
        ControlApi.OpenReply opened =
                api.open(
                        new ControlApi.OpenRequest(
                                point.resource(),
                                point.at(),
                                true,
                                overlayBytes,
                                Optional.empty(),
                                true));
        StatusReport.View view = opened.view();
        try {
            String uri = uri(view, volume);
            make(home);
            Optional<String> name = byKernel ? Optional.of(view.id()) : Optional.empty();
            var written = new MountRecord(point.resource(), view.id(), place.toString(), uri, name);
            Files.writeString(home.resolve("record.json"), Json.write(written));
            Filesystem filesystem = filesystem(uri);
            Path device = connect(home, written, view.socket());
            String type = filesystem.type();
            Path replay = home.resolve("replay");
            mount(device, type, filesystem.options(false), replay, byKernel);
            unmount(replay);
            mount(device, type, filesystem.options(true), place, byKernel);
            return new Mounted(
                    point.resource(),
                    view.point(),
                    view.pointTime(),
                    place.toString(),
                    filesystem.words(),
                    view.id());
        } catch (IOException | InterruptedException | RuntimeException | ProblemException e) {
            try {
                undo(home, place);
            } catch (IOException | ProblemException left) {
                e.addSuppressed(left);
            }
            close(view.id());
            throw e;
        }
    }

    static String uri(StatusReport.View view, int volume) throws ProblemException {
        if (volume == 0) {
            return view.uri();
        }
        return view.volumes().stream()
                .filter(each -> each.number() == volume)
                .findFirst()
                .flatMap(StatusReport.Volume::uri)
                .orElseThrow(() -> refused("there is no volume " + volume, "holdfast status"));
    }

    static void requireRoot(String verb) throws IOException, ProblemException {
        if ((int) Files.getAttribute(Path.of("/proc/self"), "unix:uid") != 0) {
            throw refused("only root can " + verb, "sudo holdfast " + verb + " …");
        }
    }

    /// Looks at the view without the kernel.
    static Filesystem filesystem(String uri) throws IOException, ProblemException {
        Filesystem found;
        try (NbdDevice device = NbdDevice.connect(uri)) {
            found = Filesystem.of(device);
        }
        Optional<String> twin = found.twin();
        if (twin.isPresent()) {
            throw new ProblemException(
                    Problem.of(
                                    ExitCode.REFUSED,
                                    "this host",
                                    "the copy is not mounted: a btrfs with its UUID is visible here")
                            .withEvidence(
                                    found.uuid() + " is " + twin.get(),
                                    "the kernel takes devices of one UUID for one btrfs, and could read"
                                            + " and write the copy for the original, or the original for the copy")
                            .withNext(
                                    "mount it at a host that has no device with this UUID, such as a virtual machine"));
        }
        return found;
    }

    private void make(Path home) throws IOException, ProblemException {
        Files.createDirectories(mounts);
        try {
            Files.createDirectory(home);
        } catch (FileAlreadyExistsException e) {
            throw refused("another mount is being made there", "holdfast status");
        }
        Files.createDirectory(home.resolve("fuse"));
        Files.createDirectory(home.resolve("replay"));
    }

    /// @return what can be given to mount(8)
    private Path connect(Path home, MountRecord written, String socket)
            throws IOException, InterruptedException {
        if (written.name().isPresent()) {
            String export = written.uri().replaceAll("^nbd\\+unix:///|\\?.*$", "");
            return kernel.connect(written.name().get(), export, Path.of(socket));
        }
        Path pid = home.resolve("nbdfuse.pid");
        Path log = home.resolve("nbdfuse.log");
        Process nbdfuse =
                new ProcessBuilder(
                                Programs.inGroup(
                                        List.of(
                                                "nbdfuse",
                                                "-P",
                                                pid.toString(),
                                                home.resolve("fuse").toString(),
                                                written.uri())))
                        .redirectInput(Path.of("/dev/null").toFile())
                        .redirectErrorStream(true)
                        .redirectOutput(log.toFile())
                        .start();
        long deadline = System.nanoTime() + STEP_LIMIT.toNanos();
        while (!Files.exists(pid) || Files.size(pid) == 0) {
            boolean gone = nbdfuse.waitFor(20, TimeUnit.MILLISECONDS);
            if (gone || System.nanoTime() > deadline) {
                Programs.kill(nbdfuse);
                throw new IOException(
                        "nbdfuse %s: %s"
                                .formatted(
                                        gone
                                                ? "ended with " + nbdfuse.exitValue()
                                                : "is not there after a minute",
                                        Files.readString(log).strip()));
            }
        }
        return home.resolve("fuse").resolve("nbd");
    }

    private static void mount(
            Path device, String type, String options, Path at, boolean isBlockDevice)
            throws IOException, InterruptedException {
        Programs.Ran ran =
                Programs.attempt(
                        MOUNT_LIMIT,
                        "mount",
                        "-t",
                        type,
                        "-o",
                        options + (isBlockDevice ? "" : ",loop"),
                        device.toString(),
                        at.toString());
        if (!ran.isDone()) {
            throw new IOException(ran.words());
        }
    }

    private static void unmount(Path at) throws IOException, InterruptedException {
        Programs.Ran ran = Programs.attempt(MOUNT_LIMIT, "umount", at.toString());
        if (!ran.isDone()) {
            throw new IOException(ran.words());
        }
    }

    // ---- umount ------------------------------------------------------------------------------

    /// Undoes what [#mount] did, or as much of it as there is.
    ///
    /// @throws ProblemException if the directory is in use, nothing has changed then; or if nothing
    ///   of ours is mounted there
    String umount(Path directory) throws IOException, ProblemException, InterruptedException {
        requireRoot("umount");
        Path place = Files.exists(directory) ? directory.toRealPath() : directory.toAbsolutePath();
        Path home = home(place);
        if (!Files.exists(home)) {
            throw refused("no copy is mounted at " + place, "findmnt");
        }
        Optional<MountRecord> written = read(home);
        undo(home, place);
        written.ifPresent(each -> close(each.view()));
        return written.map(MountRecord::resource).orElse("what was being mounted");
    }

    private static Optional<MountRecord> read(Path home) throws IOException {
        Path file = home.resolve("record.json");
        if (!Files.exists(file)) {
            return Optional.empty();
        }
        try {
            return Optional.of(Json.read(Files.readString(file), MountRecord.class));
        } catch (JsonException e) {
            // A crash has cut it off: nothing was connected yet.
            return Optional.empty();
        }
    }

    private void undo(Path home, Path place)
            throws IOException, ProblemException, InterruptedException {
        if (!Files.exists(home)) {
            return;
        }
        Optional<MountRecord> written = read(home);
        if (isMounted(place)) {
            takeAway(place);
        }
        if (isMounted(home.resolve("replay"))) {
            takeAway(home.resolve("replay"));
        }
        Optional<String> name = written.flatMap(MountRecord::name);
        if (name.isPresent()) {
            kernel.disconnect(name.get());
        }
        Path fuse = home.resolve("fuse");
        long deadline = System.nanoTime() + LETTING_GO.toNanos();
        while (isMounted(fuse)) {
            boolean isLate = System.nanoTime() > deadline;
            Programs.attempt(
                    STEP_LIMIT,
                    isLate
                            ? new String[] {"umount", "-l", fuse.toString()}
                            : new String[] {"umount", fuse.toString()});
            LockSupport.parkNanos(20_000_000);
        }
        endNbdfuse(home.resolve("nbdfuse.pid"));
        for (String each : List.of("nbdfuse.pid", "nbdfuse.log", "fuse", "replay")) {
            Files.deleteIfExists(home.resolve(each));
        }
        // The record goes last: until then all of this can be done again.
        Files.deleteIfExists(home.resolve("record.json"));
        Files.deleteIfExists(home);
    }

    /// A filesystem whose device is gone cannot be unmounted properly, and need not be: it is
    /// read-only, or its overlay is thrown away.
    private static void takeAway(Path place)
            throws IOException, ProblemException, InterruptedException {
        Programs.Ran ran = Programs.attempt(MOUNT_LIMIT, "umount", place.toString());
        if (ran.isDone()) {
            return;
        }
        if (ran.output().contains("busy")) {
            throw new ProblemException(
                    Problem.of(ExitCode.REFUSED, "this host", place + " is in use, nothing changed")
                            .withEvidence(ran.output())
                            .withNext("fuser -vm " + place));
        }
        Programs.Ran lazily = Programs.attempt(STEP_LIMIT, "umount", "-l", place.toString());
        if (!lazily.isDone()) {
            throw new IOException(ran.words());
        }
    }

    /// It ends by itself when its mount is gone; one whose daemon is gone may not.
    private static void endNbdfuse(Path pidFile) throws IOException, InterruptedException {
        if (!Files.exists(pidFile)) {
            return;
        }
        String pid = Files.readString(pidFile).strip();
        Optional<ProcessHandle> process =
                pid.matches("[0-9]{1,10}")
                        ? ProcessHandle.of(Long.parseLong(pid))
                        : Optional.empty();
        long deadline = System.nanoTime() + LETTING_GO.toNanos();
        while (process.filter(each -> isNbdfuse(each, pidFile)).isPresent()) {
            if (System.nanoTime() > deadline) {
                process.get().destroyForcibly();
            }
            Thread.sleep(20);
        }
    }

    /// Its number may be another's by now; what it was started with is not.
    private static boolean isNbdfuse(ProcessHandle process, Path pidFile) {
        try {
            return process.isAlive()
                    && Files.readString(Path.of("/proc", Long.toString(process.pid()), "cmdline"))
                            .contains(pidFile.toString());
        } catch (IOException e) {
            return false;
        }
    }

    /// Closes a view that may be closed already, or whose daemon may be gone.
    private void close(String view) {
        try {
            api.closeView(new ControlApi.CloseRequest(view));
        } catch (ProblemException e) {
            // What has no client is closed by the daemon, and what has no daemon is closed.
            return;
        }
    }

    // ---- places ------------------------------------------------------------------------------

    private Path home(Path place) {
        try {
            byte[] digest =
                    MessageDigest.getInstance("SHA-256")
                            .digest(place.toString().getBytes(StandardCharsets.UTF_8));
            return mounts.resolve(HexFormat.of().formatHex(digest, 0, 8));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    /// Whether something is mounted exactly there, as this process sees it.
    static boolean isMounted(Path place) throws IOException {
        // Blanks and the like stand as \040 in the table.
        var written = new StringBuilder();
        for (char each : place.toString().toCharArray()) {
            written.append(
                    each == ' ' || each == '\t' || each == '\n' || each == '\\'
                            ? "\\%03o".formatted((int) each)
                            : String.valueOf(each));
        }
        String wanted = written.toString();
        return Files.readAllLines(Path.of("/proc/self/mountinfo")).stream()
                .anyMatch(line -> line.split(" ")[4].equals(wanted));
    }

    static ProblemException refused(String cause, String next) {
        return new ProblemException(
                Problem.of(ExitCode.REFUSED, "this host", cause).withNext(next));
    }
}
