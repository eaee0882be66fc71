package holdfast.recovery;

import holdfast.replicator.config.ConfigException;
import holdfast.replicator.config.ResourceSettings;
import holdfast.replicator.config.Settings;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.NodePaths;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.device.IoFlusher;
import holdfast.replicator.status.StatusReport;
import holdfast.replicator.status.Words;
import holdfast.tunnel.link.Identity;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/// The looks of `doctor`. Each reads or tries something and changes nothing.
///
/// @see Finding
final class Examination {
    private static final int CONNECT_MILLIS = 3000;

    private final NodePaths paths;
    private final ControlApi api;
    private final Path system;
    private final List<Finding> findings = new ArrayList<>();

    /// @param system the root of the host's files, `/` but in tests
    Examination(NodePaths paths, ControlApi api, Path system) {
        this.paths = paths;
        this.api = api;
        this.system = system;
    }

    List<Finding> findings() {
        settings();
        permissions();
        stateSpace();
        kernelNbd();
        clock();
        Optional<StatusReport> report = daemon();
        report.ifPresent(
                r -> {
                    ioFlusher(r.node().pid());
                    r.link().ifPresentOrElse(this::link, this::noPeer);
                    r.resources().forEach(this::resource);
                    r.unopened().forEach(u -> red(u.name(), u.cause(), u.next()));
                });
        return List.copyOf(findings);
    }

    private void settings() {
        try {
            int count = Settings.load(paths.etc()).resources().size();
            green(
                    "settings",
                    "%s and %d resource files are right".formatted(paths.nodeFile(), count));
        } catch (ConfigException e) {
            e.problems().forEach(p -> red("settings", p.toString(), "edit " + p.file()));
        }
    }

    private void permissions() {
        if (!Files.isDirectory(paths.state())) {
            red("identity", "there is no " + paths.state(), paths.command("init"));
            return;
        }
        rights("state directory", paths.state(), "rwx------", "chmod 700 " + paths.state());
        try {
            if (Identity.exists(paths.state())) {
                green("identity", "its key is " + Identity.load(paths.state()).pin());
            } else {
                red("identity", "there is none in " + paths.state(), paths.command("init"));
            }
        } catch (IOException e) {
            red(
                    "identity",
                    e.getMessage(),
                    "chmod 600 " + paths.state() + "/identity.pem, or restore it from a backup");
        }
        if (Files.isDirectory(paths.run())) {
            rights("run directory", paths.run(), "rwx------", "chmod 700 " + paths.run());
        }
    }

    private void rights(String subject, Path path, String most, String next) {
        try {
            String rights = PosixFilePermissions.toString(Files.getPosixFilePermissions(path));
            if (rights.substring(3).equals(most.substring(3))) {
                green(subject, "%s is for its owner alone (%s)".formatted(path, rights));
            } else {
                red(subject, "others may look into %s (%s)".formatted(path, rights), next);
            }
        } catch (IOException e) {
            red(subject, "%s cannot be examined: %s".formatted(path, e), next);
        }
    }

    private void stateSpace() {
        if (!Files.isDirectory(paths.state())) {
            return;
        }
        try {
            long free = Files.getFileStore(paths.state()).getUsableSpace();
            String evidence = "%s free where %s is".formatted(Words.bytes(free), paths.state());
            if (free < 64L << 20) {
                red("space for state", evidence, "df " + paths.state());
            } else {
                green("space for state", evidence);
            }
        } catch (IOException e) {
            red("space for state", e.toString(), "df " + paths.state());
        }
    }

