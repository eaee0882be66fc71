package holdfast.interop;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.device.DeviceException;
import holdfast.replicator.device.FileBlockDevice;
import holdfast.replicator.nbd.Exports;
import holdfast.replicator.nbd.NbdLimits;
import holdfast.replicator.nbd.NbdServer;
import holdfast.replicator.nbd.PayloadPool;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.ResourceAccessMode;
import org.junit.jupiter.api.parallel.ResourceLock;

import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;

/// Real clients against the NBD server, over files. Each command here is listed in `docs/nbd.md`.
///
/// There are four exports over 64 MiB each: `disk` does its I/O in the connection's thread, `later`
/// answers from other threads, `fixed` is read-only and shares the file of `sparse`, which has
/// holes.
@Timeout(100)
@ResourceLock(value = "mounts and loop devices", mode = ResourceAccessMode.READ)
class NbdClientsTest {
    private static final int SIZE_BYTES = 64 << 20;

    @TempDir Path directory;

    private final List<FileBlockDevice> devices = new ArrayList<>();
    private final PayloadPool pool = new PayloadPool();
    private ExecutorService others;
    private NbdServer server;
    private Path socket;

    @BeforeEach
    void serve() throws IOException {
        others = Executors.newFixedThreadPool(4);
        socket = directory.resolve("nbd.sock");
        FileBlockDevice sparse = device("sparse");
        sparse.write(8 << 20, ByteBuffer.wrap(random(1 << 20)));
        server =
                new NbdServer(
                        Exports.of(
                                List.of(
                                        new DeviceExport(
                                                "disk", device("disk"), false, Runnable::run),
                                        new DeviceExport("later", device("later"), false, others),
                                        new DeviceExport("sparse", sparse, false, Runnable::run),
                                        new DeviceExport("fixed", sparse, true, Runnable::run))),
                        pool,
                        NbdLimits.DEFAULT);
        server.listenUnix(socket);
    }

    @AfterEach
    void stop() throws InterruptedException {
        boolean ended = server.close(Duration.ofSeconds(10));
        others.shutdown();
        others.awaitTermination(10, TimeUnit.SECONDS);
        devices.forEach(FileBlockDevice::close);
        assertTrue(ended, "a connection did not end");
        assertEquals(0, pool.usedBytes(), "a buffer was not given back");
    }

    @Test
    void nbdinfo() throws Exception {
        String info = Tool.run("nbdinfo", uri("disk"));
        for (String line :
                List.of(
                        "using structured packets",
                        "export-size: " + SIZE_BYTES,
                        "base:allocation",
                        "is_read_only: false",
                        "can_cache: true",
                        "can_df: true",
                        "can_fast_zero: false",
                        "can_flush: true",
                        "can_fua: true",
                        "can_multi_conn: true",
                        "can_trim: true",
                        "can_zero: true",
                        "block_size_minimum: 1",
                        "block_size_maximum: 33554432")) {
            assertTrue(info.contains(line), () -> line + "\n" + info);
        }
        assertTrue(Tool.run("nbdinfo", uri("fixed")).contains("is_read_only: true"));
        String list = Tool.run("nbdinfo", "--list", uri(""));
        for (String name : List.of("disk", "later", "sparse", "fixed")) {
            assertTrue(list.contains("export=\"" + name + "\""), list);
        }
        assertTrue(Tool.run("nbdinfo", "--json", uri("disk")).contains("\"structured\": true"));
        assertEquals(
                String.valueOf(SIZE_BYTES), Tool.run("nbdinfo", "--size", uri("disk")).strip());
        assertEquals(
                "0 8388608 3 hole,zero\n8388608 1048576 0 data\n9437184 57671680 3 hole,zero",
                Tool.run("nbdinfo", "--map", uri("sparse"))
                        .strip()
                        .replaceAll("(?m)^ +", "")
                        .replaceAll(" +", " "));
        assertTrue(Tool.tryRun("nbdinfo", uri("nobody")).exitCode() != 0);
    }

