package holdfast.replicator.device;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Path;

/// A loop device over a new sparse file, let go when the test is over.
record Loop(Path file, Path device) implements AutoCloseable {
    static Loop over(Path file, long sizeBytes, String... options) throws IOException {
        Tool.assumeRoot();
        try (var image = new RandomAccessFile(file.toFile(), "rw")) {
            image.setLength(sizeBytes);
        }
        var command = new Object[options.length + 4];
        command[0] = "losetup";
        command[1] = "--find";
        command[2] = "--show";
        System.arraycopy(options, 0, command, 3, options.length);
        command[command.length - 1] = file;
        return new Loop(file, Path.of(Tool.run(command)));
    }

    @Override
    public void close() throws IOException {
        Tool.run("losetup", "-d", device);
    }
}
