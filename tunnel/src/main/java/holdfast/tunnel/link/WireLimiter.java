package holdfast.tunnel.link;

import holdfast.tunnel.wire.PacketCodec;
import holdfast.tunnel.wire.TrafficClass;

/// How fast the endpoint may send, counted after compression. It is asked and told under one lock
/// of the endpoint, by the pump threads; it never waits itself.
public interface WireLimiter {
    WireLimiter NONE =
            new WireLimiter() {
                @Override
                public long waitNanos(TrafficClass trafficClass) {
                    return 0;
                }

                @Override
                public void spend(long wireBytes, TrafficClass trafficClass) {}
            };

    /// How long until a packet of that class may be made; 0 when it may now. Asked again after that
    /// time, so that a changed rate takes effect when a bounded answer is given.
    long waitNanos(TrafficClass trafficClass);

    /// A packet of that size is sent now; its header is counted, TLS' own few bytes are added by
    /// the link.
    void spend(long wireBytes, TrafficClass trafficClass);

    /// How much of a longer packet goes at once: what the line carries in a moment, so that what is
    /// more urgent waits for no longer.
    ///
    /// @return at most [PacketCodec#MAX_PART_BYTES], its header included
    default int partBytes(TrafficClass trafficClass) {
        return PacketCodec.MAX_PART_BYTES;
    }
}