    @Test
    void nbdcopyInAndOutOverManyConnections() throws Exception {
        Path image = image();
        Path copy = directory.resolve("copy");
        for (String name : List.of("disk", "later")) {
            Tool.run(
                    "nbdcopy",
                    "--connections=4",
                    "--requests=64",
                    "--flush",
                    image.toString(),
                    uri(name));
            assertEquals(-1, Files.mismatch(image, directory.resolve(name)));
            Tool.run("nbdcopy", "--connections=4", "--requests=64", uri(name), copy.toString());
            assertEquals(-1, Files.mismatch(image, copy));
        }
        Tool.run("nbdcopy", "--synchronous", uri("sparse"), copy.toString());
        assertEquals(-1, Files.mismatch(directory.resolve("sparse"), copy));
        Tool.run("nbdcopy", "--destination-is-zero", uri("sparse"), uri("later"));
    }

    @Test
    void nbddump() throws Exception {
        String dump = Tool.run("nbddump", "--length", "4096", uri("sparse"));
        assertTrue(dump.startsWith("0000000000: 00 00"), dump);
    }

    @Test
    void libnbdFromPython() throws Exception {
        for (String name : List.of("disk", "later")) {
            String output =
                    Tool.run(
                            "/usr/bin/python3",
                            script("libnbd_client.py"),
                            uri(name),
                            uri("fixed"));
            assertTrue(output.contains("content"), output);
        }
    }

    @Test
    void qemuImg() throws Exception {
        Path image = image();
        Path copy = directory.resolve("copy");
        Tool.run("qemu-img", "info", "--output=json", uri("disk"));
        Tool.run(
                "qemu-img",
                "convert",
                "-n",
                "-f",
                "raw",
                "-O",
                "raw",
                "-W",
                "-m",
                "8",
                image.toString(),
                uri("disk"));
        Tool.run("qemu-img", "compare", "-f", "raw", "-F", "raw", image.toString(), uri("disk"));
        Tool.run("qemu-img", "convert", "-f", "raw", "-O", "raw", uri("disk"), copy.toString());
        assertEquals(-1, Files.mismatch(image, copy));
        String map = Tool.run("qemu-img", "map", "--output=json", "-f", "raw", uri("sparse"));
        assertTrue(map.contains("\"start\": 8388608, \"length\": 1048576"), map);
        for (String name : List.of("disk", "later")) {
            Tool.run("qemu-img", "bench", "-c", "3000", "-d", "32", "-f", "raw", uri(name));
            Tool.run(
                    "qemu-img",
                    "bench",
                    "-w",
                    "-c",
                    "3000",
                    "-d",
                    "32",
                    "--flush-interval=500",
                    "-f",
                    "raw",
                    uri(name));
        }
    }

    @Test
    void qemuIo() throws Exception {
        for (String name : List.of("disk", "later")) {
            String output =
                    Tool.run(
                            "qemu-io",
                            "-f",
                            "raw",
                            "-c",
                            "write -P 0xa5 0 1M",
                            "-c",
                            "read -P 0xa5 0 1M",
                            "-c",
                            "write -f -P 0x5a 1000 3000",
                            "-c",
                            "read -P 0x5a 1000 3000",
                            "-c",
                            "read -P 0xa5 4000 96",
                            "-c",
                            "write -z 64k 128k",
                            "-c",
                            "read -P 0 64k 128k",
                            "-c",
                            "write -z -u 256k 128k",
                            "-c",
                            "read -P 0 256k 128k",
                            "-c",
                            "discard 512k 256k",
                            "-c",
                            "aio_write -P 1 2M 1M",
                            "-c",
                            "aio_write -P 2 3M 1M",
                            "-c",
                            "aio_read 8M 1M",
                            "-c",
                            "aio_flush",
                            "-c",
                            "read -P 1 2M 1M",
                            "-c",
                            "read -P 2 3M 1M",
                            "-c",
                            "write -P 3 32M 32M",
                            "-c",
                            "read -P 3 32M 32M",
                            "-c",
                            "flush",
                            "-c",
                            "map",
                            uri(name));
            assertTrue(!output.contains("failed") && !output.contains("rror"), output);
        }
        Tool.Result refused =
                Tool.tryRun("qemu-io", "-f", "raw", "-c", "write 0 512", uri("fixed"));
        assertTrue(refused.exitCode() != 0, refused.output());
    }

