package holdfast.replicator.device;

import java.nio.file.Path;
import java.util.List;

/// Whether a device or file holds anything, as far as a look at the usual places tells. A copy goes
/// unasked only where nothing is.
public sealed interface Signature {
    /// All that was looked at is zero: the first and the last MiB and the places in between where
    /// something known could stand. Also an empty file.
    record Blank() implements Signature {}

    /// Nothing known, and yet not zero.
    ///
    /// @param offsetBytes of the first byte found that is not zero
    record Unknown(long offsetBytes) implements Signature {}

    /// Something known.
    ///
    /// @param found what stands there, the outermost first; one or more
    record Known(List<Content> found) implements Signature {
        public Known {
            found = List.copyOf(found);
        }
    }

    /// One thing that says its name.
    ///
    /// @param type in blkid(8)'s words where it has them: `ext4`, `xfs`, `LVM2_member`,
    ///   `crypto_LUKS`
    /// @param label empty when it has none or none is known for the type; for display alone
    /// @param uuid as text, empty likewise
    record Content(String type, String label, String uuid) {
        @Override
        public String toString() {
            return type
                    + (label.isEmpty() ? "" : " \"" + label + "\"")
                    + (uuid.isEmpty() ? "" : " " + uuid);
        }
    }

    /// Reads, and changes nothing; the device may be in use.
    ///
    /// @throws DeviceException if it cannot be read, which is no leave to overwrite it
    static Signature probe(Path path) throws DeviceException {
        try (BlockDevice device = FileBlockDevice.openReadOnly(path)) {
            return probe(device);
        }
    }

    /// As above, of a device that is open.
    static Signature probe(BlockDevice device) throws DeviceException {
        return new SignatureProbe(device).run();
    }
}
