package holdfast.replicator.nbd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.List;
import java.util.Random;
import java.util.regex.Pattern;

/// What clients that keep the rules get. Commands are numbers, as in [HostileClientTest].
@Timeout(20)
class NbdServerTest {
    private static final int EIO = 5;
    private static final int ENOSPC = 28;

    @TempDir Path directory;

    private ServerFixture fixture;

    @BeforeEach
    void start() throws IOException {
        fixture = new ServerFixture(NbdLimits.DEFAULT);
    }

    @AfterEach
    void stop() throws IOException {
        fixture.close();
    }

    @Test
    void lateRepliesComeWhileLaterRequestsAreServed() throws Exception {
        fixture.disk.hold();
        try (RawClient client = fixture.open("disk")) {
            client.putRequest(0, 1, 1, 0, 4096).out.write(new byte[4096]);
            client.putRequest(0, 0, 2, 0, 512).send();
            assertEquals(0, client.simpleReply(2));
            client.in.readNBytes(512);
            assertTrue(fixture.disk.awaitFirstHeld());
            fixture.disk.letGo();
            assertEquals(0, client.simpleReply(1));
        }
    }

    @Test
    void readAndWriteOfTheLongestAtOnceDoNotBlockEachOther() throws IOException {
        // The client sends everything before it reads anything; no socket holds that much.
        try (RawClient client = fixture.open("disk")) {
            for (int cookie = 0; cookie < 12; cookie++) {
                client.putRequest(0, 0, cookie, 0, 4 << 20);
                client.putRequest(0, 1, 100 + cookie, 0, 4 << 20).out.write(new byte[4 << 20]);
            }
            client.send();
            for (int cookie = 0; cookie < 12; cookie++) {
                assertEquals(0, client.simpleReply(cookie));
                client.in.readNBytes(4 << 20);
                assertEquals(0, client.simpleReply(100 + cookie));
            }
        }
    }

    @Test
    void randomWritesReadBack() throws IOException {
        Random random = new Random(7);
        byte[] model = new byte[ServerFixture.SIZE_BYTES];
        try (RawClient client = fixture.open("disk")) {
            for (int i = 0; i < 300; i++) {
                int length = 1 + random.nextInt(i % 10 == 0 ? 300_000 : 5000);
                int offset = random.nextInt(model.length - length);
                byte[] data = new byte[length];
                random.nextBytes(data);
                System.arraycopy(data, 0, model, offset, length);
                client.putRequest(0, 1, i, offset, length).out.write(data);
                if (i % 7 == 0) {
                    client.send();
                    for (int cookie = Math.max(0, i - 6); cookie <= i; cookie++) {
                        assertEquals(0, client.simpleReply(cookie));
                    }
                }
            }
            client.send();
            for (int cookie = 295; cookie < 300; cookie++) {
                assertEquals(0, client.simpleReply(cookie));
            }
            client.putRequest(0, 0, 9, 0, model.length).send();
            assertEquals(0, client.simpleReply(9));
            assertArrayEquals(model, client.in.readNBytes(model.length));
        }
    }

    @Test
    void flagsReachTheExport() throws IOException {
        try (RawClient client = fixture.open("disk")) {
            client.putRequest(1, 1, 1, 0, 8).out.write(new byte[8]);
            client.send();
            assertEquals(0, client.simpleReply(1));
            assertEquals(0, client.request(1 | 2, 6, 0, 4096));
            assertEquals(0, client.request(0, 4, 4096, 4096));
            assertEquals(0, client.request(0, 3, 0, 0));
        }
        assertEquals(
                List.of("write 0+8 fua", "zero 0+4096 no-hole fua", "trim 4096+4096", "flush"),
                fixture.disk.calls());
    }

