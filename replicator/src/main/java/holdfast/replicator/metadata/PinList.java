package holdfast.replicator.metadata;

import holdfast.replicator.journal.AncestryCodec;
import holdfast.replicator.journal.DeltaLog;
import holdfast.replicator.state.History.Moment;
import holdfast.replicator.state.Pins;
import holdfast.replicator.state.Pins.Pin;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Position;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.zip.CRC32C;

/// The moments that are kept of a copy, and how much of each one's delta counts: a small file
/// replaced as a whole. It is the only commit that a delta has. Integers are big-endian.
///
/// | offset | bytes | field    | meaning                                    |
/// |-------:|------:|----------|--------------------------------------------|
/// |      0 |     4 | magic    | `0x4846504c`, "HFPL"                       |
/// |      4 |     4 | version  | [#VERSION]                                 |
/// |      8 |    16 | resource | id                                         |
/// |     24 |     8 | lastId   | greatest that a pin ever had               |
/// |     32 |     4 | count    | of the pins, [Pins#MAX] at most            |
/// |     36 |       | pins     | oldest moment first, see below             |
/// |        |     4 | crc      | CRC-32C of all before                      |
///
/// A pin:
///
/// | bytes | field         | meaning                                                              |
/// |------:|---------------|----------------------------------------------------------------------|
/// |     8 | id            |                                                                      |
/// |     1 | flags         | bit 0: damaged                                                       |
/// |     1 | name          | its length; it follows, ASCII; 0 of a link that older pins read through |
/// |     8 | address       | journal offset behind the last record of the moment                  |
/// |    16 | position      | of the moment                                                        |
/// |     8 | labelMillis   | the primary's wall clock there                                       |
/// |     8 | receiptMillis | the backup's                                                         |
/// |     8 | tracked       | newest transaction of the primary's metadata that something of it was written under |
/// |     8 | incarnation   | opening of the journal in which its last record was written          |
/// |     8 | sizeBytes     | of the device then                                                   |
/// |     8 | madeMillis    | by the backup's clock of receipt                                     |
/// |     8 | expiresMillis | likewise                                                             |
/// |     8 | table         | place of the last table of its delta that counts; 0 for none         |
/// |     8 | end           | behind that table                                                    |
/// |     4 | ancestry      | its length; it follows ([AncestryCodec])                             |
///
/// @param entries oldest moment first
public record PinList(UUID resource, long lastId, List<Entry> entries) {
    public static final int VERSION = 1;

    private static final int MAGIC = 0x4846504c;
    private static final int HEADER_BYTES = 36;
    private static final int CRC_BYTES = 4;
    private static final int FIXED_BYTES = 8 + 1 + 1 + 8 + Position.BYTES + 9 * 8 + 4;

    /// @param delta what counts of it
    public record Entry(Pin pin, DeltaLog.Extent delta) {}

    public PinList {
        entries = List.copyOf(entries);
    }

    public ByteBuffer encode() {
        int bytes = HEADER_BYTES + CRC_BYTES;
        for (Entry each : entries) {
            bytes += FIXED_BYTES + each.pin().name().length();
            bytes += AncestryCodec.encode(each.pin().moment().ancestry()).remaining();
        }
        ByteBuffer out = ByteBuffer.allocate(bytes);
        out.putInt(MAGIC).putInt(VERSION);
        out.putLong(resource.getMostSignificantBits()).putLong(resource.getLeastSignificantBits());
        out.putLong(lastId).putInt(entries.size());
        entries.forEach(each -> put(out, each));
        return out.putInt(crcOf(out, out.position())).flip();
    }

    private static void put(ByteBuffer out, Entry entry) {
        Pin pin = entry.pin();
        Moment moment = pin.moment();
        out.putLong(pin.id()).put((byte) (pin.damaged() ? 1 : 0));
        out.put((byte) pin.name().length());
        out.put(pin.name().getBytes(StandardCharsets.US_ASCII));
        out.putLong(moment.address());
        moment.position().write(out);
        out.putLong(moment.labelMillis()).putLong(moment.receiptMillis());
        out.putLong(moment.tracked()).putLong(moment.incarnation());
        out.putLong(pin.sizeBytes()).putLong(pin.madeMillis()).putLong(pin.expiresMillis());
        out.putLong(entry.delta().table()).putLong(entry.delta().end());
        ByteBuffer ancestry = AncestryCodec.encode(moment.ancestry());
        out.putInt(ancestry.remaining()).put(ancestry);
    }

    /// @throws IllegalArgumentException if the bytes are no list of a version known here, or of
    ///   another resource; the caller names the file
    public static PinList decode(ByteBuffer in) {
        int end = in.limit() - CRC_BYTES;
        require(end >= HEADER_BYTES, "it is too short");
        require(in.getInt(end) == crcOf(in, end), "its checksum differs");
        require(in.getInt() == MAGIC, "its magic is missing");
        int version = in.getInt();
        require(version == VERSION, "version " + version + ", this program knows " + VERSION);
        UUID resource = new UUID(in.getLong(), in.getLong());
        long lastId = in.getLong();
        int count = in.getInt();
        require(count >= 0 && count <= 2 * Pins.MAX, count + " pins");
        List<Entry> entries = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            entries.add(entry(in, end));
        }
        require(in.position() == end, "bytes behind the last pin");
        return new PinList(resource, lastId, entries);
    }

    private static Entry entry(ByteBuffer in, int end) {
        require(end - in.position() >= FIXED_BYTES, "a pin is cut off");
        long id = in.getLong();
        int flags = in.get();
        require((flags & ~1) == 0, "flags " + flags);
        int nameBytes = in.get();
        require(nameBytes >= 0, "a name of " + nameBytes + " bytes");
        require(end - in.position() >= FIXED_BYTES - 10 + nameBytes, "a pin is cut off");
        byte[] name = new byte[nameBytes];
        in.get(name);
        for (byte each : name) {
            require(each >= 0, "a name that is not ASCII");
        }
        long address = in.getLong();
        Position position = Position.read(in);
        long labelMillis = in.getLong();
        long receiptMillis = in.getLong();
        long tracked = in.getLong();
        long incarnation = in.getLong();
        long sizeBytes = in.getLong();
        long madeMillis = in.getLong();
        long expiresMillis = in.getLong();
        DeltaLog.Extent delta = new DeltaLog.Extent(in.getLong(), in.getLong());
        int length = in.getInt();
        require(length >= 0 && length <= end - in.position(), "an ancestry is cut off");
        Ancestry ancestry = AncestryCodec.decode(in.slice(in.position(), length));
        in.position(in.position() + length);
        return new Entry(
                new Pin(
                        id,
                        new String(name, StandardCharsets.US_ASCII),
                        new Moment(
                                address,
                                position,
                                ancestry,
                                labelMillis,
                                receiptMillis,
                                tracked,
                                incarnation,
                                0),
                        sizeBytes,
                        madeMillis,
                        expiresMillis,
                        (flags & 1) != 0),
                delta);
    }

    private static int crcOf(ByteBuffer of, int length) {
        CRC32C crc = new CRC32C();
        crc.update(of.slice(0, length));
        return (int) crc.getValue();
    }

    private static void require(boolean holds, String otherwise) {
        if (!holds) {
            throw new IllegalArgumentException("no list of kept moments: " + otherwise);
        }
    }
}
