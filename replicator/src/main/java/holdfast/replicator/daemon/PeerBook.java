package holdfast.replicator.daemon;

import holdfast.replicator.device.AtomicFile;
import holdfast.replicator.device.DeviceException;
import holdfast.replicator.json.Json;
import holdfast.replicator.json.JsonException;
import holdfast.tunnel.link.Peers;
import holdfast.tunnel.link.Pin;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/// The peers that were paired with this node, by the digests of their keys; in memory and in one
/// file.
final class PeerBook implements Peers {
    /// @param address where it is dialled; absent where it dials us
    /// @param connect false while the operator keeps the link down
    record Entry(String name, String id, String pin, Optional<String> address, boolean connect) {}

    private record Content(List<Entry> peers) {}

    private final Path file;
    private volatile List<Entry> entries;

    PeerBook(Path file) throws IOException {
        this.file = file;
        try {
            entries =
                    Files.exists(file)
                            ? Json.read(Files.readString(file), Content.class).peers()
                            : List.of();
        } catch (JsonException e) {
            throw new IOException(file + ": " + e.getMessage(), e);
        }
    }

    List<Entry> entries() {
        return entries;
    }

    /// The one peer of this node, if it has one.
    Optional<Entry> peer() {
        return entries.stream().findFirst();
    }

    /// Adds a peer, or replaces the one of that name, durably.
    synchronized void put(Entry entry) throws DeviceException {
        List<Entry> next = new ArrayList<>(entries);
        next.removeIf(each -> each.name().equals(entry.name()));
        next.add(entry);
        AtomicFile.write(
                file, Json.writePretty(new Content(next)).getBytes(StandardCharsets.UTF_8));
        entries = List.copyOf(next);
    }

    @Override
    public Optional<String> find(Pin pin) {
        return entries.stream()
                .filter(each -> each.connect() && each.pin().equals(pin.hex()))
                .map(Entry::name)
                .findFirst();
    }
}
