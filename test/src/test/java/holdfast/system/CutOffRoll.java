package holdfast.system;

import holdfast.replicator.device.TwoSlotFile;
import holdfast.replicator.metadata.Superblock;

import java.nio.file.Path;
import java.util.UUID;

/// A copy as if a roll-forward had been cut off, and then the records that it had come to were
/// lost: the image of no moment.
final class CutOffRoll {
    private CutOffRoll() {}

    /// The backup is down.
    static void in(TwoNodes nodes, String name, long bytesOn) throws Exception {
        Path file = nodes.backupPaths.state().resolve("resources/%s/superblock".formatted(name));
        UUID id = UUID.fromString(nodes.atServer(name).id());
        try (TwoSlotFile<Superblock> slots = TwoSlotFile.open(file, id, Superblock.CODEC)) {
            slots.write(of(slots.value(), bytesOn));
        }
    }

    /// The same, of this superblock.
    static Superblock of(Superblock was, long bytesOn) {
        return new Superblock(
                was.resource(),
                was.role(),
                was.space(),
                was.clean(),
                was.everCommitted(),
                was.blank(),
                was.detached(),
                was.mixture(),
                was.position(),
                was.acknowledged(),
                was.peerMark(),
                was.watermark(),
                was.watermark() + bytesOn,
                was.incarnation(),
                was.movedBy(),
                was.filled(),
                was.labelMillis(),
                was.receiptMillis(),
                was.ancestry());
    }
}
