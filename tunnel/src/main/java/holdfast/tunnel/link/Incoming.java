package holdfast.tunnel.link;

import java.util.concurrent.atomic.AtomicLong;

/// One stream that the peer sends. The event loop owns it; credit is granted from any thread.
final class Incoming {
    final Decompressor decompressor = new Decompressor();

    /// What the peer may still send; below zero by at most the one packet that crossed it.
    final AtomicLong creditBytes = new AtomicLong();

    /// Its packets are passed over: we gave the stream up, and the peer cannot know that yet.
    volatile boolean dropped;

    /// Written by the event loop, read by anyone.
    volatile LinkStats.Traffic received = LinkStats.NOTHING;
}
