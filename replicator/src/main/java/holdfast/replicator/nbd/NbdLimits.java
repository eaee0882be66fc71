package holdfast.replicator.nbd;

import java.time.Duration;

/// How much of the server its clients can occupy.
///
/// @param connections all at once; one more is closed at once
/// @param halfOpen connections that have not chosen an export; one more ends the oldest of them, so
///   that idle strangers cannot keep a client out
/// @param handshake from accept to the choice of an export
/// @param stall how long a client may leave a request half sent, or its replies unread, without
///   progress
/// @param inFlightRequests of one connection, waiting for an export that answers later
/// @param inFlightBytes payloads of those; one request more than this is accepted
/// @param replyBytes memory of one connection's replies that wait for it to read; one reply more is
///   accepted
public record NbdLimits(
        int connections,
        int halfOpen,
        Duration handshake,
        Duration stall,
        int inFlightRequests,
        long inFlightBytes,
        long replyBytes) {
    /// 64 MiB each way: a client may have a longest read (32 MiB) unread while it sends a longest
    /// write, twice over. The stall is long because a suspended virtual machine stops in the middle
    /// of a request.
    public static final NbdLimits DEFAULT =
            new NbdLimits(
                    128,
                    32,
                    Duration.ofSeconds(10),
                    Duration.ofMinutes(5),
                    1024,
                    64 << 20,
                    64 << 20);

    public NbdLimits {
        if (connections < 1
                || halfOpen < 1
                || inFlightRequests < 1
                || inFlightBytes < 1
                || replyBytes < 1) {
            throw new IllegalArgumentException("an NBD limit is below 1");
        }
    }
}
