package holdfast.replicator.nbd;

import java.util.LinkedHashSet;

/// The connections that are in the handshake, oldest first. When one too many comes, the oldest
/// goes: a stranger who opens connections and says nothing keeps nobody out.
final class HalfOpen {
    private final int max;

    /// Guarded by this object's monitor.
    private final LinkedHashSet<Connection> connections = new LinkedHashSet<>();

    HalfOpen(int max) {
        this.max = max;
    }

    /// @return the connection that has to go, or null
    synchronized Connection add(Connection connection) {
        Connection oldest = connections.size() < max ? null : connections.removeFirst();
        connections.addLast(connection);
        return oldest;
    }

    synchronized void remove(Connection connection) {
        connections.remove(connection);
    }
}
