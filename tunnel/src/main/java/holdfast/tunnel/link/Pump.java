package holdfast.tunnel.link;

import holdfast.throttle.NanoClock;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.FrameCodec;
import holdfast.tunnel.wire.Packet;
import holdfast.tunnel.wire.Packet.Encoding;
import holdfast.tunnel.wire.PacketCodec;
import holdfast.tunnel.wire.StreamScheduler;
import holdfast.tunnel.wire.TrafficClass;

import io.netty.buffer.ByteBuf;
import io.netty.channel.Channel;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.OptionalInt;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.locks.LockSupport;

/// Sends what a session has to send, on a thread of its own: asks the scheduler whose turn it is,
/// that stream's source for frames, makes one packet of them and hands it to the channel. It does
/// so only while the channel is writable and the limiter allows, so that the choice is made as late
/// as it can be; it waits nowhere else, and never to fill a packet.
final class Pump implements Runnable {
    /// A batch takes frames until it has this much; the frame that crosses it is still taken.
    private static final int BATCH_BYTES = (int) StreamScheduler.QUANTUM_BYTES;

    /// An answer of the limiter is believed for this long, so that a rate that was changed takes
    /// effect.
    private static final long MAX_WAIT_NANOS = 100_000_000;

    /// What TLS 1.3 adds to each record of up to 16 KiB: header, content type, tag.
    private static final int TLS_RECORD_BYTES = 22;

    private static final TrafficClass[] CLASSES = TrafficClass.values();

    private final LinkSession session;
    private final Channel channel;
    private final WireLimiter limiter;
    private final NanoClock clock = NanoClock.system();
    private final StreamScheduler scheduler = new StreamScheduler();
    private final CompressionLevel level = new CompressionLevel(clock);
    private final List<Outgoing> streams = new ArrayList<>();

    /// Additions and removals, in order, for this thread to carry out.
    private final Queue<Runnable> changes = new ConcurrentLinkedQueue<>();

    private final Thread thread;

    /// Whether the last step found something to send that the channel or the limiter holds back.
    private boolean heldBack;

    private volatile boolean signalled;
    private volatile boolean allWoken;
    private volatile boolean stopped;

    /// Written by the pump, read by anyone.
    private volatile LinkStats.Traffic sent = LinkStats.NOTHING;

    /// Written by the pump's thread alone.
    private volatile boolean dataSent;

    /// @param threadBegins runs first in its thread
    Pump(
            LinkSession session,
            Channel channel,
            WireLimiter limiter,
            String name,
            Runnable threadBegins) {
        this.session = session;
        this.channel = channel;
        this.limiter = limiter;
        this.thread =
                Thread.ofPlatform()
                        .daemon()
                        .name(name)
                        .unstarted(
                                () -> {
                                    threadBegins.run();
                                    run();
                                });
    }

    void start() {
        thread.start();
    }

    /// The thread ends soon; a source may still be asked once.
    void stop() {
        stopped = true;
        signal();
    }

    void add(Outgoing stream) {
        changes.add(
                () -> {
                    scheduler.add(stream.id, stream.trafficClass(), stream.weight, stream.id != 0);
                    streams.add(stream);
                });
        signal();
    }

    void remove(Outgoing stream) {
        changes.add(
                () -> {
                    stream.ending = true;
                    scheduler.ready(stream.id, false, stream.trafficClass());
                    if (stream.rest == null) {
                        forget(stream);
                    }
                });
        signal();
    }

    /// Whether a packet of a data stream was sent.
    boolean hasSentData() {
        return dataSent;
    }

    private void forget(Outgoing stream) {
        scheduler.remove(stream.id);
        streams.remove(stream);
        stream.compressor.close();
    }

    LinkStats.Traffic sent() {
        return sent;
    }

    void wakeAll() {
        allWoken = true;
        signal();
    }

    /// Cheap when the pump is at work anyway: one volatile read.
    void signal() {
        if (!signalled) {
            signalled = true;
            LockSupport.unpark(thread);
        }
    }

    @Override
    public void run() {
        try {
            while (!stopped) {
                // Cleared before the state is read: whoever changes it later sets it again, and we
                // do not park.
                signalled = false;
                long waitNanos = step();
                if (waitNanos > 0 && !signalled && !stopped) {
                    long since = heldBack ? clock.nanoTime() : 0;
                    LockSupport.parkNanos(this, waitNanos);
                    if (heldBack) {
                        level.waited(clock.nanoTime() - since);
                    }
                }
            }
        } catch (RuntimeException | Error e) {
            session.failed("sending failed: " + e, e);
        } finally {
            stopped = true;
            for (Runnable change = changes.poll(); change != null; change = changes.poll()) {
                change.run();
            }
            for (Outgoing stream : streams) {
                stream.compressor.close();
                if (stream.rest != null) {
                    stream.rest.release();
                }
            }
        }
    }

    /// Sends one packet, if any may be sent.
    ///
    /// @return how long there is nothing to do unless somebody signals, 0 to go on at once
    private long step() {
        collect();
        heldBack = false;
        if (!channel.isWritable()) {
            heldBack = scheduler.canSend();
            return Long.MAX_VALUE;
        }
        var held = EnumSet.noneOf(TrafficClass.class);
        long waitNanos = Long.MAX_VALUE;
        synchronized (limiter) {
            for (TrafficClass c : CLASSES) {
                long wait = c == TrafficClass.CONTROL ? 0 : limiter.waitNanos(c);
                if (wait > 0) {
                    held.add(c);
                    waitNanos = Math.min(waitNanos, Math.min(wait, MAX_WAIT_NANOS));
                }
            }
        }
        OptionalInt next = scheduler.next(held);
        if (next.isEmpty()) {
            heldBack = !held.isEmpty() && scheduler.canSend();
            return waitNanos;
        }
        for (Outgoing stream : streams) {
            if (stream.id == next.getAsInt()) {
                if (stream.rest == null) {
                    send(stream);
                } else {
                    sendPart(stream);
                }
                break;
            }
        }
        return 0;
    }

