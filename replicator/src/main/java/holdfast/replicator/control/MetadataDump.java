package holdfast.replicator.control;

import java.time.Instant;
import java.util.List;
import java.util.Optional;

/// What the files of one resource in the state directory say, read without changing them: the reply
/// of `dump-md`. docs/on-disk-format.md says what each value means.
///
/// @param directory of the resource
/// @param daemonPid of the daemon that has the state directory, absent when none has it
/// @param consistent all of it is of one moment; false only beside a daemon that changed it faster
///   than it could be read
/// @param role at creation
/// @param disk backing device or file
/// @param journal directory, absent at a primary
/// @param superblock absent when it cannot be read
/// @param ancestry oldest first
/// @param tracking absent at a backup, and when it cannot be read
/// @param marks names of the files whose presence says something
/// @param damage what is damaged or missing, a sentence for each
public record MetadataDump(
        String resource,
        String directory,
        Optional<Long> daemonPid,
        boolean consistent,
        String id,
        String role,
        String disk,
        Optional<String> journal,
        String peer,
        Optional<Super> superblock,
        List<Generation> ancestry,
        Optional<Tracking> tracking,
        List<String> marks,
        List<String> damage) {

    /// The newest whole slot. Positions are like `3fa9012c00000000/1234`, all digits of the
    /// generation.
    ///
    /// @param slot in which it stands, 0 or 1
    /// @param writes how often the superblock was written
    /// @param segments of several volumes, in the order of addresses; empty of a single one
    /// @param movedBy incarnation that moved the watermark there
    /// @param filled at a backup: how often the base was synced with something of a first sync
    public record Super(
            String file,
            int slot,
            long writes,
            String role,
            long sizeBytes,
            List<Segment> segments,
            boolean clean,
            boolean everCommitted,
            boolean blank,
            boolean detached,
            boolean mixture,
            String position,
            String acknowledged,
            String peerMark,
            long watermark,
            long rollingTo,
            long incarnation,
            long movedBy,
            long filled) {}

    /// Where a part of a volume lies in the address space of the resource.
    public record Segment(int volume, long addressBytes, long lengthBytes) {}

    /// @param reason CREATE, ATTACH, CRASH, PROMOTE or FORCE
    public record Generation(
            String generation, String parent, String reason, String author, Instant time) {}

    /// Activity log and bitmap, as a start would take them.
    ///
    /// @param isLost no transaction can be used: everything is compared
    /// @param blank what a page that was never written in this era means
    /// @param completeFrom what is to be sent or compared is all that a copy lacks which stands at
    ///   `acknowledged`, or here or behind; none: from `acknowledged` on
    /// @param activeExtents in which writes may be under way, neighbours together; they are among
    ///   what is to be compared
    public record Tracking(
            String file,
            long fileBytes,
            boolean isLost,
            long transaction,
            long era,
            String blank,
            String acknowledged,
            String completeFrom,
            String peerCopy,
            long filled,
            long told,
            int activeExtentCount,
            int activeExtentLimit,
            List<Range> activeExtents,
            Marks toSend,
            Marks toCompare) {}

    /// Blocks of 4 KiB.
    ///
    /// @param rangeCount all of them; neighbours on both sides of a multiple of 128 MiB are two
    /// @param ranges the first of them, as many as were asked for
    public record Marks(long blocks, long rangeCount, List<Range> ranges) {}

    /// Bytes of the device.
    public record Range(long offsetBytes, long lengthBytes) {}
}