    @Test
    void everyErrorOfTheExportReachesTheClient() throws IOException {
        try (RawClient client = fixture.open("disk")) {
            fixture.disk.failWith = 122; // EDQUOT
            for (int command : new int[] {0, 3, 4, 6}) {
                assertEquals(ENOSPC, client.request(0, command, 0, command == 3 ? 0 : 512));
            }
            assertEquals(ENOSPC, client.request(0, 0, 0, 1 << 20));
            fixture.disk.failWith = 0;
            fixture.disk.throwing = true;
            for (int command : new int[] {0, 3, 4, 6}) {
                assertEquals(EIO, client.request(0, command, 0, command == 3 ? 0 : 512));
            }
            client.putRequest(0, 1, 1, 0, 512).out.write(new byte[512]);
            client.send();
            assertEquals(EIO, client.simpleReply(1));
            fixture.disk.throwing = false;
            assertEquals(0, client.request(0, 3, 0, 0));
        }
    }

    @Test
    void secondAnswerToARequestIsABug() throws Exception {
        Reply[] kept = new Reply[1];
        Export once =
                new ForwardingTrim(fixture.disk) {
                    @Override
                    public void trim(long offsetBytes, long lengthBytes, boolean fua, Reply reply) {
                        kept[0] = reply;
                        reply.done(0);
                    }
                };
        try (NbdServer server =
                new NbdServer(Exports.of(List.of(once)), fixture.pool, NbdLimits.DEFAULT)) {
            server.listenUnix(directory.resolve("s"));
            try (RawClient client = new RawClient(directory.resolve("s")).greet(3)) {
                client.go("disk");
                assertEquals(0, client.request(0, 4, 0, 512));
                assertThrows(IllegalStateException.class, () -> kept[0].done(0));
            }
        }
    }

    @Test
    void structuredReadsAndBlockStatus() throws IOException {
        fixture.disk.extents = List.of(Extent.data(4096), Extent.hole(8192), Extent.data(1 << 20));
        try (RawClient client = fixture.connect().greet(3)) {
            assertEquals(1, client.option(8, new byte[0]).type());
            client.putOption(10, RawClient.contexts("disk", "base:allocation")).send();
            assertEquals(4, client.optionReply(10).type());
            assertEquals(1, client.optionReply(10).type());
            client.go("disk");
            client.putRequest(4, 0, 5, 512, 1024).send(); // DF
            assertEquals(0x668e33ef, client.in.readInt());
            assertEquals(0x00010001, client.in.readInt());
            assertEquals(5, client.in.readLong());
            assertEquals(8 + 1024, client.in.readInt());
            assertEquals(512, client.in.readLong());
            client.in.readNBytes(1024);
            client.putRequest(0, 7, 6, 0, 16384).putRequest(8, 7, 7, 0, 16384).send();
            assertExtents(client, 6, 4096, 0, 8192, 3, 4096, 0);
            assertExtents(client, 7, 4096, 0);
            client.putRequest(0, 0, 8, ServerFixture.SIZE_BYTES, 1)
                    .send(); // Never a simple reply to a read.
            assertEquals(0x668e33ef, client.in.readInt());
            assertEquals(0x00018001, client.in.readInt());
        }
    }

    @Test
    void extendedHeadersWithStatusPayload() throws IOException {
        fixture.disk.extents = List.of(Extent.hole(1 << 30));
        try (RawClient client = fixture.connect().greet(3)) {
            assertEquals(1, client.option(11, new byte[0]).type());
            client.putOption(10, RawClient.contexts("disk", "base:allocation")).send();
            client.optionReply(10);
            client.optionReply(10);
            assertEquals(1 << 12, client.go("disk") & 1 << 12);
            client.putExtended(32, 1, 1, 4096, 512).out.write(new byte[512]);
            client.putExtended(32, 7, 2, 4096, 12).out.writeLong(8192);
            client.out.writeInt(1);
            client.putExtended(32, 7, 3, 4096, 12).out.writeLong(8192);
            client.out.writeInt(2); // There is no such context.
            client.putExtended(32, 7, 4, 0, 16).out.writeLong(8192);
            client.out.writeLong(1L << 32 | 1); // Twice the same.
            client.putExtended(0, 6, 5, 4096, -1); // 2^64 - 1 bytes of zeroes
            client.putExtended(32, 4, 6, 0, 3).out.write(new byte[3]); // TRIM has no payload.
            client.putExtended(0, 4, 7, 0, ServerFixture.SIZE_BYTES);
            client.send();
            assertExtendedReply(client, 1, 0, 4096, 0);
            assertExtendedReply(client, 2, 6, 4096, 8 + 16);
            assertEquals(1, client.in.readInt());
            assertEquals(1, client.in.readInt());
            assertEquals(8192, client.in.readLong());
            assertEquals(3, client.in.readLong());
            for (int cookie = 3; cookie <= 6; cookie++) {
                assertExtendedReply(
                        client, cookie, 0x8001, cookie == 3 || cookie == 5 ? 4096 : 0, 6);
                assertEquals(cookie == 5 ? ENOSPC : 22, client.in.readInt());
                assertEquals(0, client.in.readShort());
            }
            assertExtendedReply(client, 7, 0, 0, 0);
        }
    }

