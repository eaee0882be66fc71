package holdfast.tunnel.link;

import holdfast.tunnel.wire.TrafficClass;

import io.netty.buffer.ByteBuf;

import java.util.concurrent.atomic.AtomicLong;

/// One stream that this side sends. The pump owns it but for the two letter boxes by which others
/// reach it.
final class Outgoing {
    final int id;
    final StreamSource source;
    final int weight;
    final Compressor compressor;

    /// What is still to be sent of a packet that goes in parts, else null. The pump releases it.
    ByteBuf rest;

    /// Whether a part of it was sent.
    boolean inParts;

    /// How well it was compressed.
    double rawPerWire;

    /// Nothing is sent any more but the rest.
    boolean ending;

    /// Credit that has come since the pump last looked.
    final AtomicLong creditInbox = new AtomicLong();

    /// Whether the source may have something: set by whoever wakes, cleared by the pump before it
    /// asks.
    volatile boolean woken = true;

    /// Written by the pump, read by anyone.
    volatile LinkStats.Traffic sent = LinkStats.NOTHING;

    volatile long creditBytes;

    /// The stream has ended. Whoever ended it may then use the memory of its frames again, so a
    /// packet that was made of them meanwhile may be garbage and is not sent.
    volatile boolean removed;

    Outgoing(int id, StreamSource source, int weight, Compressor compressor) {
        this.id = id;
        this.source = source;
        this.weight = weight;
        this.compressor = compressor;
    }

    TrafficClass trafficClass() {
        return source.trafficClass();
    }
}
