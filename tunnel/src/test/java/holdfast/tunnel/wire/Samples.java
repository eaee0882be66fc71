package holdfast.tunnel.wire;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.UUID;

/// One frame of each kind, with values that show where each byte ends up.
final class Samples {
    static final UUID RESOURCE = UUID.fromString("11111111-2222-3333-4444-555555555555");
    static final UUID NODE = UUID.fromString("aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee");
    static final Position STORED = new Position(0x0102030405060708L, 1000);
    static final Position COMMITTED = new Position(0x0102030405060708L, 900);
    static final Ancestry ANCESTRY =
            new Ancestry(
                    List.of(
                            new Ancestry.Entry(
                                    7,
                                    Position.NONE,
                                    Ancestry.Reason.CREATE,
                                    NODE,
                                    1_795_200_000_000L),
                            new Ancestry.Entry(
                                    8,
                                    new Position(7, 41),
                                    Ancestry.Reason.PROMOTE,
                                    NODE,
                                    1_795_200_001_000L)));

    static final AddressSpace SPACE = AddressSpace.parse("0:1099511627776 1:8589934592 0:4194304");

    /// In the order of [Frame#KINDS].
    static final List<Frame> ALL =
            List.of(
                    new Frame.Hello(
                            1, 2, 0x0f, NODE, "server", 0x5a5a, bytes(32, 1), 1_795_200_000_000L),
                    new Frame.Welcome(1, 0x0f, bytes(32, 2)),
                    new Frame.Ping(17, 1_795_200_000_001L),
                    new Frame.Pong(17, 1_795_200_000_002L),
                    new Frame.Credit(3, 1 << 20),
                    new Frame.Goodbye("the daemon stops"),
                    new Frame.Join(bytes(32, 3), NODE, "backup"),
                    new Frame.Joined(true, NODE, "server", ""),
                    new Frame.Offer(RESOURCE, "home", SPACE, "protocol = \"A\"\n", true),
                    new Frame.OfferReply(
                            RESOURCE,
                            false,
                            "/dev/vg1/home",
                            "ext4",
                            "no room: 40 GiB free, größer nötig"),
                    new Frame.Withdraw(RESOURCE, true),
                    new Frame.ResourceHello(
                            RESOURCE,
                            2,
                            5,
                            1L << 40,
                            COMMITTED,
                            STORED,
                            12,
                            true,
                            40L << 30,
                            false,
                            77,
                            78,
                            new Frame.Known(COMMITTED, COMMITTED.plus(3), 79, 80, 81, 82, true),
                            ANCESTRY),
                    new Frame.StreamStart(RESOURCE, 99, 3, STORED),
                    new Frame.Refused(RESOURCE, "unrelated data"),
                    new Frame.Ack(RESOURCE, 99, STORED, COMMITTED, 55, 56),
                    new Frame.EpochReply(
                            RESOURCE,
                            99,
                            12,
                            4096,
                            17,
                            0,
                            List.of(
                                    new Frame.KeptRange(1 << 20, 8192),
                                    new Frame.KeptRange(1L << 40, 4096))),
                    new Frame.CompareReply(RESOURCE, 99, 3, bytes(64, 4)),
                    new Frame.Write(1, STORED, 1_795_200_000_003L, 4096, data(512)),
                    new Frame.Zero(0, STORED, 1_795_200_000_004L, 4096, 1L << 30, true),
                    new Frame.Heartbeat(STORED, 1_795_200_000_005L),
                    new Frame.EpochBegin(12, 4096, 17),
                    new Frame.EpochBlocks(0, 12, 1 << 20, data(4096)),
                    new Frame.EpochZero(0, 12, 1 << 21, 1 << 20),
                    new Frame.EpochCommit(
                            12, STORED, 1_795_200_000_006L, 4096, bytes(32, 5), ANCESTRY),
                    new Frame.SyncBlocks(0, 1, 0, data(4096)),
                    new Frame.SyncZero(0, 2, 4096, 1 << 30),
                    new Frame.Compare(0, 3, 1 << 22, 1 << 20, 1),
                    new Frame.Trouble(RESOURCE, "no space left"),
                    new Frame.Invalidate(RESOURCE),
                    new Frame.InvalidateReply(RESOURCE, "not here"),
                    new Frame.Tracked(78),
                    new Frame.Resize(RESOURCE, SPACE),
                    new Frame.ResizeReply(RESOURCE, 1L << 40, "not here"),
                    new Frame.CompareSectors(
                            4,
                            List.of(new Frame.Range(1 << 22, 8192), new Frame.Range(1 << 23, 512))),
                    new Frame.SectorsReply(RESOURCE, 99, 4, bytes(272, 6)),
                    new Frame.Verify(0, 7, 3, 1 << 22, 1 << 17, 0, true),
                    new Frame.VerifyReply(RESOURCE, 99, 7, 3, true, bytes(64, 7)),
                    new Frame.Verified(
                            RESOURCE,
                            7,
                            1_795_200_000_007L,
                            1_795_200_000_008L,
                            1L << 40,
                            2,
                            "stopped"),
                    new Frame.Mark(8, STORED, 1_795_200_000_009L, "before-upgrade"),
                    new Frame.MarkReply(RESOURCE, 99, 8, "there is one"),
                    new Frame.Changed(
                            RESOURCE,
                            List.of(
                                    new Frame.KeptRange(1 << 20, 8192),
                                    new Frame.KeptRange(1L << 40, 4096))),
                    new Frame.Behind(RESOURCE, 99, STORED),
                    new Frame.Wrote(
                            RESOURCE,
                            STORED,
                            COMMITTED,
                            1_795_200_000_009L,
                            1_795_200_000_010L,
                            1_795_200_000_011L,
                            true,
                            513,
                            false,
                            Frame.Wrote.UNKNOWN),
                    new Frame.Fetch(0, 7, 4, 1 << 22, 1 << 17),
                    new Frame.Fetched(RESOURCE, 99, 7, 4, bytes(64, 9)));

    private Samples() {}

    static byte[] bytes(int length, int first) {
        var bytes = new byte[length];
        for (int i = 0; i < length; i++) {
            bytes[i] = (byte) (first + i);
        }
        return bytes;
    }

    static ByteBuffer data(int length) {
        return ByteBuffer.wrap(bytes(length, 0x20));
    }

    static ByteBuffer encoded(Frame frame) {
        var out = ByteBuffer.allocate(FrameCodec.sizeOf(frame));
        FrameCodec.encode(frame, out);
        return out.flip();
    }
}