    /// Only `attach` with a device needs it; the Unix socket works everywhere.
    private void kernelNbd() {
        String release = text("proc/sys/kernel/osrelease").strip();
        Path modules =
                system.resolve("lib/modules").resolve(release).resolve("kernel/drivers/block");
        if (Files.exists(system.resolve("sys/module/nbd"))) {
            green("kernel nbd", "loaded");
        } else if (Stream.of("nbd.ko", "nbd.ko.xz", "nbd.ko.zst", "nbd.ko.gz")
                .anyMatch(f -> Files.exists(modules.resolve(f)))) {
            yellow(
                    "kernel nbd",
                    "not loaded, though kernel %s has it".formatted(release),
                    "modprobe nbd");
        } else {
            yellow(
                    "kernel nbd",
                    "kernel %s has none: exports are Unix sockets without a /dev/nbd"
                            .formatted(release),
                    "use a virtual machine's NBD disk, nbdfuse or another kernel");
        }
    }

    private void clock() {
        if (Files.exists(system.resolve("run/systemd/timesync/synchronized"))) {
            green("clock", "systemd-timesyncd keeps it");
            return;
        }
        String chrony = output("chronyc", "-n", "tracking");
        if (chrony.contains("Leap status") && !chrony.contains("Not synchronised")) {
            green("clock", "chrony keeps it");
        } else if (output("timedatectl", "show", "-p", "NTPSynchronized").contains("=yes")) {
            green("clock", "timedatectl says it is synchronised");
        } else {
            yellow(
                    "clock",
                    "nothing here says that it is synchronised; ages of copies are as good as it is",
                    "apt-get install systemd-timesyncd");
        }
    }

    private Optional<StatusReport> daemon() {
        try {
            StatusReport report = api.status();
            green(
                    "daemon",
                    "process %d, version %s"
                            .formatted(report.node().pid(), report.node().version()));
            return Optional.of(report);
        } catch (ProblemException e) {
            red(
                    "daemon",
                    e.problem().cause(),
                    e.problem().next().orElse(paths.command("daemon --detach")));
            return Optional.empty();
        }
    }

    private void ioFlusher(long pid) {
        IoFlusher.Report report = IoFlusher.of(pid);
        String next = paths.command("shutdown, then as root " + paths.command("daemon --detach"));
        if (report.complete()) {
            green(
                    "I/O flusher",
                    "all %d threads of the daemon have the state".formatted(report.threads()));
        } else if (report.threads() == 0) {
            yellow(
                    "I/O flusher",
                    "the threads of process %d cannot be examined".formatted(pid),
                    "run doctor as root");
        } else {
            yellow(
                    "I/O flusher",
                    "%d of %d threads of the daemon lack the state, like %s: with memory short, a filesystem on its export may wait for itself"
                            .formatted(
                                    report.without().size(),
                                    report.threads(),
                                    report.without().getFirst()),
                    next);
        }
    }

    private void noPeer() {
        yellow(
                "peer",
                "this node has none",
                paths.command("invite --address HOST:PORT, or join TOKEN"));
    }

    private void link(StatusReport.Link link) {
        if (link.isConnected()) {
            green(
                    "link",
                    "connected to %s, round trip %s ms"
                            .formatted(
                                    link.peer(),
                                    link.roundTripMillis()
                                            .map(ms -> "%.1f".formatted(ms))
                                            .orElse("?")));
            link.clock()
                    .filter(StatusReport.ClockOffset::isNews)
                    .ifPresent(clock -> clocksDiffer(link.peer(), clock.aheadSeconds()));
            return;
        }
        String trouble = link.trouble().orElse("no reason known");
        if (!link.mode().equals("DIAL")) {
            red(
                    "link",
                    "%s has not come to %s: %s".formatted(link.peer(), link.address(), trouble),
                    "holdfast doctor, at " + link.peer() + "; open the TCP port here");
            return;
        }
        red(
                "link",
                "no connection to %s: %s; %s"
                        .formatted(link.peer(), trouble, tryConnect(link.address())),
                "holdfast doctor, at " + link.peer());
    }

    private void clocksDiffer(String peer, double aheadSeconds) {
        yellow(
                "clock",
                "%s's is %s %s this host's"
                        .formatted(
                                peer,
                                Words.span(Math.abs(aheadSeconds)),
                                aheadSeconds < 0 ? "behind" : "ahead of"),
                "timedatectl, at both hosts");
    }

