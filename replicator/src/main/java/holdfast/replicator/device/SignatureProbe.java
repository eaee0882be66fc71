package holdfast.replicator.device;

import holdfast.replicator.device.Signature.Content;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;

/// One look at a device, for [Signature]. The places and magic numbers are those of libblkid.
final class SignatureProbe {
    private static final int MIB = 1 << 20;

    /// A magic number that is all there is to know of a type.
    ///
    /// @param at offset in bytes; negative: from the end of the device
    private record Magic(String type, long at, byte[] bytes) {
        static Magic text(String type, long at, String text) {
            return new Magic(type, at, text.getBytes(StandardCharsets.ISO_8859_1));
        }

        static Magic hex(String type, long at, String hex) {
            return new Magic(type, at, HexFormat.of().parseHex(hex));
        }
    }

    private static final List<Magic> SIMPLE =
            List.of(
                    Magic.text("squashfs", 0, "hsqs"),
                    Magic.hex("erofs", 1024, "e2e1f5e0"),
                    Magic.hex("cramfs", 0, "453dcd28"),
                    Magic.text("iso9660", 32769, "CD001"),
                    Magic.text("udf", 32769, "BEA01"),
                    Magic.text("ntfs", 3, "NTFS    "),
                    Magic.text("exfat", 3, "EXFAT   "),
                    Magic.text("BitLocker", 3, "-FVE-FS-"),
                    Magic.text("reiserfs", 65588, "ReIsEr"),
                    Magic.text("jfs", 32768, "JFS1"),
                    Magic.hex("gfs2", 65536, "0116197000000001"),
                    Magic.text("ocfs2", 8192, "OCFSV2"),
                    Magic.hex("f2fs", 1024, "1020f5f2"),
                    Magic.hex("nilfs2", 1030, "3434"),
                    Magic.hex("bcachefs", 4120, "c68573f64e1a45ca8265f57f48ba6d81"),
                    Magic.hex("bcache", 4120, "c68573f66673439c9c2d2d7f00d7c3b1"),
                    Magic.text("ceph_bluestore", 0, "bluestore block device"),
                    Magic.text("VDO", 0, "dmvdo001"),
                    Magic.text("stratis", 516, "!Stra0tis\u0086\u00ff\u0002^"),
                    Magic.text("qcow2 image", 0, "QFI\u00fb"),
                    Magic.text("zfs_host_backup", 0, "ZFSBAK"),
                    // The copy of the table at the end outlives whatever is written over the
                    // beginning.
                    Magic.text("gpt", -512, "EFI PART"),
                    Magic.text("gpt", -4096, "EFI PART"),
                    // DRBD keeps its metadata in the last 4 KiB of the device: versions 08 and 09.
                    Magic.hex("drbd", -4096 + 60, "8374026d"),
                    Magic.hex("drbd", -4096 + 60, "8374026e"),
                    Magic.hex("drbd", -4096 + 60, "8374026b"));

    private final BlockDevice device;
    private final long size;
    private final ByteBuffer head;
    private final ByteBuffer tail;
    private final long tailOffset;
    private final List<Content> found = new ArrayList<>();

    SignatureProbe(BlockDevice device) throws DeviceException {
        this.device = device;
        size = device.sizeBytes();
        head = read(0, (int) Math.min(MIB, size));
        tailOffset = Math.max(0, size - MIB);
        tail = read(tailOffset, (int) (size - tailOffset));
    }

    Signature run() {
        partitionTable();
        ext();
        xfs();
        btrfs();
        luks();
        lvm();
        raid();
        swap();
        fat();
        zfs();
        SIMPLE.forEach(this::simple);
        if (!found.isEmpty()) {
            return new Signature.Known(found);
        }
        long inHead = firstNonZero(head);
        if (inHead >= 0) {
            return new Signature.Unknown(inHead);
        }
        long inTail = firstNonZero(tail);
        return inTail >= 0 ? new Signature.Unknown(tailOffset + inTail) : new Signature.Blank();
    }

    private ByteBuffer read(long offset, int length) throws DeviceException {
        ByteBuffer bytes = ByteBuffer.allocate(length);
        device.read(offset, bytes);
        return bytes.flip().order(ByteOrder.LITTLE_ENDIAN);
    }

    private static long firstNonZero(ByteBuffer bytes) {
        for (int i = 0; i < bytes.limit(); i++) {
            if (bytes.get(i) != 0) {
                return i;
            }
        }
        return -1;
    }

    private void add(String type, String label, String uuid) {
        var content = new Content(type, label, uuid);
        if (found.stream().noneMatch(c -> c.type().equals(type))) {
            found.add(content);
        }
    }

    private void simple(Magic magic) {
        if (is(magic.at < 0 ? size + magic.at : magic.at, magic.bytes)) {
            add(magic.type, "", "");
        }
    }

    private boolean is(long at, String text) {
        return is(at, text.getBytes(StandardCharsets.ISO_8859_1));
    }

    /// Whether these bytes stand there; beyond what was read nothing does.
    private boolean is(long at, byte[] bytes) {
        boolean inHead = at + bytes.length <= head.limit();
        ByteBuffer in = inHead ? head : tail;
        long from = inHead ? at : at - tailOffset;
        if (from < 0 || from + bytes.length > in.limit()) {
            return false;
        }
        return in.slice((int) from, bytes.length).equals(ByteBuffer.wrap(bytes));
    }

    private void partitionTable() {
        if (is(512, "EFI PART") || is(4096, "EFI PART")) {
            add("gpt", "", "");
        } else if (is(510, new byte[] {0x55, (byte) 0xaa}) && !looksLikeFat() && hasPartition()) {
            add("dos", "", "");
        }
    }

