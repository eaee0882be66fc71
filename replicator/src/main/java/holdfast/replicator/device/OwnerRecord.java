package holdfast.replicator.device;

import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.zip.CRC32C;

/// Who holds a lock, for the message to whoever comes second. The lock itself is the kernel's; this
/// text may be stale, and then its lock is free.
///
/// UTF-8 lines, `KEY VALUE`, in this order; docs/on-disk-format.md has the same table:
///
/// | key              | value                                                            |
/// |------------------|------------------------------------------------------------------|
/// | `holdfast-owner` | [#VERSION]                                                       |
/// | `boot`           | boot id of the kernel it ran under                               |
/// | `pid`            | its process id there, decimal                                    |
/// | `nonce`          | random, new each time the lock is taken                          |
/// | `resource`       | name of the resource; `-` for the lock of a state directory      |
/// | `path`           | what it locked, by the name it was given; to the end of the line |
/// | `crc32c`         | CRC-32C of all bytes before this line, 8 hexadecimal digits      |
///
/// @param resource null for the lock of a state directory
public record OwnerRecord(String bootId, long pid, UUID nonce, String resource, String path) {
    static final int VERSION = 1;

    /// A path has at most 4096 bytes on Linux.
    static final int MAX_BYTES = 8192;

    byte[] encode() {
        String text =
                """
                holdfast-owner %d
                boot %s
                pid %d
                nonce %s
                resource %s
                path %s
                """
                        .formatted(
                                VERSION,
                                bootId,
                                pid,
                                nonce,
                                resource == null ? "-" : resource,
                                path.replace('\n', '?'));
        return (text + "crc32c %08x\n".formatted(crc(text))).getBytes(StandardCharsets.UTF_8);
    }

    /// Empty when it is torn or none: nothing hangs on it but a message.
    static Optional<OwnerRecord> decode(byte[] bytes) {
        String all = new String(bytes, StandardCharsets.UTF_8);
        int crcAt = all.lastIndexOf("crc32c ");
        if (crcAt < 0
                || !all.substring(crcAt)
                        .equals("crc32c %08x\n".formatted(crc(all.substring(0, crcAt))))) {
            return Optional.empty();
        }
        Map<String, String> values = new LinkedHashMap<>();
        for (String line : all.substring(0, crcAt).split("\n")) {
            int space = line.indexOf(' ');
            if (space > 0) {
                values.put(line.substring(0, space), line.substring(space + 1));
            }
        }
        try {
            String resource = values.getOrDefault("resource", "-");
            return Optional.of(
                    new OwnerRecord(
                            values.getOrDefault("boot", ""),
                            Long.parseLong(values.getOrDefault("pid", "")),
                            UUID.fromString(values.getOrDefault("nonce", "")),
                            resource.equals("-") ? null : resource,
                            values.getOrDefault("path", "")));
        } catch (IllegalArgumentException e) {
            return Optional.empty();
        }
    }

    private static int crc(String text) {
        var crc = new CRC32C();
        crc.update(text.getBytes(StandardCharsets.UTF_8));
        return (int) crc.getValue();
    }
}
