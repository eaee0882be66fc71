package holdfast.replicator.config;

import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// A host and a port, not looked up: `backup.example.net:7788`, `0.0.0.0:7788`, `[::1]:9180`.
///
/// @param host name or literal address, without brackets
/// @param port 1 to 65535
public record Address(String host, int port) {
    private static final Pattern TEXT =
            Pattern.compile("(?:\\[([0-9A-Fa-f:.]+)\\]|([A-Za-z0-9._-]{1,253})):(\\d{1,5})");

    public Address {
        if (port < 1 || port > 65535) {
            throw new IllegalArgumentException("port is %d, should be 1 to 65535".formatted(port));
        }
    }

    /// Reads the text form.
    ///
    /// @throws IllegalArgumentException its message says what is wrong and what would be right
    public static Address parse(String text) {
        Matcher m = TEXT.matcher(text);
        if (!m.matches()) {
            throw new IllegalArgumentException(
                    "\"%s\" is no address, should be like \"backup.example.net:7788\" or \"[::1]:7788\""
                            .formatted(text));
        }
        return new Address(
                m.group(1) != null ? m.group(1) : m.group(2), Integer.parseInt(m.group(3)));
    }

    /// Whether only this host can reach it, judged by the text alone.
    public boolean isLoopback() {
        return Set.of("localhost", "::1").contains(host)
                || host.matches("127\\.\\d{1,3}\\.\\d{1,3}\\.\\d{1,3}");
    }

    @Override
    public String toString() {
        return (host.contains(":") ? "[" + host + "]" : host) + ":" + port;
    }
}
