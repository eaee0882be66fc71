package holdfast.replicator.daemon;

import holdfast.replicator.control.VerifyReport;
import holdfast.replicator.device.AtomicFile;
import holdfast.replicator.json.Json;
import holdfast.replicator.json.JsonException;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/// The newest [VerifyReport] of a resource, in its directory.
final class VerifyFile {
    private final Path file;
    private volatile VerifyReport last;

    VerifyFile(ResourceDir dir) {
        this.file = dir.verifyFile();
        this.last = read();
    }

    /// A report is no state: one that cannot be read is as none.
    private VerifyReport read() {
        try {
            return Files.exists(file)
                    ? Json.read(Files.readString(file), VerifyReport.class)
                    : null;
        } catch (IOException | JsonException e) {
            return null;
        }
    }

    Optional<VerifyReport> last() {
        return Optional.ofNullable(last);
    }

    /// It is the last one from now on, durably when this returns.
    synchronized void save(VerifyReport report) throws IOException {
        last = report;
        AtomicFile.write(file, (Json.writePretty(report) + "\n").getBytes(StandardCharsets.UTF_8));
    }
}
