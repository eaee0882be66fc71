package holdfast.system;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteOrder;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.Map;

/// The clock on the wall of a daemon in a process of its own, set without touching the host's.
final class ShiftedClock {
    private final Path library;
    private final Path page;
    private final MappedByteBuffer seconds;

    /// @param library from [#build]
    /// @param page file that this makes, to talk with the library
    ShiftedClock(Path library, Path page) throws IOException {
        this.library = library;
        this.page = page;
        Files.write(page, new byte[Long.BYTES]);
        try (FileChannel file =
                FileChannel.open(page, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            seconds = file.map(FileChannel.MapMode.READ_WRITE, 0, Long.BYTES);
        }
        seconds.order(ByteOrder.nativeOrder());
    }

    /// Compiles the library into this directory.
    static Path build(Path dir) throws IOException, InterruptedException {
        Path source = dir.resolve("shifted-clock.c");
        Path library = dir.resolve("shifted-clock.so");
        try (InputStream in = ShiftedClock.class.getResourceAsStream("shifted-clock.c")) {
            Files.copy(in, source);
        }
        Run.ok(
                "cc",
                "-O2",
                "-Wall",
                "-Wextra",
                "-Werror",
                "-shared",
                "-fPIC",
                "-o",
                library.toString(),
                source.toString());
        return library;
    }

    /// For the process that is to see it.
    Map<String, String> environment() {
        return Map.of("LD_PRELOAD", library.toString(), "SHIFTED_CLOCK", page.toString());
    }

    /// From now on it shows so much more than the host's.
    void ahead(Duration by) {
        seconds.putLong(0, by.toSeconds());
    }
}
