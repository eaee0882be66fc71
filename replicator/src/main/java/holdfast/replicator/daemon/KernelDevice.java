package holdfast.replicator.daemon;

import holdfast.replicator.device.FileBlockDevice;
import holdfast.replicator.device.NbdNetlink;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;

/// Connects the kernel's own NBD client to an export, where the kernel has one: `/dev/nbdN`, with
/// `/dev/holdfast/NAME` leading to it. `nbd-client` does the talking. A further volume of a
/// resource has a device of its own, under [#name].
///
/// The connection does not outlive the daemon yet: what is mounted then sees I/O errors. Which
/// device was a resource's stands in the run directory, so that the next daemon knows the dead
/// connection for its own, and a device that somebody else uses meanwhile for theirs. A crash
/// between `nbd-client` and that record leaves a dead device behind, which nobody is harmed by.
public final class KernelDevice {
    /// Of the kernel, seconds without an answer after which it gives a request up; 0 is never.
    private static final String TIMEOUT_SECONDS = "0";

    private static final int COMMAND_SECONDS = 20;

    /// How often it is asked, while a sync waits, whether that can still succeed.
    private static final int LOOK_MILLIS = 100;

    /// What the kernel counts sizes in.
    private static final int SECTOR_BYTES = 512;

    private final Path sysBlock;
    private final Path dev;
    private final Path records;

    /// The resources whose connection is to this process, and so alive.
    private final Set<String> alive = ConcurrentHashMap.newKeySet();

    /// Devices that a connect under way has chosen: the kernel shows no owner of them yet. Also
    /// those that are being told a size.
    private final Set<String> chosen = ConcurrentHashMap.newKeySet();

    /// @param records the run directory
    public KernelDevice(Path records) {
        this(Path.of("/sys/block"), Path.of("/dev"), records);
    }

    /// For tests: other places than the kernel's.
    KernelDevice(Path sysBlock, Path dev, Path records) {
        this.sysBlock = sysBlock;
        this.dev = dev;
        this.records = records;
    }

    /// What the device of a volume is called: `home`, then `home.1`, which no resource can be.
    static String name(String resource, int volume) {
        return volume == 0 ? resource : resource + "." + volume;
    }

    /// Whether the kernel offers NBD devices; what loads the module is the host's configuration.
    public boolean isThere() {
        return Files.exists(sysBlock.resolve("nbd0"));
    }

    /// The first device that nobody is connected to, nor about to be. Until [#chose] it is chosen
    /// for nobody else.
    Optional<String> choose() {
        for (int i = 0; Files.exists(sysBlock.resolve("nbd" + i)); i++) {
            String device = "nbd" + i;
            if (owner(device).isEmpty() && chosen.add(device)) {
                if (owner(device).isEmpty()) {
                    return Optional.of(device);
                }
                chosen.remove(device); // Another has chosen and connected it in between.
            }
        }
        return Optional.empty();
    }

    /// It has an owner by now, or is left as it was.
    void chose(String device) {
        chosen.remove(device);
    }

    /// The device that is connected for a resource, by this process or by one before it.
    Optional<String> of(String name) throws IOException {
        Path record = record(name);
        if (!Files.exists(record)) {
            return Optional.empty();
        }
        String[] words = Files.readString(record).strip().split(" ");
        return words.length == 2 && owner(words[0]).equals(Optional.of(words[1]))
                ? Optional.of(words[0])
                : Optional.empty();
    }

