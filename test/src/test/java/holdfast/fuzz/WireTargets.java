package holdfast.fuzz;

import static holdfast.fuzz.DiskTargets.ANCESTRY;
import static holdfast.fuzz.DiskTargets.POSITION;
import static holdfast.fuzz.DiskTargets.RESOURCE;
import static holdfast.fuzz.DiskTargets.SPACE;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import holdfast.tunnel.link.Compression;
import holdfast.tunnel.link.PacketTarget;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.FrameCodec;
import holdfast.tunnel.wire.PacketCodec;
import holdfast.tunnel.wire.ProtocolException;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;

/// What comes from a peer or an NBD client.
final class WireTargets {
    /// One of each kind, in the order of [Frame#KINDS].
    private static final List<Frame> FRAMES =
            List.of(
                    new Frame.Hello(1, 2, 15, RESOURCE, "server", 5, new byte[32], 7),
                    new Frame.Welcome(1, 15, new byte[32]),
                    new Frame.Ping(17, 1),
                    new Frame.Pong(17, 2),
                    new Frame.Credit(3, 1 << 20),
                    new Frame.Goodbye("the daemon stops"),
                    new Frame.Join(new byte[32], RESOURCE, "backup"),
                    new Frame.Joined(true, RESOURCE, "server", ""),
                    new Frame.Offer(RESOURCE, "home", SPACE, "protocol = \"A\"\n", true),
                    new Frame.OfferReply(RESOURCE, false, "/dev/vg1/home", "ext4", "größer"),
                    new Frame.Withdraw(RESOURCE, true),
                    new Frame.ResourceHello(
                            RESOURCE,
                            2,
                            5,
                            1L << 40,
                            POSITION,
                            POSITION,
                            12,
                            true,
                            40L << 30,
                            false,
                            77,
                            78,
                            new Frame.Known(POSITION, POSITION.plus(3), 79, 80, 81, 82, true),
                            ANCESTRY),
                    new Frame.StreamStart(RESOURCE, 99, 3, POSITION),
                    new Frame.Refused(RESOURCE, "unrelated data"),
                    new Frame.Ack(RESOURCE, 99, POSITION, POSITION, 55, 56),
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
                    new Frame.CompareReply(RESOURCE, 99, 3, new byte[64]),
                    new Frame.Write(1, POSITION, 3, 4096, ByteBuffer.allocate(512)),
                    new Frame.Zero(0, POSITION, 4, 4096, 1L << 30, true),
                    new Frame.Heartbeat(POSITION, 5),
                    new Frame.EpochBegin(12, 4096, 17),
                    new Frame.EpochBlocks(0, 12, 1 << 20, ByteBuffer.allocate(4096)),
                    new Frame.EpochZero(0, 12, 1 << 21, 1 << 20),
                    new Frame.EpochCommit(12, POSITION, 6, 4096, new byte[32], ANCESTRY),
                    new Frame.SyncBlocks(0, 1, 0, ByteBuffer.allocate(4096)),
                    new Frame.SyncZero(0, 2, 4096, 1 << 30),
                    new Frame.Compare(0, 3, 1 << 22, 1 << 20, 1),
                    new Frame.Trouble(RESOURCE, "no space left"),
                    new Frame.Invalidate(RESOURCE),
                    new Frame.InvalidateReply(RESOURCE, "not here"),
                    new Frame.Tracked(78),
                    new Frame.Resize(RESOURCE, SPACE),
                    new Frame.ResizeReply(RESOURCE, 1L << 40, "not here"),
                    new Frame.CompareSectors(4, List.of(new Frame.Range(1 << 22, 8192))),
                    new Frame.SectorsReply(RESOURCE, 99, 4, new byte[256]),
                    new Frame.Verify(0, 7, 3, 1 << 22, 1 << 17, 0, true),
                    new Frame.VerifyReply(RESOURCE, 99, 7, 3, true, new byte[64]),
                    new Frame.Verified(RESOURCE, 7, 7, 8, 1L << 40, 2, "stopped"),
                    new Frame.Mark(8, POSITION, 9, "before-upgrade"),
                    new Frame.MarkReply(RESOURCE, 99, 8, "there is one"),
                    new Frame.Changed(RESOURCE, List.of(new Frame.KeptRange(1 << 20, 8192))),
                    new Frame.Behind(RESOURCE, 99, POSITION),
                    new Frame.Wrote(RESOURCE, POSITION, POSITION, 8, 9, 10, true, 11, true, 12),
                    new Frame.Fetch(0, 7, 4, 1 << 22, 1 << 17),
                    new Frame.Fetched(RESOURCE, 99, 7, 4, new byte[64]));

    private WireTargets() {}

    static Stream<Target> all() {
        assertEquals(Frame.KINDS, FRAMES.stream().map(Object::getClass).toList());
        List<byte[]> frames = FRAMES.stream().map(WireTargets::encoded).toList();
        List<byte[]> data = frames.subList(17, 27);
        byte[] control = PacketCodec.encodeRaw(0, FRAMES.subList(0, 3)).array();
        return Stream.of(
                new Target("frames", frames, 64 << 10, WireTargets::frame),
                new Target(
                        "packets",
                        List.of(
                                control,
                                PacketCodec.encodeRaw(1, FRAMES.subList(17, 20)).array(),
                                PacketTarget.packets(Compression.STREAM, data),
                                PacketTarget.packets(Compression.FRAME, data)),
                        // The payload and what it decompresses to, each to 2 MiB, for every packet
                        // that a few hundred bytes can name.
                        40 << 20,
                        input -> PacketTarget.take(input, 1 + input.length / 3),
                        WireTargets::repairPackets));
    }

    private static byte[] encoded(Frame frame) {
        var out = ByteBuffer.allocate(FrameCodec.sizeOf(frame));
        FrameCodec.encode(frame, out);
        return out.array();
    }

    private static void frame(byte[] input) {
        ByteBuffer in = ByteBuffer.wrap(input);
        Frame read;
        try {
            read = FrameCodec.decode(in);
        } catch (ProtocolException e) {
            return;
        }
        assertArrayEquals(Arrays.copyOf(input, in.position()), encoded(read), read.toString());
    }

    /// Right checksums of the headers, and of payloads that are not compressed.
    private static byte[] repairPackets(byte[] input) {
        ByteBuffer b = ByteBuffer.wrap(input);
        int at = 0;
        while (at + PacketCodec.HEADER_BYTES <= input.length) {
            int length = b.getInt(at + 8);
            int room = input.length - at - PacketCodec.HEADER_BYTES;
            boolean whole = length > 0 && length <= room;
            if (whole && b.get(at + 3) == 0) {
                b.putInt(at + 12, length);
                b.putInt(at + 16, DiskTargets.crc(input, at + PacketCodec.HEADER_BYTES, length));
            }
            b.putInt(at + 24, DiskTargets.crc(input, at, 24));
            if (!whole) {
                break;
            }
            at += PacketCodec.HEADER_BYTES + length;
        }
        return input;
    }
}