    private static String tryConnect(String address) {
        int colon = address.lastIndexOf(':');
        String host = address.substring(0, Math.max(0, colon)).replaceAll("[\\[\\]]", "");
        try (Socket socket = new Socket()) {
            int port = Integer.parseInt(address.substring(colon + 1));
            socket.connect(new InetSocketAddress(host, port), CONNECT_MILLIS);
            return "TCP to %s works".formatted(address);
        } catch (IOException | IllegalArgumentException e) {
            return "TCP to %s fails: %s".formatted(address, e.getMessage());
        }
    }

    private void resource(StatusReport.Resource r) {
        r.trouble().ifPresent(t -> red(r.name(), t, paths.command("status " + r.name())));
        r.journal()
                .filter(j -> j.uncountedSeconds() > 0 && !r.isPrimary())
                .ifPresent(
                        j ->
                                yellow(
                                        r.name(),
                                        "%s that this host's clock says have passed make nothing old before %s's says so too; it ends when that is connected"
                                                .formatted(
                                                        Words.span((double) j.uncountedSeconds()),
                                                        r.peer().orElse("the peer")),
                                        "timedatectl, if that clock is wrong"));
        List<Path> disks =
                r.volumes().isEmpty()
                        ? List.of(Path.of(r.path()))
                        : r.volumes().stream().map(each -> Path.of(each.path())).toList();
        fstab(r, disks);
        stateNotOn(r, disks);
        r.journal()
                .filter(j -> j.missingBytes() > 0)
                .ifPresent(
                        j ->
                                red(
                                        r.name(),
                                        "the journal lacks %s for the catch-up"
                                                .formatted(Words.bytes(j.missingBytes())),
                                        "make room where " + j.path() + " is"));
        roomToBecomeTheCopy(r);
    }

    /// Either side may have to give up its own part for the other's, and is the copy then (R31):
    /// its journal takes all its space when it is made.
    private void roomToBecomeTheCopy(StatusReport.Resource r) {
        if (r.peer().isEmpty()) {
            return;
        }
        String order = "to become the copy (`reconnect --discard` at this host)";
        if (r.journal().isPresent()) {
            green(
                    r.name(),
                    "%s it has its journal of %s"
                            .formatted(order, Words.bytes(r.journal().get().sizeBytes())));
            return;
        }
        Settings.Loaded loaded;
        try {
            loaded = Settings.load(paths.etc());
        } catch (ConfigException e) {
            return; // That is red already.
        }
        ResourceSettings settings = loaded.resources().get(r.name());
        if (settings == null) {
            return;
        }
        String needs =
                "%s it needs a journal of %s"
                        .formatted(order, Words.bytes(settings.journalSize().bytes()));
        Optional<Path> storage = loaded.node().storagePath();
        if (storage.isEmpty()) {
            yellow(r.name(), needs + ", and no storage is set", paths.command("storage DIR"));
            return;
        }
        try {
            long free = Files.getFileStore(storage.get()).getUsableSpace();
            String evidence =
                    "%s; %s has %s free".formatted(needs, storage.get(), Words.bytes(free));
            if (free < settings.journalSize().bytes()) {
                yellow(r.name(), evidence, "make room where " + storage.get() + " is");
            } else {
                green(r.name(), evidence);
            }
        } catch (IOException e) {
            yellow(
                    r.name(),
                    "%s, and its storage %s cannot be examined: %s"
                            .formatted(needs, storage.get(), e.getMessage()),
                    paths.command("storage DIR"));
        }
    }

