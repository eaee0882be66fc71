package holdfast.replicator.metadata;

import holdfast.replicator.journal.AncestryCodec;
import holdfast.replicator.state.Backup;
import holdfast.replicator.state.ClockCheck;
import holdfast.replicator.state.PeerCopy;
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

    public static final TwoSlots.Codec<Superblock> CODEC =
            new TwoSlots.Codec<>() {
                @Override
                public ByteBuffer encode(Superblock value) {
                    return value.encode();
                }

                @Override
                public Superblock decode(ByteBuffer in) {
                    return Superblock.decode(in);
                }
            };

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

    /// A primary's first: everything is still to be sent.
    public static Superblock ofPrimary(UUID id, AddressSpace space) {
        return new Superblock(
                id,
                Role.PRIMARY,
                space,
                false,
                false,
                false,
                true,
                false,
                Position.NONE,
                Position.NONE,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                Ancestry.EMPTY);
    }

    /// A backup's first.
    ///
    /// @param copy of one generation, which names this copy until it has a point
    public static Superblock ofBackup(UUID id, AddressSpace space, boolean blank, Ancestry copy) {
        return new Superblock(
                id,
                Role.SECONDARY,
                space,
                false,
                false,
                blank,
                false,
                false,
                Position.NONE,
                Position.NONE,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                copy);
    }

    /// Of a primary that begins to write, in the newest generation of this ancestry, of which it
    /// has written nothing yet.
    public Superblock attached(Ancestry ancestry, PeerCopy peer) {
        return primary(
                false,
                false,
                new Position(ancestry.generation(), 0),
                peer,
                incarnation + 1,
                ancestry);
    }

    /// Of a primary that was stopped cleanly.
    public Superblock detached(Position last, PeerCopy peer, boolean byOperator) {
        return primary(true, byOperator, last, peer, incarnation, ancestry);
    }

    private Superblock primary(
            boolean clean,
            boolean detached,
            Position position,
            PeerCopy peer,
            long incarnation,
            Ancestry ancestry) {
        return new Superblock(
                resource,
                Role.PRIMARY,
                space,
                clean,
                false,
                false,
                detached,
                false,
                position,
                peer.acknowledged(),
                peer.id(),
                0,
                0,
                incarnation,
                0,
                0,
                0,
                0,
                ancestry);
    }

    /// What a backup knows of its base.
    public Backup.Base base() {
        return new Backup.Base(
                watermark,
                rollingTo,
                movedBy,
                position,
                everCommitted,
                mixture,
                peerMark,
                filled,
                labelMillis,
                receiptMillis,
                check,
                ancestry);
    }

    /// Of a backup that opens its journal once more.
    public Superblock opened() {
        return backup(blank, base(), incarnation + 1);
    }

    /// Of a backup whose roll-forward begins or has ended; what else has become durable meanwhile
    /// stays.
    public Superblock rolled(Backup.Base reached) {
        return backup(blank, reached.over(base()), incarnation);
    }

    /// Of a backup about to write something of a first sync to its base.
    ///
    /// @param tracked transaction of the primary's metadata under which it was written
    /// @return the same where it says so already
    public Superblock filling(long tracked) {
        return blank || peerMark < tracked
                ? backup(false, base().filled(filled, tracked), incarnation)
                : this;
    }

    /// Of a backup that has synced that.
    public Superblock filled(Backup.Base upTo) {
        return backup(blank, base().filledAs(upTo), incarnation);
    }

    /// Of a backup when the clocks of both hosts were compared.
    public Superblock checked(ClockCheck check) {
        return backup(blank, base().checked(check), incarnation);
    }

    private Superblock backup(boolean blank, Backup.Base base, long incarnation) {
        return new Superblock(
                resource,
                Role.SECONDARY,
                space,
                false,
                base.everCommitted(),
                blank,
                false,
                base.mixture(),
                base.position(),
                Position.NONE,
                base.tracked(),
                base.watermark(),
                base.rollingTo(),
                incarnation,
                base.movedBy(),
                base.filled(),
                base.labelMillis(),
                base.receiptMillis(),
                base.check(),
                base.ancestry());
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
