package holdfast.replicator.daemon;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

/// Connects the kernel's own NBD client to an export, where the kernel has one: `/dev/nbdN`, with
/// `/dev/holdfast/NAME` leading to it. `nbd-client` does the talking.
///
/// The connection does not outlive a restart of the daemon yet: detach before stopping it.
final class KernelDevice {
    /// Of the kernel, seconds without an answer after which it gives a request up; 0 is never.
    private static final String TIMEOUT_SECONDS = "0";

    private static final int COMMAND_SECONDS = 20;

    private final Path sysBlock;
    private final Path dev;

    KernelDevice() {
        this(Path.of("/sys/block"), Path.of("/dev"));
    }

    /// For tests: other places than the kernel's.
    KernelDevice(Path sysBlock, Path dev) {
        this.sysBlock = sysBlock;
        this.dev = dev;
    }

    /// Whether the kernel offers NBD devices; what loads the module is the host's configuration.
    boolean isThere() {
        return Files.exists(sysBlock.resolve("nbd0"));
    }

    /// The first device that nobody is connected to.
    Optional<String> free() {
        for (int i = 0; Files.exists(sysBlock.resolve("nbd" + i)); i++) {
            // The kernel shows the owner's process id for as long as a device is connected.
            if (!Files.exists(sysBlock.resolve("nbd" + i).resolve("pid"))) {
                return Optional.of("nbd" + i);
            }
        }
        return Optional.empty();
    }

    /// Connects a free device.
    ///
    /// @return its path, or that of the link to it
    /// @throws IOException if none is free or `nbd-client` fails; its words are in the message
    Path connect(String name, Path socket) throws IOException {
        String device =
                free().orElseThrow(
                                () ->
                                        new IOException(
                                                "every NBD device of the kernel is in use; raise"
                                                        + " nbds_max of the nbd module"));
        Path node = dev.resolve(device);
        run(
                "nbd-client",
                "-unix",
                socket.toString(),
                node.toString(),
                "-name",
                name,
                "-timeout",
                TIMEOUT_SECONDS);
        Path link = dev.resolve("holdfast").resolve(name);
        Files.createDirectories(link.getParent());
        Files.deleteIfExists(link);
        Files.createSymbolicLink(link, node);
        return link;
    }

    /// Takes the device off the export again; without effect when it was not connected.
    ///
    /// @throws IOException if the device is in use, or `nbd-client` fails
    void disconnect(String name) throws IOException {
        Path link = dev.resolve("holdfast").resolve(name);
        if (!Files.isSymbolicLink(link)) {
            return;
        }
        run("nbd-client", "-d", Files.readSymbolicLink(link).toString());
        Files.deleteIfExists(link);
    }

    private static void run(String... command) throws IOException {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        try {
            process.getOutputStream().close();
            String said =
                    new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8)
                            .strip();
            if (!process.waitFor(COMMAND_SECONDS, TimeUnit.SECONDS)) {
                throw new IOException(String.join(" ", command) + " does not end");
            }
            if (process.exitValue() != 0) {
                throw new IOException(
                        "%s ended with %d: %s"
                                .formatted(String.join(" ", command), process.exitValue(), said));
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted", e);
        } finally {
            process.destroyForcibly();
        }
    }
}