    /// A boot sector ends with the same two bytes; a table has a partition with a type and a length
    /// and flags that are 0x00 or 0x80.
    private boolean hasPartition() {
        boolean any = false;
        for (int entry = 446; entry < 510; entry += 16) {
            if ((head.get(entry) & 0x7f) != 0) {
                return false;
            }
            any |= head.get(entry + 4) != 0 && head.getInt(entry + 12) != 0;
        }
        return any;
    }

    private void ext() {
        if (head.limit() < 2048 || !is(1024 + 56, new byte[] {0x53, (byte) 0xef})) {
            return;
        }
        int compatible = head.getInt(1024 + 92);
        int incompatible = head.getInt(1024 + 96);
        int readOnlyCompatible = head.getInt(1024 + 100);
        boolean journal = (compatible & 4) != 0;
        boolean journalDevice = (incompatible & 8) != 0;
        // What ext3 knows: filetype, recover, meta_bg; sparse_super, large_file, btree_dir.
        boolean beyondExt3 = (incompatible & ~0x16) != 0 || (readOnlyCompatible & ~7) != 0;
        String type = journalDevice ? "jbd" : beyondExt3 ? "ext4" : journal ? "ext3" : "ext2";
        add(type, text(1024 + 120, 16), uuid(1024 + 104));
    }

    private void xfs() {
        if (is(0, "XFSB")) {
            add("xfs", text(108, 12), uuid(32));
        }
    }

    private void btrfs() {
        if (is(65536 + 64, "_BHRfS_M")) {
            add("btrfs", text(65536 + 0x12b, 256), uuid(65536 + 32));
        }
    }

    private void luks() {
        if (head.limit() >= 512 && is(0, "LUKS\u00ba\u00be")) {
            add("crypto_LUKS", head.getShort(6) == 0x200 ? text(24, 48) : "", text(168, 40));
        } else if (is(16384, "SKUL\u00ba\u00be")) {
            add("crypto_LUKS", "", text(16384 + 168, 40));
        }
    }

    private void lvm() {
        for (int sector = 0; sector < 4; sector++) {
            if (is(sector * 512L, "LABELONE") && is(sector * 512L + 24, "LVM2 001")) {
                // The header of the physical volume; its id has no dashes on disk.
                int header = sector * 512 + head.getInt(sector * 512 + 20);
                boolean inside = header > 0 && header + 32 <= head.limit();
                add("LVM2_member", "", inside ? text(header, 32) : "");
            }
        }
    }

    private void raid() {
        byte[] magic = HexFormat.of().parseHex("fc4e2ba9");
        long inEnd = (size & -65536L) - 65536;
        for (long at : new long[] {0, 4096, (size & -8192L) - 8192, inEnd}) {
            // 1.x by its version, 0.90 by its place.
            if (at >= 0 && is(at, magic)) {
                add("linux_raid_member", at == inEnd ? "" : textAt(at + 32, 32), "");
            }
        }
        if (is(inEnd, HexFormat.of().parseHex("a92b4efc"))) {
            add("linux_raid_member", "", "");
        }
    }

    private void swap() {
        for (int page : new int[] {4096, 8192, 16384, 65536}) {
            if (is(page - 10, "SWAPSPACE2") || is(page - 10, "SWAP-SPACE")) {
                add("swap", text(1052, 16), uuid(1036));
            } else if (is(page - 10, "S1SUSPEND") || is(page - 10, "S2SUSPEND")) {
                add("swsuspend", "", "");
            }
        }
    }

    private boolean looksLikeFat() {
        return is(82, "FAT32   ") || is(54, "FAT16   ") || is(54, "FAT12   ") || is(54, "FAT     ");
    }

    private void fat() {
        if (looksLikeFat()) {
            int label = is(82, "FAT32   ") ? 71 : 43;
            String text = text(label, 11);
            String serial =
                    "%04X-%04X".formatted(head.getShort(label - 2), head.getShort(label - 4));
            add("vfat", text.equals("NO NAME") ? "" : text, serial);
        }
    }

    /// Four labels of 256 KiB, two at each end; in each an array of 128 KiB of uberblocks, of which
    /// one is enough. A pool of another byte order counts too.
    private void zfs() {
        byte[] little = HexFormat.of().parseHex("0cb1ba0000000000");
        byte[] big = HexFormat.of().parseHex("0000000000bab10c");
        long end = size & -(256L << 10);
        for (long label : new long[] {0, 256 << 10, end - (512 << 10), end - (256 << 10)}) {
            for (long at = label + (128 << 10);
                    label >= 0 && at < label + (256 << 10);
                    at += 1024) {
                if (is(at, little) || is(at, big)) {
                    add("zfs_member", "", "");
                    return;
                }
            }
        }
    }

    private String text(int at, int length) {
        return textAt(at, length);
    }

    /// Up to the first zero byte, in UTF-8, without what would move the cursor of a terminal.
    private String textAt(long at, int length) {
        boolean inHead = at + length <= head.limit();
        ByteBuffer in = inHead ? head : tail;
        long from = inHead ? at : at - tailOffset;
        if (from < 0 || from + length > in.limit()) {
            return "";
        }
        byte[] bytes = new byte[length];
        in.get((int) from, bytes);
        int end = 0;
        while (end < length && bytes[end] != 0) {
            end++;
        }
        Charset utf8 = StandardCharsets.UTF_8;
        return new String(bytes, 0, end, utf8).replaceAll("\\p{Cntrl}", "?").strip();
    }

    private String uuid(int at) {
        if (at + 16 > head.limit()) {
            return "";
        }
        byte[] bytes = new byte[16];
        head.get(at, bytes);
        return HexFormat.of()
                .formatHex(bytes)
                .replaceFirst("(.{8})(.{4})(.{4})(.{4})(.{12})", "$1-$2-$3-$4-$5");
    }
}
