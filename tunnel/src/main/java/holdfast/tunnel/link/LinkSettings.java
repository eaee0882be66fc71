package holdfast.tunnel.link;

import java.time.Duration;

/// Times and sizes of a link.
///
/// @param authentication from the accepted or dialled connection to the end of the handshake,
///   absolute
/// @param ping a peer that has been silent for so long is asked for a sign of life
/// @param silence a peer is dead after so long without a byte, plus 16 round trips; at most 60 s in
///   all
/// @param packet a packet that began is whole within this time, or the peer is dead
/// @param backoffMin first wait before a connection is tried again
/// @param backoffMax longest such wait
public record LinkSettings(
        Duration authentication,
        Duration ping,
        Duration silence,
        Duration packet,
        Duration backoffMin,
        Duration backoffMax) {
    /// A silent peer is pinged after 10 s; 15 s leaves the answer 5 s and 16 round trips, and is
    /// shorter than any operator's patience. A part of 256 KiB within 60 s is 4.4 kB/s, less than
    /// any line worth replicating over.
    public static final LinkSettings DEFAULT =
            new LinkSettings(
                    Duration.ofSeconds(10),
                    Duration.ofSeconds(10),
                    Duration.ofSeconds(15),
                    Duration.ofSeconds(60),
                    Duration.ofMillis(200),
                    Duration.ofSeconds(15));

    public LinkSettings withTimes(Duration ping, Duration silence, Duration packet) {
        return new LinkSettings(authentication, ping, silence, packet, backoffMin, backoffMax);
    }

    public LinkSettings withAuthentication(Duration deadline) {
        return new LinkSettings(deadline, ping, silence, packet, backoffMin, backoffMax);
    }

    public LinkSettings withBackoff(Duration min, Duration max) {
        return new LinkSettings(authentication, ping, silence, packet, min, max);
    }
}
