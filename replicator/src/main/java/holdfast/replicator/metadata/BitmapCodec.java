package holdfast.replicator.metadata;

import holdfast.replicator.state.BlockSet;

import java.nio.ByteBuffer;
import java.util.UUID;
import java.util.function.Consumer;
import java.util.zip.CRC32C;

/// The blocks that the peer may lack, as they are kept over a clean stop: a header, then one page
/// for each 32,768 blocks that are not all clear. Integers are big-endian (docs/on-disk-format.md).
///
/// Header, 48 bytes: magic `0x4846424d` "HFBM", version, 3 zero bytes, resource id (16),
/// incarnation of the superblock it belongs to (8), blocks of the device (8), pages that follow
/// (4), CRC-32C of bytes 0 to 43.
///
/// | offset | bytes | field | meaning                                                    |
/// |-------:|------:|-------|------------------------------------------------------------|
/// |      0 |     1 | set   | 1 = dirty, 2 = suspect                                     |
/// |      1 |     1 | form  | 1 = all blocks of the page, 2 = 4,096 bytes of bits follow |
/// |      2 |     2 | zero  |                                                            |
/// |      4 |     4 | page  | its number                                                 |
/// |      8 |     4 | crc   | CRC-32C of bytes 0 to 7 and the bits                       |
public final class BitmapCodec {
    private static final int MAGIC = 0x4846424d;
    private static final int HEADER_BYTES = 48;
    private static final int PAGE_HEADER_BYTES = 12;

    /// The two sets of a resource.
    public record Sets(BlockSet dirty, BlockSet suspect) {}

    private BitmapCodec() {}

    public static void encode(
            UUID resource, long incarnation, Sets sets, Consumer<ByteBuffer> out) {
        ByteBuffer header = ByteBuffer.allocate(HEADER_BYTES);
        header.putInt(MAGIC).putInt(1 << 24);
        header.putLong(resource.getMostSignificantBits())
                .putLong(resource.getLeastSignificantBits());
        header.putLong(incarnation).putLong(sets.dirty().capacity());
        header.putInt(pagesOf(sets.dirty()) + pagesOf(sets.suspect()));
        out.accept(header.putInt(crc(header.duplicate().flip())).flip());
        pages(1, sets.dirty(), out);
        pages(2, sets.suspect(), out);
    }

    private static int pagesOf(BlockSet set) {
        int count = 0;
        for (int p = 0; p < set.pageCount(); p++) {
            count += set.isPageClear(p) ? 0 : 1;
        }
        return count;
    }

    private static void pages(int id, BlockSet set, Consumer<ByteBuffer> out) {
        for (int p = 0; p < set.pageCount(); p++) {
            if (set.isPageClear(p)) {
                continue;
            }
            boolean full = set.isPageFull(p);
            ByteBuffer page =
                    ByteBuffer.allocate(PAGE_HEADER_BYTES + (full ? 0 : BlockSet.PAGE_BYTES));
            page.put((byte) id).put((byte) (full ? 1 : 2)).putShort((short) 0).putInt(p).putInt(0);
            if (!full) {
                set.copyPage(p, page);
            }
            out.accept(page.flip().putInt(8, pageCrc(page)));
        }
    }

    /// Reads what [#encode] wrote.
    ///
    /// @throws IllegalArgumentException if it is not whole, or belongs to another resource, device
    ///   or incarnation
    public static Sets decode(UUID resource, long incarnation, long blocks, ByteBuffer in) {
        require(in.remaining() >= HEADER_BYTES, "it ends within its header");
        ByteBuffer header = in.slice(in.position(), HEADER_BYTES - 4);
        int pages = in.getInt(in.position() + 40);
        require(in.getInt(in.position() + 44) == crc(header), "its header's checksum differs");
        require(
                header.getInt(0) == MAGIC && header.getInt(4) == 1 << 24,
                "it is no bitmap of version 1");
        require(
                new UUID(header.getLong(8), header.getLong(16)).equals(resource),
                "it belongs to another resource");
        require(header.getLong(24) == incarnation, "it belongs to another run of this resource");
        require(header.getLong(32) == blocks, "it is for a device of another size");
        in.position(in.position() + HEADER_BYTES);
        Sets sets = new Sets(new BlockSet(blocks), new BlockSet(blocks));
        for (int i = 0; i < pages; i++) {
            require(in.remaining() >= PAGE_HEADER_BYTES, "it ends within a page");
            boolean full = in.get(in.position() + 1) == 1;
            int length = PAGE_HEADER_BYTES + (full ? 0 : BlockSet.PAGE_BYTES);
            require(in.remaining() >= length, "it ends within a page");
            ByteBuffer page = in.slice(in.position(), length);
            require(page.getInt(8) == pageCrc(page), "the checksum of page " + i + " differs");
            int number = page.getInt(4);
            BlockSet set = page.get(0) == 1 ? sets.dirty() : sets.suspect();
            require(
                    number >= 0 && number < set.pageCount(),
                    "page " + number + " lies outside the device");
            if (full) {
                set.fillPage(number);
            } else {
                set.loadPage(number, page.position(PAGE_HEADER_BYTES));
            }
            in.position(in.position() + length);
        }
        require(!in.hasRemaining(), "bytes follow its last page");
        return sets;
    }

    private static int pageCrc(ByteBuffer page) {
        CRC32C crc = new CRC32C();
        crc.update(page.slice(0, 8));
        crc.update(page.slice(PAGE_HEADER_BYTES, page.limit() - PAGE_HEADER_BYTES));
        return (int) crc.getValue();
    }

    private static int crc(ByteBuffer bytes) {
        CRC32C crc = new CRC32C();
        crc.update(bytes);
        return (int) crc.getValue();
    }

    private static void require(boolean holds, String why) {
        if (!holds) {
            throw new IllegalArgumentException(why);
        }
    }
}
