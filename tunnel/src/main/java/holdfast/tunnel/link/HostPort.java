package holdfast.tunnel.link;

/// Where a peer listens: a name or an address, which is resolved anew for every attempt, and a
/// port.
///
/// @param host without brackets, also if it is an IPv6 address
public record HostPort(String host, int port) {
    public HostPort {
        if (host.isBlank()
                || host.length() > 255
                || host.chars().anyMatch(c -> c <= ' ' || c == ',')) {
            throw new IllegalArgumentException("not a host: " + host);
        }
        if (port < 1 || port > 65535) {
            throw new IllegalArgumentException("port is " + port + ", should be 1 to 65535");
        }
    }

    /// Reads `host:port` or `[v6]:port`.
    public static HostPort parse(String text) {
        int colon = text.lastIndexOf(':');
        if (colon < 1) {
            throw new IllegalArgumentException(text + " should be HOST:PORT");
        }
        String host = text.substring(0, colon);
        if (host.startsWith("[") && host.endsWith("]")) {
            host = host.substring(1, host.length() - 1);
        } else if (host.contains(":")) {
            throw new IllegalArgumentException(text + ": an IPv6 address is written in [brackets]");
        }
        try {
            return new HostPort(host, Integer.parseInt(text.substring(colon + 1)));
        } catch (NumberFormatException e) {
            throw new IllegalArgumentException(text + " should be HOST:PORT", e);
        }
    }

    @Override
    public String toString() {
        return host.contains(":") ? "[" + host + "]:" + port : host + ":" + port;
    }
}
