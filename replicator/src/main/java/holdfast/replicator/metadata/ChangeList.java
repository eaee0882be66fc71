package holdfast.replicator.metadata;

import holdfast.replicator.state.BlockSet;
import holdfast.replicator.state.OwnChanges;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.FrameCodec;
import holdfast.tunnel.wire.Position;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.zip.CRC32C;

/// What a copy that gives up its own has changed by itself: a small file, written once, before the
/// role begins. Integers are big-endian.
///
/// | offset | bytes | field      | meaning                                                   |
/// |-------:|------:|------------|-----------------------------------------------------------|
/// |      0 |     4 | magic      | `0x4846434c`, "HFCL"                                      |
/// |      4 |     4 | version    | [#VERSION]                                                |
/// |      8 |    16 | resource   | id                                                        |
/// |     24 |     8 | generation | that is given up                                          |
/// |     32 |    16 | since      | position from which on the ranges name all that changed   |
/// |     48 |     8 | told       | see [OwnChanges]                                          |
/// |     56 |     8 | heard      | likewise                                                  |
/// |     64 |     4 | count      | of the ranges, [FrameCodec#MAX_KEPT_RANGES] at most       |
/// |     68 |    16 | ranges     | each i64 offsetBytes, i64 lengthBytes: whole blocks, in order |
/// |        |     4 | crc        | CRC-32C of all before                                     |
public record ChangeList(UUID resource, OwnChanges changes) {
    public static final int VERSION = 1;

    private static final int MAGIC = 0x4846434c;
    private static final int HEADER_BYTES = 68;
    private static final int RANGE_BYTES = 16;
    private static final int CRC_BYTES = 4;

    public ByteBuffer encode() {
        List<Frame.KeptRange> ranges = changes.ranges();
        ByteBuffer out =
                ByteBuffer.allocate(HEADER_BYTES + ranges.size() * RANGE_BYTES + CRC_BYTES);
        out.putInt(MAGIC).putInt(VERSION);
        out.putLong(resource.getMostSignificantBits()).putLong(resource.getLeastSignificantBits());
        out.putLong(changes.generation());
        changes.since().write(out);
        out.putLong(changes.told()).putLong(changes.heard()).putInt(ranges.size());
        for (Frame.KeptRange each : ranges) {
            out.putLong(each.offsetBytes()).putLong(each.lengthBytes());
        }
        return out.putInt(crcOf(out, out.position())).flip();
    }

    /// @throws IllegalArgumentException if the bytes are no list of a version known here; the
    ///   caller then knows nothing of what was changed
    public static ChangeList decode(ByteBuffer in) {
        int end = in.limit() - CRC_BYTES;
        require(end >= HEADER_BYTES, "it is too short");
        require(in.getInt(end) == crcOf(in, end), "its checksum differs");
        require(in.getInt() == MAGIC, "its magic is missing");
        int version = in.getInt();
        require(version == VERSION, "version " + version + ", this program knows " + VERSION);
        UUID resource = new UUID(in.getLong(), in.getLong());
        long generation = in.getLong();
        Position since = Position.read(in);
        long told = in.getLong();
        long heard = in.getLong();
        int count = in.getInt();
        require(
                count >= 0
                        && count <= FrameCodec.MAX_KEPT_RANGES
                        && in.position() + count * RANGE_BYTES == end,
                count + " ranges");
        List<Frame.KeptRange> ranges = new ArrayList<>(count);
        long behind = 0;
        for (int i = 0; i < count; i++) {
            long offset = in.getLong();
            long length = in.getLong();
            require(
                    offset >= behind
                            && length > 0
                            && offset % BlockSet.BLOCK_BYTES == 0
                            && length % BlockSet.BLOCK_BYTES == 0
                            && offset <= Long.MAX_VALUE - length,
                    "%d bytes at %d".formatted(length, offset));
            behind = offset + length;
            ranges.add(new Frame.KeptRange(offset, length));
        }
        return new ChangeList(resource, new OwnChanges(generation, since, told, heard, ranges));
    }

    private static int crcOf(ByteBuffer of, int length) {
        CRC32C crc = new CRC32C();
        crc.update(of.slice(0, length));
        return (int) crc.getValue();
    }

    private static void require(boolean holds, String otherwise) {
        if (!holds) {
            throw new IllegalArgumentException("no list of changes: " + otherwise);
        }
    }
}
