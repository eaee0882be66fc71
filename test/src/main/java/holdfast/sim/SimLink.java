package holdfast.sim;

import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Packet;
import holdfast.tunnel.wire.PacketAssembler;
import holdfast.tunnel.wire.PacketCodec;
import holdfast.tunnel.wire.ProtocolException;

import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.List;
import java.util.function.BiConsumer;
import java.util.random.RandomGenerator;

/// One connection: an ordered stream of bytes each way, cut into any pieces, late, stalled, and cut
/// off at any byte. What travels are the bytes of the real codec, put together again by the real
/// assembler.
final class SimLink {
    /// Bytes of one direction on their way.
    final class Pipe {
        private final ArrayDeque<ByteBuffer> bytes = new ArrayDeque<>();
        private final PacketAssembler assembler;
        private final BiConsumer<Integer, List<Frame>> receiver;
        private final Runnable drained;
        private long queued;
        private boolean open;
        private boolean delivering;
        private long stalledUntil;
        private long carried;
        private long bytesUntilCut = Long.MAX_VALUE;

        /// What comes behind so many bytes, and takes none itself.
        private record Behind(long bytes, Runnable then) {}

        private final ArrayDeque<Behind> behind = new ArrayDeque<>();

        private Pipe(BiConsumer<Integer, List<Frame>> receiver, Runnable drained) {
            this.receiver = receiver;
            this.drained = drained;
            assembler = new PacketAssembler(this::packet);
        }

        private void packet(Packet packet) throws ProtocolException {
            receiver.accept(
                    packet.header().stream(),
                    PacketCodec.frames(packet.header(), packet.payload()));
        }

        void send(int stream, List<Frame> frames) {
            if (cut) {
                return; // The sender has not noticed yet.
            }
            ByteBuffer packet = PacketCodec.encodeRaw(stream, frames);
            queued += packet.remaining();
            bytes.add(packet);
            deliverLater();
        }

        /// Something that takes no bytes comes when all has that was sent before.
        void behindAll(Runnable then) {
            if (!cut) {
                behind.add(new Behind(carried + queued, then));
                arriveLater();
            }
        }

        private void arriveLater() {
            if (queued == 0) {
                agenda.in(
                        Math.max(delayNanos / 4, stalledUntil - agenda.nowNanos()),
                        () -> {
                            if (!open || stalledUntil > agenda.nowNanos()) {
                                arriveLater();
                            } else {
                                arrive();
                            }
                        });
            }
        }

        private void arrive() {
            while (!cut && !behind.isEmpty() && behind.peek().bytes() <= carried) {
                behind.poll().then().run();
            }
        }

        boolean hasRoom() {
            return queued < socketBytes;
        }

        /// Bytes that were sent, on their way or there.
        long sent() {
            return carried + queued;
        }

        long carried() {
            return carried;
        }

        /// The receiver has taken its end of the connection.
        void open() {
            open = true;
            deliverLater();
        }

        void stallUntil(long nanos) {
            stalledUntil = Math.max(stalledUntil, nanos);
        }

        void cutAfter(long count) {
            bytesUntilCut = count;
        }

        private void deliverLater() {
            if (open && !delivering && !bytes.isEmpty()) {
                delivering = true;
                int chunk =
                        1
                                + (random.nextInt(4) == 0
                                        ? random.nextInt(40)
                                        : random.nextInt(chunkBytesMax));
                chunk = (int) Math.min(chunk, queued);
                long delay = delayNanos / 4 + chunk * 1_000_000_000L / bytesPerSecond;
                int take = chunk;
                agenda.in(Math.max(delay, stalledUntil - agenda.nowNanos()), () -> deliver(take));
            }
        }

        private void deliver(int chunk) {
            delivering = false;
            if (cut) {
                return;
            }
            if (stalledUntil > agenda.nowNanos()) {
                deliverLater();
                return;
            }
            long left = Math.min(chunk, bytesUntilCut);
            bytesUntilCut -= bytesUntilCut == Long.MAX_VALUE ? 0 : left;
            try {
                while (left > 0 && !bytes.isEmpty() && !cut) {
                    ByteBuffer head = bytes.peek();
                    int part = (int) Math.min(left, head.remaining());
                    ByteBuffer piece = head.slice(head.position(), part);
                    head.position(head.position() + part);
                    if (!head.hasRemaining()) {
                        bytes.poll();
                    }
                    left -= part;
                    carried += part;
                    queued -= part;
                    assembler.accept(piece);
                }
            } catch (ProtocolException e) {
                throw new Violation("WIRE", e);
            }
            if (bytesUntilCut == 0 && !cut) {
                onCut.run();
                return;
            }
            arrive();
            drained.run();
            deliverLater();
        }
    }

    private final Agenda agenda;
    private final RandomGenerator random;
    private final int chunkBytesMax;
    private final long delayNanos;
    private final long socketBytes = 48 * 1024;
    private final Runnable onCut;
    private long bytesPerSecond;
    private boolean cut;
    private final long session;
    private final Pipe toSecond;
    private final Pipe toFirst;

    SimLink(
            Agenda agenda,
            RandomGenerator random,
            Scenario scenario,
            long session,
            BiConsumer<Integer, List<Frame>> second,
            BiConsumer<Integer, List<Frame>> first,
            Runnable firstDrained,
            Runnable secondDrained,
            Runnable onCut) {
        this.agenda = agenda;
        this.random = random;
        this.chunkBytesMax = scenario.chunkBytesMax();
        this.delayNanos = scenario.linkDelayNanos();
        this.bytesPerSecond = scenario.linkBytesPerSecond();
        this.session = session;
        this.onCut = onCut;
        toSecond = new Pipe(second, firstDrained);
        toFirst = new Pipe(first, secondDrained);
    }

    Simulation.Session carried() {
        return new Simulation.Session(toSecond.carried, toFirst.carried);
    }

    long session() {
        return session;
    }

    /// To the machine that is the backup until there is a promotion.
    Pipe toSecond() {
        return toSecond;
    }

    Pipe toFirst() {
        return toFirst;
    }

    boolean isCut() {
        return cut;
    }

    /// @return whether the cut went through the middle of a packet
    boolean cut() {
        cut = true;
        boolean inside =
                !toSecond.assembler.isBetweenPackets() || !toFirst.assembler.isBetweenPackets();
        toSecond.bytes.clear();
        toFirst.bytes.clear();
        toSecond.behind.clear();
        toFirst.behind.clear();
        return inside;
    }

    void speed(long bytesPerSecond) {
        this.bytesPerSecond = bytesPerSecond;
    }
}