    /// Connects a free device, or finds the one that is connected.
    ///
    /// @param export what it is called on the socket
    /// @return the link to it
    /// @throws IOException if none is free, if the device of an earlier daemon is still in use, or
    ///   if `nbd-client` fails; its words are in the message
    public Path connect(String name, String export, Path socket) throws IOException {
        Path link = link(name);
        if (isConnected(name)) {
            return link;
        }
        try {
            disconnect(name);
        } catch (IOException e) {
            throw new IOException(
                    "its device is still in use, though the connection ended with the daemon before: "
                            + e.getMessage()
                            + "; unmount it, then attach again",
                    e);
        }
        String device =
                choose().orElseThrow(
                                () ->
                                        new IOException(
                                                "every NBD device of the kernel is in use; raise"
                                                        + " nbds_max of the nbd module"));
        Path node = dev.resolve(device);
        String owner;
        try {
            run(
                    "nbd-client",
                    "-unix",
                    socket.toString(),
                    node.toString(),
                    "-name",
                    export,
                    "-timeout",
                    TIMEOUT_SECONDS);
            owner = owner(device).orElseThrow(() -> new IOException(node + " was not connected"));
        } finally {
            chose(device);
        }
        Files.writeString(record(name), device + " " + owner + "\n");
        alive.add(name);
        Files.createDirectories(link.getParent());
        Files.createSymbolicLink(link, node);
        return link;
    }

    /// As the other one, of one device, and however long its sync takes.
    public void disconnect(String name) throws IOException {
        disconnect(List.of(name), () -> true);
    }

    /// Takes devices off their exports again, all of them or none; without effect on one that was
    /// not connected. The kernel itself would do so under a mounted filesystem as well.
    ///
    /// What a program left in the page cache is written first, for which nobody would be told: not
    /// to a connection that is dead, nor to a disk that has failed, which never takes it, or that
    /// hangs, which would be waited for without end.
    ///
    /// Nothing is durable but the records: after a crash at any step the next [#connect] or
    /// `disconnect` takes away what is left.
    ///
    /// @param syncs whether a sync can still succeed; asked again while one waits
    /// @throws IOException if a device is in use, or a sync fails: nothing has changed then. Or if
    ///   `nbd-client` fails, or the kernel does not let go: the message says of which device, and
    ///   those before it are disconnected
    void disconnect(List<String> names, BooleanSupplier syncs) throws IOException {
        Map<String, FileBlockDevice> held = new LinkedHashMap<>();
        try {
            for (String name : names) {
                Optional<String> device = of(name);
                if (device.isPresent()) {
                    held.put(name, hold(dev.resolve(device.get())));
                }
            }
            for (String name : held.keySet()) {
                if (alive.contains(name)) {
                    sync(held.get(name), syncs);
                }
            }
            List<String> gone = new ArrayList<>();
            for (Map.Entry<String, FileBlockDevice> entry : held.entrySet()) {
                String each = entry.getValue().toString();
                try {
                    run("nbd-client", "-d", each);
                } catch (IOException e) {
                    String before = String.join(" and ", gone);
                    throw gone.isEmpty()
                            ? e
                            : new IOException(e.getMessage() + "; gone is " + before, e);
                }
                gone.add(each);
                // At once: the device may soon be another resource's.
                alive.remove(entry.getKey());
                Files.deleteIfExists(link(entry.getKey()));
            }
        } finally {
            held.values().forEach(FileBlockDevice::close);
        }
        for (FileBlockDevice each : held.values()) {
            String device = each.node().path().getFileName().toString();
            // The kernel lets go when the last one who had it open has closed it.
            for (int i = 0; owner(device).isPresent(); i++) {
                if (i == 10 * COMMAND_SECONDS) {
                    throw new IOException(each + " stays connected");
                }
                LockSupport.parkNanos(100_000_000);
            }
        }
        for (String name : names) {
            alive.remove(name);
            Files.deleteIfExists(link(name));
            Files.deleteIfExists(record(name));
        }
    }

    /// A sync that is given up ends when its device is disconnected, with an error that nobody asks
    /// for.
    private static void sync(FileBlockDevice held, BooleanSupplier syncs) throws IOException {
        if (!syncs.getAsBoolean()) {
            return;
        }
        FutureTask<Void> sync =
                new FutureTask<>(
                        () -> {
                            held.sync();
                            return null;
                        });
        Thread.ofPlatform().daemon().name("kernel-device-sync").start(sync);
        do {
            try {
                sync.get(LOOK_MILLIS, TimeUnit.MILLISECONDS);
                return;
            } catch (TimeoutException e) {
                // Asked again below.
            } catch (ExecutionException e) {
                throw new IOException(e.getCause().getMessage(), e.getCause());
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new IOException("interrupted", e);
            }
        } while (syncs.getAsBoolean());
    }

