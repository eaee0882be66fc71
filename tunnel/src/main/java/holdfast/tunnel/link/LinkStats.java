package holdfast.tunnel.link;

import java.util.Map;

/// What a session has carried so far.
///
/// @param rttNanos of the last answered ping, 0 before the first
/// @param connectedAtMillis wall clock
/// @param streams by stream id; outgoing and incoming streams of one id are counted together
public record LinkStats(
        Traffic sent,
        Traffic received,
        long rttNanos,
        long connectedAtMillis,
        Map<Integer, StreamStats> streams) {
    /// @param rawBytes frames before compression
    /// @param wireBytes packets with their headers, without what TLS adds
    public record Traffic(long packets, long rawBytes, long wireBytes) {
        Traffic plus(long rawBytes, long wireBytes) {
            return new Traffic(packets + 1, this.rawBytes + rawBytes, this.wireBytes + wireBytes);
        }

        /// A packet that is not on the wire yet.
        Traffic plusPacket(long rawBytes) {
            return plus(rawBytes, 0);
        }

        Traffic plusWire(long wireBytes) {
            return new Traffic(packets, rawBytes, this.wireBytes + wireBytes);
        }
    }

    /// @param creditBytes what the peer takes before it must grant more; negative by at most one
    ///   packet
    public record StreamStats(Traffic sent, Traffic received, long creditBytes) {}

    static final Traffic NOTHING = new Traffic(0, 0, 0);
}
