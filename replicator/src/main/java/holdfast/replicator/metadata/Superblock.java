package holdfast.replicator.metadata;

import holdfast.replicator.journal.AncestryCodec;
import holdfast.replicator.state.ClockCheck;
import holdfast.replicator.state.Role;
import holdfast.tunnel.wire.AddressSpace;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Position;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;

/// What one side durably knows of a resource, and its codec. It is kept in a file of two slots,
/// which adds checksum and counter (docs/on-disk-format.md). Integers are big-endian.
///
/// | offset | bytes | field        | meaning                                                                      |
/// |-------:|------:|--------------|------------------------------------------------------------------------------|
/// |      0 |     4 | magic        | `0x48465342`, "HFSB"                                                         |
/// |      4 |     1 | version      | [#VERSION]                                                                   |
/// |      5 |     1 | role         | 1 primary, 2 secondary                                                       |
/// |      6 |     2 | flags        | bit 0 clean, 1 ever committed, 2 blank, 3 detached, 4 mixture                |
/// |      8 |    16 | resource     | id                                                                           |
/// |     24 |     8 | sizeBytes    | of the device; of several volumes, of their address space                    |
/// |     32 |    16 | position     | primary: last position at a clean stop; secondary: what the base holds       |
/// |     48 |    16 | acknowledged | primary: what the peer is known to have committed                            |
/// |     64 |     8 | peerMark     | primary: the peer's copy that the last first sync filled, 0 before; secondary: newest transaction of the primary's metadata that is known |
/// |     72 |     8 | watermark    | secondary: journal offset of the first record that the base does not hold    |
/// |     80 |     8 | rollingTo    | secondary: records below this journal offset may be in the base in part      |
/// |     88 |     8 | incarnation  | counts the openings                                                          |
/// |     96 |     8 | movedBy      | secondary: the opening that moved the watermark there; the journal's records from there on are of it or a later one |
/// |    104 |     8 | filled       | secondary: how often the base was synced with something of a first sync      |
/// |    112 |     8 | labelMillis  | secondary: wall clock of the primary at the position; 0 while there is no point |
/// |    120 |     8 | receiptMillis | secondary: the backup's own, when that was received                         |
/// |    128 |    24 | check        | secondary: [ClockCheck], when both hosts' clocks were compared, and what they showed; 0 for never |
/// |    152 |     4 | ancestry     | its length in bytes; it follows                                              |
/// |        |       | segments     | of several volumes: each i32 volume, i64 bytes, in the order of [AddressSpace]; of a single volume, nothing |
///
/// @param space of one volume as a rule
/// @param clean primary: stopped with nothing in flight, the bitmap file of this incarnation names
///   what the peer lacks
/// @param detached primary: the operator detached it; a start of the daemon does not attach it
///   again
/// @param mixture secondary: base and journal are no image of anything until the next commit
public record Superblock(
        UUID resource,
        Role role,
        AddressSpace space,
        boolean clean,
        boolean everCommitted,
        boolean blank,
        boolean detached,
        boolean mixture,
        Position position,
        Position acknowledged,
        long peerMark,
        long watermark,
        long rollingTo,
        long incarnation,
        long movedBy,
        long filled,
        long labelMillis,
        long receiptMillis,
        ClockCheck check,
        Ancestry ancestry) {
    public static final int VERSION = 1;

    private static final int MAGIC = 0x48465342;
    private static final int HEADER_BYTES = 156;

    /// Bytes that a slot must hold.
    public static final int MAX_BYTES =
            HEADER_BYTES
                    + Ancestry.MAX_ENTRIES * Ancestry.Entry.BYTES
                    + AddressSpace.MAX_SEGMENTS * AddressSpace.Segment.BYTES;

    /// Of a primary, or where the clocks were never compared.
    public Superblock(
            UUID resource,
            Role role,
            AddressSpace space,
            boolean clean,
            boolean everCommitted,
            boolean blank,
            boolean detached,
            boolean mixture,
            Position position,
            Position acknowledged,
            long peerMark,
            long watermark,
            long rollingTo,
            long incarnation,
            long movedBy,
            long filled,
            long labelMillis,
            long receiptMillis,
            Ancestry ancestry) {
        this(
                resource,
                role,
                space,
                clean,
                everCommitted,
                blank,
                detached,
                mixture,
                position,
                acknowledged,
                peerMark,
                watermark,
                rollingTo,
                incarnation,
                movedBy,
                filled,
                labelMillis,
                receiptMillis,
                ClockCheck.NONE,
                ancestry);
    }

    /// Of all addresses, gaps between volumes included.
    public long sizeBytes() {
        return space.sizeBytes();
    }

    /// The same of larger devices.
    public Superblock ofSpace(AddressSpace larger) {
        return new Superblock(
                resource,
                role,
                larger,
                clean,
                everCommitted,
                blank,
                detached,
                mixture,
                position,
                acknowledged,
                peerMark,
                watermark,
                rollingTo,
                incarnation,
                movedBy,
                filled,
                labelMillis,
                receiptMillis,
                check,
                ancestry);
    }

    public ByteBuffer encode() {
        ByteBuffer lineage = AncestryCodec.encode(ancestry);
        List<AddressSpace.Segment> segments = space.hasSeveral() ? space.segments() : List.of();
        ByteBuffer out =
                ByteBuffer.allocate(
                        HEADER_BYTES
                                + lineage.remaining()
                                + segments.size() * AddressSpace.Segment.BYTES);
        out.putInt(MAGIC).put((byte) VERSION).put((byte) (role.ordinal() + 1));
        out.putShort(
                (short)
                        ((clean ? 1 : 0)
                                | (everCommitted ? 2 : 0)
                                | (blank ? 4 : 0)
                                | (detached ? 8 : 0)
                                | (mixture ? 16 : 0)));
        out.putLong(resource.getMostSignificantBits()).putLong(resource.getLeastSignificantBits());
        out.putLong(space.sizeBytes());
        position.write(out);
        acknowledged.write(out);
        out.putLong(peerMark).putLong(watermark).putLong(rollingTo);
        out.putLong(incarnation).putLong(movedBy).putLong(filled);
        out.putLong(labelMillis).putLong(receiptMillis);
        out.putLong(check.passedMillis()).putLong(check.ownMillis()).putLong(check.peerMillis());
        out.putInt(lineage.remaining());
        out.put(lineage);
        segments.forEach(each -> out.putInt(each.volume()).putLong(each.lengthBytes()));
        return out.flip();
    }

    /// @throws IllegalArgumentException if the bytes are no superblock of a version known here; the
    ///   caller names the file
    public static Superblock decode(ByteBuffer in) {
        if (in.remaining() < HEADER_BYTES || in.getInt() != MAGIC) {
            throw new IllegalArgumentException("no superblock: its magic is missing");
        }
        int version = in.get();
        int role = in.get() - 1;
        int flags = in.getShort();
        if (version != VERSION || role < 0 || role >= Role.values().length || (flags & ~31) != 0) {
            throw new IllegalArgumentException(
                    "superblock of version %d, role %d, flags %x; this program knows version %d"
                            .formatted(version, role + 1, flags, VERSION));
        }
        UUID resource = new UUID(in.getLong(), in.getLong());
        long sizeBytes = in.getLong();
        Position position = Position.read(in);
        Position acknowledged = Position.read(in);
        long peerMark = in.getLong();
        long watermark = in.getLong();
        long rollingTo = in.getLong();
        long incarnation = in.getLong();
        long movedBy = in.getLong();
        long filled = in.getLong();
        long labelMillis = in.getLong();
        long receiptMillis = in.getLong();
        ClockCheck check = new ClockCheck(in.getLong(), in.getLong(), in.getLong());
        int lineage = in.getInt();
        if (lineage < 0 || lineage > in.remaining()) {
            throw new IllegalArgumentException(
                    "an ancestry of %d bytes, %d are there".formatted(lineage, in.remaining()));
        }
        Ancestry ancestry = AncestryCodec.decode(in.slice(in.position(), lineage));
        in.position(in.position() + lineage);
        return new Superblock(
                resource,
                Role.values()[role],
                space(sizeBytes, in),
                (flags & 1) != 0,
                (flags & 2) != 0,
                (flags & 4) != 0,
                (flags & 8) != 0,
                (flags & 16) != 0,
                position,
                acknowledged,
                peerMark,
                watermark,
                rollingTo,
                incarnation,
                movedBy,
                filled,
                labelMillis,
                receiptMillis,
                check,
                ancestry);
    }

    /// Reads all that remains.
    private static AddressSpace space(long sizeBytes, ByteBuffer in) {
        if (!in.hasRemaining()) {
            return AddressSpace.of(sizeBytes);
        }
        int count = in.remaining() / AddressSpace.Segment.BYTES;
        List<AddressSpace.Segment> segments = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            segments.add(new AddressSpace.Segment(in.getInt(), in.getLong()));
        }
        AddressSpace space = new AddressSpace(segments);
        if (in.hasRemaining() || !space.hasSeveral() || space.sizeBytes() != sizeBytes) {
            throw new IllegalArgumentException(
                    "%d bytes in all, but segments %s".formatted(sizeBytes, space.text()));
        }
        return space;
    }
}