    /// A line that mounts the backing device by its label, its UUID or its name would write past
    /// Holdfast.
    private void fstab(StatusReport.Resource r, List<Path> disks) {
        int lines = 0;
        for (String line : text("etc/fstab").lines().toList()) {
            String[] fields = line.strip().split("\\s+");
            if (fields.length < 2 || fields[0].startsWith("#")) {
                continue;
            }
            lines++;
            Optional<Path> device = mounted(fields[0]);
            for (int i = 0; i < disks.size() && device.isPresent(); i++) {
                if (same(device.get(), disks.get(i))) {
                    red(
                            r.name(),
                            "/etc/fstab mounts its backing device %s at %s (%s)"
                                    .formatted(disks.get(i), fields[1], fields[0]),
                            "edit /etc/fstab: use /dev/holdfast/%s with _netdev,nofail"
                                    .formatted(i == 0 ? r.name() : r.name() + "." + i));
                    return;
                }
            }
        }
        green(
                r.name(),
                "none of the %d lines of /etc/fstab mounts its backing device".formatted(lines));
    }

    private Optional<Path> mounted(String source) {
        String[] tag = source.replace("\"", "").split("=", 2);
        if (tag.length == 1) {
            return source.startsWith("/")
                    ? Optional.of(system.resolve(source.substring(1)))
                    : Optional.empty();
        }
        String kind = tag[0].toLowerCase(java.util.Locale.ROOT);
        Path link = system.resolve("dev/disk/by-" + kind).resolve(tag[1]);
        if (Files.exists(link)) {
            return Optional.of(link);
        }
        // Without udev there are no links; blkid reads the devices themselves.
        String found = output("blkid", "-t", tag[0] + "=" + tag[1], "-o", "device").strip();
        return found.startsWith("/")
                ? Optional.of(Path.of(found.lines().findFirst().orElseThrow()))
                : Optional.empty();
    }

    private static boolean same(Path one, Path other) {
        try {
            return Files.isSameFile(one, other);
        } catch (IOException e) {
            return false;
        }
    }

    /// State on the filesystem that the resource carries would wait for itself (R13).
    private void stateNotOn(StatusReport.Resource r, List<Path> disks) {
        Optional<Long> state = number(paths.state(), "unix:dev");
        List<Path> devices = new ArrayList<>(disks);
        r.export().flatMap(StatusReport.Export::device).map(Path::of).ifPresent(devices::add);
        for (Path device : devices) {
            Optional<Long> carried = number(device, "unix:rdev");
            if (carried.isPresent() && carried.get() != 0 && carried.equals(state)) {
                red(
                        r.name(),
                        "%s lies on %s, which the resource carries"
                                .formatted(paths.state(), device),
                        "move state-dir to another filesystem");
                return;
            }
        }
        green(r.name(), "%s lies on another filesystem than it carries".formatted(paths.state()));
    }

    private static Optional<Long> number(Path path, String attribute) {
        try {
            return Optional.of(
                    ((Number) Files.getAttribute(path, attribute, new LinkOption[0])).longValue());
        } catch (IOException e) {
            return Optional.empty();
        }
    }

    private String text(String path) {
        return read(system.resolve(path));
    }

    /// Empty when it cannot be read: what it would say is then unknown.
    private static String read(Path file) {
        try {
            return Files.readString(file, java.nio.charset.StandardCharsets.ISO_8859_1);
        } catch (IOException e) {
            return "";
        }
    }

    /// What a program printed; empty when there is no such program, or it failed.
    private static String output(String... command) {
        try {
            Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
            process.getOutputStream().close();
            String text =
                    new String(
                            process.getInputStream().readAllBytes(),
                            java.nio.charset.StandardCharsets.UTF_8);
            return process.waitFor(5, TimeUnit.SECONDS) && process.exitValue() == 0 ? text : "";
        } catch (IOException e) {
            return "";
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return "";
        }
    }

    private void green(String subject, String evidence) {
        findings.add(Finding.green(subject, evidence));
    }

    private void yellow(String subject, String evidence, String next) {
        findings.add(Finding.yellow(subject, evidence, next));
    }

    private void red(String subject, String evidence, String next) {
        findings.add(Finding.red(subject, evidence, next));
    }
}