    @Test
    void stopFinishesWhatWasReadRepliesAndCloses() throws Exception {
        fixture.disk.hold();
        try (RawClient client = fixture.open("disk")) {
            client.putRequest(0, 1, 1, 0, 4096).out.write(new byte[4096]);
            client.putRequest(0, 3, 2, 0, 0).send();
            assertTrue(fixture.disk.awaitFirstHeld());
            Thread stopping =
                    Thread.ofVirtual().start(() -> fixture.server.close(Duration.ofSeconds(10)));
            assertFalse(stopping.join(Duration.ofMillis(50)));
            fixture.disk.letGo();
            assertEquals(0, client.simpleReply(1));
            assertEquals(0, client.simpleReply(2));
            assertEquals(-1, client.in.read());
            client.close();
            stopping.join();
        }
        assertEquals(1, fixture.disk.closed.get());
        assertFalse(Files.exists(fixture.socket));
        assertThrows(IOException.class, () -> fixture.connect());
    }

    @Test
    void stopDoesNotWaitForEverForRequestsInFlight() throws Exception {
        fixture.disk.hold();
        try (RawClient client = fixture.open("disk")) {
            client.putRequest(0, 3, 2, 0, 0).send();
            assertTrue(fixture.disk.awaitFirstHeld());
            assertFalse(fixture.server.close(Duration.ofMillis(50)));
            assertEquals(-1, client.in.read());
            fixture.disk.letGo();
        }
    }

    @Test
    void oneExportCanBeDisconnectedAlone() throws Exception {
        try (RawClient client = fixture.open("disk");
                RawClient other = fixture.open("other")) {
            Thread ending =
                    Thread.ofVirtual()
                            .start(
                                    () ->
                                            fixture.server.disconnect(
                                                    export -> export == fixture.disk,
                                                    Duration.ofSeconds(5)));
            assertEquals(-1, client.in.read());
            client.close();
            ending.join();
            assertEquals(0, other.request(0, 3, 0, 0));
            assertEquals(
                    List.of("other"),
                    fixture.server.clients().stream().map(NbdServer.Client::export).toList());
        }
    }

