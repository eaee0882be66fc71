package holdfast.replicator.device;

import holdfast.replicator.metadata.Evidence.Sign;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;

/// What the superblock of a known filesystem, LVM or a partition table says of when and how it was
/// used last, for [holdfast.replicator.metadata.Evidence]. A mount that writes changes at least one
/// of them; one that only reads, and has no journal to replay, changes none.
///
/// | what | offset | fields                                                                     |
/// |------|-------:|----------------------------------------------------------------------------|
/// | ext  |   1024 | 0x2c mounted, 0x30 written (high bytes at 0x275, 0x274), 0x34 mounts, 0x68 uuid |
/// | xfs  |      0 | 32 uuid, 144 free blocks, 240 log sequence number (version 5)              |
/// | btrfs |  65536 | 32 uuid, 72 generation                                                    |
/// | LVM  |      0 | 4096: checksum of the header of the metadata area                          |
/// | GPT  |    512 | 16 checksum of the table's header, 56 its uuid                             |
final class FilesystemSigns {
    private static final int HEAD_BYTES = 68 << 10;

    private final ByteBuffer head;
    private final List<Sign> found = new ArrayList<>();

    private FilesystemSigns(ByteBuffer head) {
        this.head = head;
    }

    static List<Sign> of(BlockDevice device) throws DeviceException {
        ByteBuffer head = ByteBuffer.allocate(HEAD_BYTES);
        head.limit((int) Math.min(HEAD_BYTES, device.sizeBytes()));
        device.read(0, head);
        // What a small device does not have reads as zero, and is no magic number of anything.
        head.clear().order(ByteOrder.LITTLE_ENDIAN);
        FilesystemSigns signs = new FilesystemSigns(head);
        signs.ext();
        signs.xfs();
        signs.btrfs();
        signs.lvm();
        signs.gpt();
        return signs.found;
    }

    private void ext() {
        if (head.getShort(1024 + 56) == (short) 0xef53) {
            add("the uuid of the ext filesystem", hex(1024 + 0x68, 16));
            add("the last mount of the ext filesystem", time(1024 + 0x2c, 1024 + 0x275));
            add("the last write of the ext filesystem", time(1024 + 0x30, 1024 + 0x274));
            int mounts = Short.toUnsignedInt(head.getShort(1024 + 0x34));
            add("the count of mounts of the ext filesystem", mounts + "");
        }
    }

    private void xfs() {
        if (is(0, "XFSB")) {
            ByteBuffer block = head.slice(0, 512).order(ByteOrder.BIG_ENDIAN);
            add("the uuid of the xfs filesystem", hex(32, 16));
            add("the count of free blocks of the xfs filesystem", block.getLong(144) + "");
            if ((block.getShort(100) & 15) == 5) {
                add("the log position of the xfs filesystem", hex(240, 8));
            }
        }
    }

    private void btrfs() {
        if (is(65536 + 64, "_BHRfS_M")) {
            add("the uuid of the btrfs filesystem", hex(65536 + 32, 16));
            add("the generation of the btrfs filesystem", head.getLong(65536 + 72) + "");
        }
    }

    private void lvm() {
        for (int sector = 0; sector < 4; sector++) {
            if (is(sector * 512, "LABELONE") && is(sector * 512 + 24, "LVM2 001")) {
                add("the checksum of the LVM metadata", hex(4096, 4));
            }
        }
    }

    private void gpt() {
        if (is(512, "EFI PART")) {
            add("the uuid of the partition table", hex(512 + 56, 16));
            add("the checksum of the partition table", hex(512 + 16, 4));
        }
    }

    private void add(String name, String value) {
        found.add(new Sign(name, value));
    }

    private boolean is(int at, String text) {
        byte[] bytes = text.getBytes(StandardCharsets.ISO_8859_1);
        return head.slice(at, bytes.length).equals(ByteBuffer.wrap(bytes));
    }

    private String time(int at, int highAt) {
        long seconds = Integer.toUnsignedLong(head.getInt(at)) | (head.get(highAt) & 255L) << 32;
        return seconds == 0 ? "never" : Instant.ofEpochSecond(seconds).toString();
    }

    private String hex(int at, int length) {
        byte[] bytes = new byte[length];
        head.get(at, bytes);
        return HexFormat.of().formatHex(bytes);
    }
}