    @Test
    void fioVerifiesWhatItWrote() throws Exception {
        for (String name : List.of("disk", "later")) {
            fio(name, "--rw=randwrite", "--bs=4k", "--size=32m");
            fio(name, "--rw=randrw", "--bsrange=512-128k", "--bs_unaligned=0", "--size=16m");
            fio(
                    name,
                    "--rw=randwrite",
                    "--bs=4k",
                    "--size=8m",
                    "--numjobs=4",
                    "--offset_increment=8m");
        }
        fio("disk", "--rw=write", "--bs=1m", "--size=64m");
        fio("disk", "--rw=randtrim", "--bs=64k", "--size=16m", "--verify=0");
    }

    private void fio(String name, String... options) throws Exception {
        List<String> command =
                new ArrayList<>(
                        List.of(
                                "fio",
                                "--name=verify",
                                "--ioengine=nbd",
                                "--uri=" + uri(name),
                                "--iodepth=32",
                                "--verify=crc32c",
                                "--verify_fatal=1",
                                "--verify_state_save=0",
                                "--randseed=5",
                                "--group_reporting"));
        command.addAll(List.of(options));
        String output = Tool.run(command.toArray(String[]::new));
        assertTrue(output.contains("err= 0"), output);
    }

    @Test
    void nbdkitAsAProxyBetween() throws Exception {
        Path image = image();
        Path between = directory.resolve("between.sock");
        Path copy = directory.resolve("copy");
        Process nbdkit =
                Tool.start(
                        directory.resolve("nbdkit.out"),
                        "nbdkit",
                        "-f",
                        "-U",
                        between.toString(),
                        "nbd",
                        "uri=" + uri("disk"));
        try {
            String through = "nbd+unix:///?socket=" + between;
            awaitFile(between);
            Tool.run("nbdcopy", "--flush", image.toString(), through);
            Tool.run("nbdcopy", through, copy.toString());
            assertEquals(-1, Files.mismatch(image, copy));
            assertEquals(-1, Files.mismatch(image, directory.resolve("disk")));
        } finally {
            nbdkit.destroy();
            nbdkit.waitFor();
        }
    }

    @Test
    void nbdfuseWithALoopDeviceAndExt4() throws Exception {
        for (String name : List.of("disk", "later")) {
            String output =
                    Tool.run("sh", script("ext4-over-nbdfuse.sh"), uri(name), directory.toString());
            assertTrue(output.contains("content"), output);
        }
        // What the filesystem left is whole without the server as well.
        Tool.run("e2fsck", "-fn", directory.resolve("disk").toString());
    }

    private FileBlockDevice device(String name) throws DeviceException {
        FileBlockDevice device = FileBlockDevice.create(directory.resolve(name), SIZE_BYTES);
        devices.add(device);
        return device;
    }

    /// 64 MiB of which some are zero.
    private Path image() throws IOException {
        Path image = directory.resolve("image");
        try (FileChannel channel =
                FileChannel.open(image, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
            channel.write(ByteBuffer.wrap(random(24 << 20)), 0);
            channel.write(ByteBuffer.wrap(random(3_000_000)), 40 << 20);
            channel.write(ByteBuffer.wrap(new byte[] {1}), SIZE_BYTES - 1);
        }
        return image;
    }

    private static byte[] random(int bytes) {
        byte[] random = new byte[bytes];
        new Random(bytes).nextBytes(random);
        return random;
    }

    private String uri(String name) {
        return "nbd+unix:///" + name + "?socket=" + socket;
    }

    private static String script(String name) throws URISyntaxException {
        return Path.of(NbdClientsTest.class.getResource(name).toURI()).toString();
    }

    private static void awaitFile(Path file) throws InterruptedException {
        for (int i = 0; i < 100 && !Files.exists(file); i++) {
            TimeUnit.MILLISECONDS.sleep(
                    50); // Another process makes it; there is nothing to wait on.
        }
    }
}