    @Test
    void tcpServesButDoesNotListUnasked() throws Exception {
        InetSocketAddress address =
                fixture.server.listenTcp(
                        new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), false);
        try (RawClient client = new RawClient(SocketChannel.open(address)).greet(3)) {
            assertEquals(0x80000002, client.option(3, new byte[0]).type());
            client.go("disk");
            assertEquals(0, client.request(0, 3, 0, 0));
        }
    }

    /// The kernel asks: a host without power closes nothing.
    @Test
    void aTcpClientThatSaysNothingIsAskedWhetherItIsThere() throws Exception {
        InetSocketAddress address =
                fixture.server.listenTcp(
                        new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), false);
        try (SocketChannel channel = SocketChannel.open(address);
                RawClient _ = new RawClient(channel).greet(3)) {
            int port = ((InetSocketAddress) channel.getLocalAddress()).getPort();
            String ends = "%04X [0-9A-F]*:%04X 01 ".formatted(address.getPort(), port);
            Pattern keepalive = Pattern.compile(":" + ends + "\\S+ 02:");
            String sockets =
                    Files.readString(Path.of("/proc/net/tcp"))
                            + Files.readString(Path.of("/proc/net/tcp6"));
            assertTrue(keepalive.matcher(sockets).find(), sockets);
        }
    }

    @Test
    void connectionsBeyondTheLimitAreClosedAtOnce() throws Exception {
        NbdLimits two =
                new NbdLimits(
                        2, 2, Duration.ofSeconds(5), Duration.ofSeconds(5), 4, 1 << 20, 1 << 20);
        Path socket = directory.resolve("s");
        try (NbdServer server =
                new NbdServer(Exports.of(List.of(fixture.other)), fixture.pool, two)) {
            server.listenUnix(socket);
            try (RawClient one = new RawClient(socket).greet(3);
                    RawClient other = new RawClient(socket).greet(3);
                    RawClient refused = new RawClient(socket)) {
                assertTrue(refused.closedByServer());
                one.go("other");
                other.go("other");
            }
        }
    }

    @Test
    void socketBelongsToItsOwnerAloneAndIsNotStolen() throws Exception {
        assertEquals(
                "rw-------",
                PosixFilePermissions.toString(Files.getPosixFilePermissions(fixture.socket)));
        try (NbdServer second =
                new NbdServer(Exports.of(List.of()), fixture.pool, NbdLimits.DEFAULT)) {
            assertThrows(FileAlreadyExistsException.class, () -> second.listenUnix(fixture.socket));
            Path file = Files.createFile(directory.resolve("file"));
            assertThrows(FileAlreadyExistsException.class, () -> second.listenUnix(file));
        }
        fixture.assertServesOthers();
    }

    @Test
    void socketThatNobodyAnswersOnIsReplaced() throws Exception {
        Path socket = directory.resolve("s");
        try (ServerSocketChannel crashed = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            crashed.bind(UnixDomainSocketAddress.of(socket));
        }
        assertTrue(Files.exists(socket));
        try (NbdServer server =
                new NbdServer(
                        Exports.of(List.of(fixture.other)), fixture.pool, NbdLimits.DEFAULT)) {
            server.listenUnix(socket);
            try (RawClient client = new RawClient(socket).greet(3)) {
                client.go("");
            }
        }
        try (var left = Files.list(directory)) {
            assertEquals(0, left.count());
        }
    }

    private static void assertExtents(RawClient client, long cookie, int... lengthsAndFlags)
            throws IOException {
        assertEquals(0x668e33ef, client.in.readInt());
        assertEquals(0x00010005, client.in.readInt());
        assertEquals(cookie, client.in.readLong());
        assertEquals(4 + 4 * lengthsAndFlags.length, client.in.readInt());
        assertEquals(1, client.in.readInt());
        for (int each : lengthsAndFlags) {
            assertEquals(each, client.in.readInt());
        }
    }

    private static void assertExtendedReply(
            RawClient client, long cookie, int type, long offset, long length) throws IOException {
        assertEquals(0x6e8a278c, client.in.readInt());
        assertEquals(0x00010000 | type, client.in.readInt());
        assertEquals(cookie, client.in.readLong());
        assertEquals(offset, client.in.readLong());
        assertEquals(length, client.in.readLong());
    }

    /// A memory export of which one method is another.
    private abstract static class ForwardingTrim implements Export {
        private final MemoryExport to;

        ForwardingTrim(MemoryExport to) {
            this.to = to;
        }

        @Override
        public String name() {
            return to.name();
        }

        @Override
        public long sizeBytes() {
            return to.sizeBytes();
        }

        @Override
        public boolean readOnly() {
            return false;
        }

        @Override
        public void read(long offsetBytes, ByteBuffer into) throws ExportException {
            to.read(offsetBytes, into);
        }

        @Override
        public void write(Payload payload, long offsetBytes, boolean fua, Reply reply) {
            to.write(payload, offsetBytes, fua, reply);
        }

        @Override
        public void writeZeroes(
                long offsetBytes, long lengthBytes, boolean noHole, boolean fua, Reply reply) {
            to.writeZeroes(offsetBytes, lengthBytes, noHole, fua, reply);
        }

        @Override
        public void flush(Reply reply) {
            to.flush(reply);
        }
    }
}
