package holdfast.tunnel.link;

import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.FrameCodec;
import holdfast.tunnel.wire.TrafficClass;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.util.Locale;
import java.util.Random;
import java.util.concurrent.atomic.AtomicLong;

import javax.net.ssl.SSLSocket;

/// How fast is one link, against TLS 1.3 of the same JDK alone, for data that cannot be compressed?
/// Sketch: encryption and decryption cost 0.5 ns/B each and run on one thread per side, as in the
/// plain case; the frames add one copy, one CRC at each end (0.03 ns/B each), and a try at
/// compression now and then; so 0.8 of it when each thread has a core of its own, less on two cores
/// that also run the pump.
///
/// Run by hand: `java -cp … holdfast.tunnel.link.LinkThroughput [MiB]`; once, small, by
/// [LinkThroughputTest].
final class LinkThroughput {
    private static final int BLOCK = 64 << 10;

    private LinkThroughput() {}

    public static void main(String[] args) throws Exception {
        long bytes = (args.length > 0 ? Long.parseLong(args[0]) : 1024) << 20;
        for (int i = 0; i < 4; i++) {
            double tls = tls(bytes);
            double off = link(bytes, Compression.OFF);
            double frame = link(bytes, Compression.FRAME);
            double stream = link(bytes, Compression.STREAM);
            System.out.printf(
                    Locale.ROOT,
                    "TLS alone %.0f MB/s; link off %.0f (%.2f), frame %.0f (%.2f), stream %.0f (%.2f)%n",
                    tls,
                    off,
                    off / tls,
                    frame,
                    frame / tls,
                    stream,
                    stream / tls);
        }
    }

    /// MB/s of blocking sockets: one thread writes blocks, the other reads them.
    static double tls(long bytes) throws Exception {
        Identity server = Identity.generate();
        Identity client = Identity.generate();
        try (var listener = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            Thread reader =
                    Thread.ofPlatform()
                            .start(
                                    () -> {
                                        try (Socket plain = listener.accept();
                                                var socket =
                                                        (SSLSocket)
                                                                new Tls(server)
                                                                        .context()
                                                                        .getSocketFactory()
                                                                        .createSocket(
                                                                                plain, null,
                                                                                true)) {
                                            socket.setSSLParameters(
                                                    Tls.parameters(
                                                            socket.getSSLParameters(), Tls.LINK));
                                            byte[] into = new byte[BLOCK];
                                            long left = bytes;
                                            while (left > 0) {
                                                left -= socket.getInputStream().read(into);
                                            }
                                            socket.getOutputStream().write(1);
                                        } catch (IOException e) {
                                            throw new IllegalStateException(e);
                                        }
                                    });
            try (var plain = new Socket()) {
                plain.connect(
                        new InetSocketAddress(
                                InetAddress.getLoopbackAddress(), listener.getLocalPort()));
                var socket =
                        (SSLSocket)
                                new Tls(client)
                                        .context()
                                        .getSocketFactory()
                                        .createSocket(plain, null, 1, true);
                socket.setUseClientMode(true);
                socket.setSSLParameters(Tls.parameters(socket.getSSLParameters(), Tls.LINK));
                socket.startHandshake();
                byte[] block = new byte[BLOCK];
                new Random(1).nextBytes(block);
                long start = System.nanoTime();
                for (long sent = 0; sent < bytes; sent += BLOCK) {
                    socket.getOutputStream().write(block);
                }
                socket.getInputStream().read();
                double seconds = (System.nanoTime() - start) / 1e9;
                reader.join();
                return bytes / 1e6 / seconds;
            }
        }
    }

    /// MB/s of one stream on one session, its credit renewed as a receiver would.
    static double link(long bytes, Compression how) throws Exception {
        try (var a = new TestNode("a");
                var b = new TestNode("b")) {
            TestNode.pair(a, b);
            a.endpoint.dial(b.listen());
            LinkSession out = a.awaitConnected();
            LinkSession in = b.awaitConnected();
            var got = new AtomicLong();
            b.reader =
                    (session, stream, frame) -> {
                        long length = FrameCodec.sizeOf(frame);
                        session.grant(stream, length);
                        got.addAndGet(length);
                    };
            // Blocks of a large random area, so that no two packets within the window are alike.
            byte[] random = new byte[64 << 20];
            new Random(2).nextBytes(random);
            var blocks = ByteBuffer.wrap(random);
            var given = new AtomicLong();
            StreamSource source =
                    new StreamSource() {
                        @Override
                        public Frame next(int budgetBytes) {
                            long at = given.getAndAdd(BLOCK);
                            return new Frame.SyncBlocks(
                                    0, at, at, blocks.slice((int) (at % random.length), BLOCK));
                        }

                        @Override
                        public TrafficClass trafficClass() {
                            return TrafficClass.FIRST_SYNC;
                        }
                    };
            out.addStream(1, source, how, 1);
            long start = System.nanoTime();
            in.grant(1, 8 << 20);
            while (got.get() < bytes) {
                Thread.sleep(1);
            }
            return got.get() / 1e6 / ((System.nanoTime() - start) / 1e9);
        }
    }
}