    private void collect() {
        for (Runnable change = changes.poll(); change != null; change = changes.poll()) {
            change.run();
        }
        boolean all = allWoken;
        if (all) {
            allWoken = false;
        }
        for (Outgoing stream : streams) {
            if (stream.creditInbox.get() != 0) {
                scheduler.credit(stream.id, stream.creditInbox.getAndSet(0));
                stream.creditBytes = scheduler.creditBytes(stream.id);
            }
            if ((all || stream.woken) && !stream.ending) {
                stream.woken = false;
                scheduler.ready(stream.id, true, stream.trafficClass());
            }
        }
    }

    private void send(Outgoing stream) {
        var frames = new ArrayList<Frame>();
        boolean drained = stream.source.fill(frames, BATCH_BYTES);
        if (!frames.isEmpty()) {
            int rawBytes = 0;
            for (Frame frame : frames) {
                rawBytes += FrameCodec.sizeOf(frame);
            }
            ByteBuf packet = packet(stream, frames, rawBytes);
            if (stream.removed) {
                packet.release();
                return;
            }
            scheduler.took(stream.id, rawBytes);
            stream.creditBytes = scheduler.creditBytes(stream.id);
            stream.sent = stream.sent.plusPacket(rawBytes);
            sent = sent.plusPacket(rawBytes);
            stream.rawPerWire = (double) rawBytes / packet.readableBytes();
            dataSent |= stream.id != 0;
            stream.rest = packet;
            sendPart(stream);
        }
        if (!stream.ending) {
            scheduler.ready(stream.id, !drained, stream.trafficClass());
        }
    }

    /// Sends the next part of a packet, or all of a short one.
    private void sendPart(Outgoing stream) {
        ByteBuf rest = stream.rest;
        TrafficClass trafficClass = stream.trafficClass();
        int left = rest.readableBytes();
        int part;
        synchronized (limiter) {
            part = limiter.partBytes(trafficClass) - PacketCodec.HEADER_BYTES;
        }
        int wireBytes;
        if (!stream.inParts && left <= part) {
            wireBytes = left;
            stream.rest = null;
            channel.writeAndFlush(rest);
        } else {
            int bytes = Math.min(part, left);
            ByteBuf header = channel.alloc().directBuffer(PacketCodec.HEADER_BYTES);
            ByteBuffer out = header.nioBuffer(0, PacketCodec.HEADER_BYTES);
            PacketCodec.writePartHeader(stream.id, bytes, left, out);
            header.writerIndex(PacketCodec.HEADER_BYTES);
            wireBytes = PacketCodec.HEADER_BYTES + bytes;
            channel.write(header);
            if (bytes < left) {
                channel.writeAndFlush(rest.readRetainedSlice(bytes));
            } else {
                stream.rest = null;
                channel.writeAndFlush(rest);
            }
        }
        stream.inParts = stream.rest != null;
        scheduler.open(stream.id, stream.inParts);
        scheduler.sent(stream.id, (long) (wireBytes * stream.rawPerWire));
        stream.sent = stream.sent.plusWire(wireBytes);
        sent = sent.plusWire(wireBytes);
        synchronized (limiter) {
            limiter.spend(
                    wireBytes + (long) TLS_RECORD_BYTES * (1 + (wireBytes >> 14)), trafficClass);
        }
        if (stream.rest == null && stream.ending) {
            forget(stream);
        }
    }

    /// One packet in a buffer that the channel releases.
    private ByteBuf packet(Outgoing stream, List<Frame> frames, int rawBytes) {
        int header = PacketCodec.HEADER_BYTES;
        ByteBuf raw = channel.alloc().directBuffer(header + rawBytes, header + rawBytes);
        ByteBuf packed = null;
        try {
            ByteBuffer bytes = raw.nioBuffer(0, header + rawBytes);
            bytes.position(header);
            for (Frame frame : frames) {
                FrameCodec.encode(frame, bytes);
            }
            int rawCrc = PacketCodec.crc(bytes, header, rawBytes);
            if (stream.compressor.wanted()) {
                int bound = Compressor.bound(rawBytes);
                int room = header + bound + PacketCodec.paddingBound(bound);
                packed = channel.alloc().directBuffer(room, room);
                ByteBuffer out = packed.nioBuffer(0, room).position(header);
                long since = clock.nanoTime();
                Encoding how =
                        stream.compressor.compress(bytes.flip().position(header), out, level.get());
                level.compressed(clock.nanoTime() - since);
                if (how != Encoding.RAW) {
                    int zipBytes = out.position() - header;
                    int padding = PacketCodec.paddingFor(zipBytes);
                    int wireBytes = zipBytes + padding;
                    out.rewind();
                    PacketCodec.writeHeader(
                            new Packet.Header(how, stream.id, wireBytes, padding, rawBytes, rawCrc),
                            out);
                    packed.setZero(header + zipBytes, padding);
                    packed.writerIndex(header + wireBytes);
                    ByteBuf result = packed;
                    packed = null;
                    return result;
                }
            }
            bytes.clear();
            PacketCodec.writeHeader(
                    new Packet.Header(Encoding.RAW, stream.id, rawBytes, rawBytes, rawCrc), bytes);
            raw.writerIndex(header + rawBytes);
            return raw.retain();
        } finally {
            raw.release();
            if (packed != null) {
                packed.release();
            }
        }
    }
}
