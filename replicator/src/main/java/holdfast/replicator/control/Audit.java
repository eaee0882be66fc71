package holdfast.replicator.control;

import holdfast.replicator.json.Json;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import java.util.Set;

/// Who asked for which change and how it ended. Requests that only read are not recorded, secrets
/// never are.
@FunctionalInterface
public interface Audit {
    void record(Entry entry);

    /// @param user as the kernel named the other end of the socket
    /// @param verb like `remove`
    /// @param target what it was about, empty for the node itself
    /// @param exitCode it ended with
    record Entry(Instant time, String user, String verb, String target, int exitCode) {}

    /// One JSON object in a line, appended to a file of mode 0600.
    static Audit to(Path file) {
        var rights =
                PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------"));
        return entry -> {
            ByteBuffer line =
                    ByteBuffer.wrap((Json.write(entry) + "\n").getBytes(StandardCharsets.UTF_8));
            try (FileChannel out =
                    FileChannel.open(
                            file,
                            Set.of(StandardOpenOption.CREATE, StandardOpenOption.APPEND),
                            rights)) {
                while (line.hasRemaining()) {
                    out.write(line);
                }
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        };
    }
}