    /// Tells the kernel that the export has become larger; what is mounted stays mounted. Without
    /// effect where this process has not connected it, or the device has that size. Nothing of it
    /// is durable: a connection that is made anew has the size of the export. Since Linux 6.9 it
    /// waits for what is in flight at the device.
    ///
    /// @return whether the device had another size
    /// @throws IOException if the kernel refuses; the device has the size it had
    boolean resize(String name, long sizeBytes) throws IOException {
        Optional<String> device = of(name);
        Optional<Long> shown = sizeBytes(name);
        if (device.isEmpty() || shown.isEmpty() || shown.get() == sizeBytes) {
            return false;
        }
        // Chosen for nobody else until the kernel has answered: should it be disconnected meanwhile
        // it does not become that of another resource, which would have this size then.
        if (!chosen.add(device.get())) {
            return false; // It went meanwhile, and another resource has chosen it.
        }
        try {
            if (!of(name).equals(device)) {
                return false;
            }
            NbdNetlink.resize(Integer.parseInt(device.get().substring(3)), sizeBytes);
        } finally {
            chose(device.get());
        }
        return true;
    }

    /// How large the kernel shows the device of a resource; absent where this process has not
    /// connected it.
    ///
    /// @throws IOException if the kernel does not show it; the message says of which device
    Optional<Long> sizeBytes(String name) throws IOException {
        Optional<String> device = of(name);
        if (!alive.contains(name) || device.isEmpty()) {
            return Optional.empty();
        }
        Path sectors = sysBlock.resolve(device.get()).resolve("size");
        try {
            return Optional.of(Long.parseLong(Files.readString(sectors).strip()) * SECTOR_BYTES);
        } catch (IOException | NumberFormatException e) {
            throw new IOException(
                    "the size of %s cannot be read in %s: %s"
                            .formatted(link(name), sectors, e.getMessage()),
                    e);
        }
    }

    /// @throws IOException if the device of a resource is in use; the message says by whom
    void requireUnused(String name) throws IOException {
        Optional<String> device = of(name);
        if (device.isPresent()) {
            hold(dev.resolve(device.get())).close();
        }
    }

    /// Whether this process has a client of the kernel's for a resource.
    boolean isConnected(String name) throws IOException {
        return alive.contains(name) && of(name).isPresent();
    }

    /// Opens a device that nobody else uses, exclusively, so that nobody mounts it meanwhile.
    private static FileBlockDevice hold(Path node) throws IOException {
        FileBlockDevice held = FileBlockDevice.hold(node);
        try {
            Optional<String> user = held.node().openedBy();
            if (user.isPresent()) {
                throw new IOException("%s is open in %s".formatted(node, user.get()));
            }
            return held;
        } catch (IOException | RuntimeException e) {
            held.close();
            throw e;
        }
    }

    private Path link(String name) {
        return dev.resolve("holdfast").resolve(name);
    }

    private Path record(String name) {
        return records.resolve(name + ".kernel");
    }

    /// The process that connected a device, which the kernel shows for as long as it is connected,
    /// though the process has ended long since.
    private Optional<String> owner(String device) {
        try {
            return Optional.of(Files.readString(sysBlock.resolve(device).resolve("pid")).strip());
        } catch (IOException e) {
            return Optional.empty();
        }
    }

    private static void run(String... command) throws IOException {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        try {
            process.getOutputStream().close();
            if (!process.waitFor(COMMAND_SECONDS, TimeUnit.SECONDS)) {
                throw new IOException(
                        "%s has not ended within %d s"
                                .formatted(String.join(" ", command), COMMAND_SECONDS));
            }
            if (process.exitValue() != 0) {
                throw new IOException(
                        "%s ended with %d: %s"
                                .formatted(
                                        String.join(" ", command),
                                        process.exitValue(),
                                        said(process.getInputStream())));
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted", e);
        } finally {
            process.destroyForcibly();
        }
    }

    /// What has arrived: a child that stays behind may keep the pipe open for ever.
    private static String said(InputStream output) throws IOException {
        return new String(output.readNBytes(output.available()), StandardCharsets.UTF_8).strip();
    }
}
