package holdfast.interop;

import holdfast.replicator.device.FileBlockDevice;
import holdfast.replicator.nbd.Exports;
import holdfast.replicator.nbd.NbdLimits;
import holdfast.replicator.nbd.NbdServer;
import holdfast.replicator.nbd.PayloadPool;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/// Serves one file over NBD until standard input ends: the server without the rest of Holdfast, for
/// `docs/nbd.md` and for benchmarks.
public final class ServeFile {
    private ServeFile() {}

    /// @param arguments the socket, the file
    public static void main(String[] arguments) throws IOException {
        try (FileBlockDevice device = FileBlockDevice.open(Path.of(arguments[1]));
                NbdServer server =
                        new NbdServer(
                                Exports.of(
                                        List.of(
                                                new DeviceExport(
                                                        "disk", device, false, Runnable::run))),
                                new PayloadPool(),
                                NbdLimits.DEFAULT)) {
            server.listenUnix(Path.of(arguments[0]));
            while (System.in.read() >= 0) {
                // Whoever started this closes it.
            }
        }
    }
}
