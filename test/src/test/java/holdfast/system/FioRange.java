package holdfast.system;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BooleanSupplier;
import java.util.stream.Stream;

/// fio at work in a range of a device of its own, with blocks that carry their own offset and
/// checksum: many requests in flight, from a client that nobody here wrote.
///
/// What fio cannot say is which of its writes an image must hold; [BlockWriter] can.
final class FioRange {
    private static final Duration LIMIT = Duration.ofSeconds(60);

    private final Path dir;
    private final long offsetBytes;
    private final long sizeBytes;
    private final AtomicInteger numbers = new AtomicInteger();

    /// @param dir for what fio leaves behind
    FioRange(Path dir, long offsetBytes, long sizeBytes) throws IOException {
        this.dir = Files.createDirectories(dir);
        this.offsetBytes = offsetBytes;
        this.sizeBytes = sizeBytes;
    }

    /// Fills the range, so that each of its blocks can be checked from now on.
    void fill(String uri) throws Exception {
        String said = run(uri, () -> false, "--rw=write", "--do_verify=0");
        if (said == null || !said.isEmpty()) {
            throw new AssertionError("fio cannot fill its range: " + said);
        }
    }

    /// Writes here and there until `end` holds, or until fio ends because its server has gone. fio
    /// 3.33 does not notice that by itself while requests are in flight.
    void write(String uri, BooleanSupplier end) throws Exception {
        write(uri, 500, end);
    }

    /// @param rate writes a second at most
    void write(String uri, int rate, BooleanSupplier end) throws Exception {
        run(
                uri,
                end,
                "--rw=randwrite",
                "--iodepth=8",
                "--norandommap",
                "--time_based",
                "--runtime=300",
                "--rate_iops=" + rate,
                "--do_verify=0");
    }

    /// Reads the whole range and lets fio check it.
    ///
    /// @param away says that the server of this URI was taken away, and nothing can be read
    /// @return whether all of it was read
    /// @throws AssertionError if a block is not what fio wrote there
    boolean isIntact(String uri, BooleanSupplier away) throws Exception {
        String said =
                run(uri, away, "--rw=read", "--iodepth=8", "--do_verify=1", "--verify_fatal=1");
        if (said != null && said.contains("verify")) {
            throw new AssertionError("fio finds what it did not write:\n" + said);
        }
        return said != null && said.isEmpty();
    }

    /// @return what fio complained of; empty when it ended well, null when it had to be ended
    private String run(String uri, BooleanSupplier end, String... job) throws Exception {
        Path log = dir.resolve("fio-" + numbers.incrementAndGet() + ".log");
        List<String> command =
                Stream.concat(
                                Stream.of(
                                        "fio",
                                        // Its job in this process, not in a child that outlives it.
                                        "--thread",
                                        "--name=range",
                                        "--ioengine=nbd",
                                        "--uri=" + uri,
                                        "--bs=4k",
                                        "--offset=" + offsetBytes,
                                        "--size=" + sizeBytes,
                                        "--verify=crc32c",
                                        "--verify_state_save=0"),
                                Stream.of(job))
                        .toList();
        Process fio =
                new ProcessBuilder(command)
                        .directory(dir.toFile())
                        .redirectErrorStream(true)
                        .redirectOutput(log.toFile())
                        .start();
        fio.getOutputStream().close();
        long deadline =
                System.nanoTime() + LIMIT.toNanos() * (command.contains("--time_based") ? 6 : 1);
        try {
            while (!fio.waitFor(20, TimeUnit.MILLISECONDS)) {
                if (end.getAsBoolean()) {
                    return null;
                }
                if (System.nanoTime() > deadline) {
                    throw new AssertionError(String.join(" ", command) + " does not end");
                }
            }
            String said = Files.readString(log, StandardCharsets.UTF_8);
            return fio.exitValue() == 0 && !said.contains("verify:") ? "" : said;
        } finally {
            fio.destroyForcibly().waitFor();
            Files.deleteIfExists(log);
        }
    }
}
