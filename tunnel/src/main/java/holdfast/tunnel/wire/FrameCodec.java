package holdfast.tunnel.wire;

import static java.nio.charset.StandardCharsets.UTF_8;

import holdfast.tunnel.wire.Frame.Ack;
import holdfast.tunnel.wire.Frame.Behind;
import holdfast.tunnel.wire.Frame.Changed;
import holdfast.tunnel.wire.Frame.Compare;
import holdfast.tunnel.wire.Frame.CompareReply;
import holdfast.tunnel.wire.Frame.CompareSectors;
import holdfast.tunnel.wire.Frame.Credit;
import holdfast.tunnel.wire.Frame.EpochBegin;
import holdfast.tunnel.wire.Frame.EpochBlocks;
import holdfast.tunnel.wire.Frame.EpochCommit;
import holdfast.tunnel.wire.Frame.EpochReply;
import holdfast.tunnel.wire.Frame.EpochZero;
import holdfast.tunnel.wire.Frame.Fetch;
import holdfast.tunnel.wire.Frame.Fetched;
import holdfast.tunnel.wire.Frame.Goodbye;
import holdfast.tunnel.wire.Frame.Heartbeat;
import holdfast.tunnel.wire.Frame.Hello;
import holdfast.tunnel.wire.Frame.Invalidate;
import holdfast.tunnel.wire.Frame.InvalidateReply;
import holdfast.tunnel.wire.Frame.Join;
import holdfast.tunnel.wire.Frame.Joined;
import holdfast.tunnel.wire.Frame.Known;
import holdfast.tunnel.wire.Frame.Mark;
import holdfast.tunnel.wire.Frame.MarkReply;
import holdfast.tunnel.wire.Frame.Offer;
import holdfast.tunnel.wire.Frame.OfferReply;
import holdfast.tunnel.wire.Frame.Ping;
import holdfast.tunnel.wire.Frame.Pong;
import holdfast.tunnel.wire.Frame.Refused;
import holdfast.tunnel.wire.Frame.Resize;
import holdfast.tunnel.wire.Frame.ResizeReply;
import holdfast.tunnel.wire.Frame.ResourceHello;
import holdfast.tunnel.wire.Frame.SectorsReply;
import holdfast.tunnel.wire.Frame.StreamStart;
import holdfast.tunnel.wire.Frame.SyncBlocks;
import holdfast.tunnel.wire.Frame.SyncZero;
import holdfast.tunnel.wire.Frame.Tracked;
import holdfast.tunnel.wire.Frame.Trouble;
import holdfast.tunnel.wire.Frame.Verified;
import holdfast.tunnel.wire.Frame.Verify;
import holdfast.tunnel.wire.Frame.VerifyReply;
import holdfast.tunnel.wire.Frame.Welcome;
import holdfast.tunnel.wire.Frame.Withdraw;
import holdfast.tunnel.wire.Frame.Write;
import holdfast.tunnel.wire.Frame.Wrote;
import holdfast.tunnel.wire.Frame.Zero;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;

/// Frames to bytes and back: no I/O, no state, no compression. Integers are big-endian.
///
/// | offset | bytes | field     | meaning                                                        |
/// |-------:|------:|-----------|----------------------------------------------------------------|
/// |      0 |     2 | type      | place in [Frame#KINDS] plus one; numbers are never reused      |
/// |      2 |     2 | zero      |                                                                |
/// |      4 |     4 | bodyBytes | 0 to [#MAX_BODY_BYTES]                                         |
/// |      8 |       | body      | the record's components in order, see docs/protocol.md         |
///
/// In a body a UUID takes 16 bytes, a flag one (0 or 1), a text 4 bytes of length and its UTF-8,
/// bytes of varying length likewise, an ancestry or an address space 4 bytes of count and its
/// entries. The data of a write or of blocks is what is left of the body.
public final class FrameCodec {
    public static final int HEADER_BYTES = 8;

    /// Longest data of one frame; a longer write is split before it gets a position.
    public static final int MAX_DATA_BYTES = 1 << 20;

    /// Longest range that one [Compare] asks about, and the highest level of its tree.
    public static final long MAX_COMPARE_BYTES = 256 << 20;

    public static final int MAX_COMPARE_LEVEL = 4;

    /// Of the blocks of which [CompareSectors] asks.
    public static final int SECTOR_BYTES = 512;

    public static final int SECTOR_DIGEST_BYTES = 16;

    /// Longest answer to a [CompareSectors]: the sectors of 256 blocks.
    public static final int MAX_SECTOR_DIGESTS_BYTES = 32 << 10;

    /// Longest range that one exact [Verify] or a [Fetch] asks about: the peer reads it between two
    /// frames.
    public static final int MAX_EXACT_BYTES = 128 << 10;

    /// Ranges of one [CompareSectors].
    public static final int MAX_RANGES = 256;

    /// Ranges of one [EpochReply] or [Changed]: 512 KiB.
    public static final int MAX_KEPT_RANGES = 32 << 10;

    /// Longest answer to a [Compare]: 1,024 digests, such as those of the blocks of 4 MiB.
    public static final int MAX_COMPARE_DIGESTS_BYTES = 1024 * 32;

    /// 256 bytes beside the data is more than any frame with data has.
    public static final int MAX_BODY_BYTES = MAX_DATA_BYTES + 256;

    public static final int MAX_NAME_BYTES = 255;
    public static final int MAX_REASON_BYTES = 4096;
    public static final int MAX_SETTINGS_BYTES = 64 << 10;
    public static final int NONCE_BYTES = 32;
    public static final int DIGEST_BYTES = 32;

    private static final int BLOCK_BYTES = 4096;
    private static final int MAX_VOLUME = 0xffff;

    private FrameCodec() {}

    /// The number that stands for this frame's kind on the wire.
    public static int type(Frame frame) {
        return switch (frame) {
            case Hello _ -> 1;
            case Welcome _ -> 2;
            case Ping _ -> 3;
            case Pong _ -> 4;
            case Credit _ -> 5;
            case Goodbye _ -> 6;
            case Join _ -> 7;
            case Joined _ -> 8;
            case Offer _ -> 9;
            case OfferReply _ -> 10;
            case Withdraw _ -> 11;
            case ResourceHello _ -> 12;
            case StreamStart _ -> 13;
            case Refused _ -> 14;
            case Ack _ -> 15;
            case EpochReply _ -> 16;
            case CompareReply _ -> 17;
            case Write _ -> 18;
            case Zero _ -> 19;
            case Heartbeat _ -> 20;
            case EpochBegin _ -> 21;
            case EpochBlocks _ -> 22;
            case EpochZero _ -> 23;
            case EpochCommit _ -> 24;
            case SyncBlocks _ -> 25;
            case SyncZero _ -> 26;
            case Compare _ -> 27;
            case Trouble _ -> 28;
            case Invalidate _ -> 29;
            case InvalidateReply _ -> 30;
            case Tracked _ -> 31;
            case CompareSectors _ -> 34;
            case SectorsReply _ -> 35;
            case Resize _ -> 32;
            case ResizeReply _ -> 33;
            case Verify _ -> 36;
            case VerifyReply _ -> 37;
            case Verified _ -> 38;
            case Mark _ -> 39;
            case MarkReply _ -> 40;
            case Changed _ -> 41;
            case Behind _ -> 42;
            case Wrote _ -> 43;
            case Fetch _ -> 44;
            case Fetched _ -> 45;
        };
    }

    /// Bytes that [#encode] will write, header included.
    public static int sizeOf(Frame frame) {
        return HEADER_BYTES
                + switch (frame) {
                    case Hello f -> 4 + 4 + 8 + 16 + text(f.nodeName()) + 8 + NONCE_BYTES + 8;
                    case Welcome _ -> 4 + 8 + NONCE_BYTES;
                    case Ping _, Pong _ -> 8 + 8;
                    case Credit _ -> 4 + 8;
                    case Goodbye f -> text(f.reason());
                    case Join f -> 4 + f.secret().length + 16 + text(f.nodeName());
                    case Joined f -> 1 + 16 + text(f.nodeName()) + text(f.reason());
                    case Offer f ->
                            16 + text(f.name()) + spaceBytes(f.space()) + text(f.settings()) + 1;
                    case OfferReply f ->
                            16 + 1 + text(f.disk()) + text(f.holds()) + text(f.reason());
                    case Withdraw _ -> 16 + 1;
                    case ResourceHello f ->
                            16
                                    + 1
                                    + 1
                                    + 8
                                    + 2 * Position.BYTES
                                    + 8
                                    + 1
                                    + 8
                                    + 1
                                    + 8
                                    + 8
                                    + Known.BYTES
                                    + ancestryBytes(f.ancestry());
                    case StreamStart _ -> 16 + 8 + 4 + Position.BYTES;
                    case Behind _ -> 16 + 8 + Position.BYTES;
                    case Wrote _ -> 16 + 2 * Position.BYTES + 3 * 8 + 1 + 8 + 1 + 8;
                    case Refused f -> 16 + text(f.reason());
                    case Ack _ -> 16 + 8 + 2 * Position.BYTES + 8 + 8;
                    case EpochReply f ->
                            16 + 8 + 8 + 8 + 8 + 8 + 4 + f.kept().size() * Frame.KeptRange.BYTES;
                    case CompareReply f -> 16 + 8 + 8 + 4 + f.digests().length;
                    case CompareSectors f -> 8 + 4 + f.ranges().size() * Frame.Range.BYTES;
                    case SectorsReply f -> 16 + 8 + 8 + 4 + f.digests().length;
                    case Write f -> 4 + Position.BYTES + 8 + 8 + f.data().remaining();
                    case Zero _ -> 4 + Position.BYTES + 8 + 8 + 8 + 1;
                    case Heartbeat _ -> Position.BYTES + 8;
                    case Tracked _ -> 8;
                    case EpochBegin _ -> 8 + 8 + 8;
                    case EpochBlocks f -> 4 + 8 + 8 + f.data().remaining();
                    case EpochZero _ -> 4 + 8 + 8 + 8;
                    case EpochCommit f ->
                            8 + Position.BYTES + 8 + 8 + DIGEST_BYTES + ancestryBytes(f.ancestry());
                    case SyncBlocks f -> 4 + 8 + 8 + f.data().remaining();
                    case SyncZero _ -> 4 + 8 + 8 + 8;
                    case Compare _ -> 4 + 8 + 8 + 8 + 1;
                    case Trouble f -> 16 + text(f.text());
                    case Invalidate _ -> 16;
                    case InvalidateReply f -> 16 + text(f.refusal());
                    case Resize f -> 16 + spaceBytes(f.space());
                    case ResizeReply f -> 16 + 8 + text(f.refusal());
                    case Verify _ -> 4 + 8 + 8 + 8 + 8 + 1 + 1;
                    case VerifyReply f -> 16 + 8 + 8 + 8 + 1 + 4 + f.digests().length;
                    case Verified f -> 16 + 8 + 8 + 8 + 8 + 8 + text(f.trouble());
                    case Fetch _ -> 4 + 8 + 8 + 8 + 8;
                    case Fetched f -> 16 + 8 + 8 + 8 + 4 + f.data().length;
                    case Mark f -> 8 + Position.BYTES + 8 + text(f.name());
                    case MarkReply f -> 16 + 8 + 8 + text(f.refusal());
                    case Changed f -> 16 + 4 + f.ranges().size() * Frame.KeptRange.BYTES;
                };
    }

    /// Writes one frame; its data's position is left as it was.
    ///
    /// @throws IllegalArgumentException if the frame is beyond a limit that [#decode] enforces at
    ///   the peer
    /// @throws java.nio.BufferOverflowException if `out` has less than [#sizeOf] left
    public static void encode(Frame frame, ByteBuffer out) {
        int bodyBytes = sizeOf(frame) - HEADER_BYTES;
        allow(bodyBytes <= MAX_BODY_BYTES, "frame of %d bytes", bodyBytes);
        out.putShort((short) type(frame)).putShort((short) 0).putInt(bodyBytes);
        switch (frame) {
            case Hello f -> {
                out.putInt(f.minVersion()).putInt(f.maxVersion()).putLong(f.features());
                put(out, f.node());
                put(out, f.nodeName(), MAX_NAME_BYTES);
                out.putLong(f.instance());
                putFixed(out, f.nonce(), NONCE_BYTES);
                out.putLong(f.wallMillis());
            }
            case Welcome f -> {
                out.putInt(f.version()).putLong(f.features());
                putFixed(out, f.peerNonce(), NONCE_BYTES);
            }
            case Ping f -> out.putLong(f.token()).putLong(f.wallMillis());
            case Pong f -> out.putLong(f.token()).putLong(f.wallMillis());
            case Credit f -> out.putInt(f.stream()).putLong(f.bytes());
            case Goodbye f -> put(out, f.reason(), MAX_REASON_BYTES);
            case Join f -> {
                allow(f.secret().length <= MAX_NAME_BYTES, "secret of %d bytes", f.secret().length);
                out.putInt(f.secret().length).put(f.secret());
                put(out, f.node());
                put(out, f.nodeName(), MAX_NAME_BYTES);
            }
            case Joined f -> {
                put(out, f.accepted());
                put(out, f.node());
                put(out, f.nodeName(), MAX_NAME_BYTES);
                put(out, f.reason(), MAX_REASON_BYTES);
            }
            case Offer f -> {
                put(out, f.resource());
                put(out, f.name(), MAX_NAME_BYTES);
                put(out, f.space());
                put(out, f.settings(), MAX_SETTINGS_BYTES);
                put(out, f.dryRun());
            }
            case OfferReply f -> {
                put(out, f.resource());
                put(out, f.accepted());
                put(out, f.disk(), MAX_REASON_BYTES);
                put(out, f.holds(), MAX_REASON_BYTES);
                put(out, f.reason(), MAX_REASON_BYTES);
            }
            case Withdraw f -> {
                put(out, f.resource());
                put(out, f.keepCopy());
            }
            case ResourceHello f -> {
                put(out, f.resource());
                out.put((byte) f.role()).put((byte) f.diskState()).putLong(f.sizeBytes());
                f.committed().write(out);
                f.stored().write(out);
                out.putLong(f.openEpoch());
                put(out, f.everCommitted());
                out.putLong(f.journalBytes());
                put(out, f.blank());
                out.putLong(f.tracked()).putLong(f.filled());
                put(out, f.known());
                put(out, f.ancestry());
            }
            case StreamStart f -> {
                put(out, f.resource());
                out.putLong(f.session()).putInt(f.stream());
                f.from().write(out);
            }
            case Wrote f -> {
                put(out, f.resource());
                f.at().write(out);
                f.since().write(out);
                out.putLong(f.partedMillis()).putLong(f.firstMillis()).putLong(f.lastMillis());
                put(out, f.orLater());
                out.putLong(f.blocks());
                put(out, f.exact());
                out.putLong(f.doubtful());
            }
            case Behind f -> {
                put(out, f.resource());
                out.putLong(f.session());
                f.whole().write(out);
            }
            case Refused f -> {
                put(out, f.resource());
                put(out, f.reason(), MAX_REASON_BYTES);
            }
            case Invalidate f -> put(out, f.resource());
            case InvalidateReply f -> {
                put(out, f.resource());
                put(out, f.refusal(), MAX_REASON_BYTES);
            }
            case Resize f -> {
                put(out, f.resource());
                put(out, f.space());
            }
            case ResizeReply f -> {
                put(out, f.resource());
                out.putLong(f.sizeBytes());
                put(out, f.refusal(), MAX_REASON_BYTES);
            }
            case Trouble f -> {
                put(out, f.resource());
                put(out, f.text(), MAX_REASON_BYTES);
            }
            case Ack f -> {
                put(out, f.resource());
                out.putLong(f.session());
                f.stored().write(out);
                f.committed().write(out);
                out.putLong(f.synced()).putLong(f.filled());
            }
            case EpochReply f -> {
                put(out, f.resource());
                out.putLong(f.session())
                        .putLong(f.epoch())
                        .putLong(f.grantedBlocks())
                        .putLong(f.grantedZeroRanges())
                        .putLong(f.missingBytes());
                putRanges(out, f.kept());
            }
            case Changed f -> {
                put(out, f.resource());
                putRanges(out, f.ranges());
            }
            case CompareReply f -> {
                put(out, f.resource());
                allow(
                        f.digests().length <= MAX_COMPARE_DIGESTS_BYTES,
                        "%d bytes of digests",
                        f.digests().length);
                out.putLong(f.session()).putLong(f.number());
                out.putInt(f.digests().length).put(f.digests());
            }
            case CompareSectors f -> {
                allow(f.ranges().size() <= MAX_RANGES, "%d ranges", f.ranges().size());
                out.putLong(f.number()).putInt(f.ranges().size());
                for (Frame.Range each : f.ranges()) {
                    out.putLong(each.offsetBytes()).putInt(each.lengthBytes());
                }
            }
            case SectorsReply f -> {
                put(out, f.resource());
                allow(
                        f.digests().length <= MAX_SECTOR_DIGESTS_BYTES,
                        "%d bytes of digests",
                        f.digests().length);
                out.putLong(f.session()).putLong(f.number());
                out.putInt(f.digests().length).put(f.digests());
            }
            case Write f -> {
                out.putInt(f.volume());
                f.position().write(out);
                out.putLong(f.wallMillis()).putLong(f.offsetBytes());
                putData(out, f.data());
            }
            case Zero f -> {
                out.putInt(f.volume());
                f.position().write(out);
                out.putLong(f.wallMillis()).putLong(f.offsetBytes()).putLong(f.lengthBytes());
                put(out, f.punch());
            }
            case Heartbeat f -> {
                f.position().write(out);
                out.putLong(f.wallMillis());
            }
            case Tracked f -> out.putLong(f.transaction());
            case EpochBegin f -> out.putLong(f.epoch()).putLong(f.blocks()).putLong(f.zeroRanges());
            case EpochBlocks f -> {
                out.putInt(f.volume()).putLong(f.epoch()).putLong(f.offsetBytes());
                putData(out, f.data());
            }
            case EpochZero f ->
                    out.putInt(f.volume())
                            .putLong(f.epoch())
                            .putLong(f.offsetBytes())
                            .putLong(f.lengthBytes());
            case EpochCommit f -> {
                out.putLong(f.epoch());
                f.position().write(out);
                out.putLong(f.wallMillis()).putLong(f.blocks());
                putFixed(out, f.digest(), DIGEST_BYTES);
                put(out, f.ancestry());
            }
            case SyncBlocks f -> {
                out.putInt(f.volume()).putLong(f.sequence()).putLong(f.offsetBytes());
                putData(out, f.data());
            }
            case SyncZero f ->
                    out.putInt(f.volume())
                            .putLong(f.sequence())
                            .putLong(f.offsetBytes())
                            .putLong(f.lengthBytes());
            case Compare f ->
                    out.putInt(f.volume())
                            .putLong(f.number())
                            .putLong(f.offsetBytes())
                            .putLong(f.lengthBytes())
                            .put((byte) f.level());
            case Verify f -> {
                out.putInt(f.volume())
                        .putLong(f.run())
                        .putLong(f.number())
                        .putLong(f.offsetBytes())
                        .putLong(f.lengthBytes())
                        .put((byte) f.level());
                put(out, f.exact());
            }
            case VerifyReply f -> {
                put(out, f.resource());
                allow(
                        f.digests().length <= MAX_COMPARE_DIGESTS_BYTES,
                        "%d bytes of digests",
                        f.digests().length);
                out.putLong(f.session()).putLong(f.run()).putLong(f.number());
                put(out, f.exact());
                out.putInt(f.digests().length).put(f.digests());
            }
            case Verified f -> {
                put(out, f.resource());
                out.putLong(f.run())
                        .putLong(f.startedMillis())
                        .putLong(f.endedMillis())
                        .putLong(f.comparedBytes())
                        .putLong(f.differingBlocks());
                put(out, f.trouble(), MAX_REASON_BYTES);
            }
            case Fetch f ->
                    out.putInt(f.volume())
                            .putLong(f.run())
                            .putLong(f.number())
                            .putLong(f.offsetBytes())
                            .putLong(f.lengthBytes());
            case Fetched f -> {
                put(out, f.resource());
                allow(f.data().length <= MAX_EXACT_BYTES, "%d bytes fetched", f.data().length);
                out.putLong(f.session()).putLong(f.run()).putLong(f.number());
                out.putInt(f.data().length).put(f.data());
            }
            case Mark f -> {
                allow(Mark.isName(f.name()), "a mark of another name than moments have");
                out.putLong(f.number());
                f.position().write(out);
                out.putLong(f.wallMillis());
                put(out, f.name(), MAX_NAME_BYTES);
            }
            case MarkReply f -> {
                put(out, f.resource());
                out.putLong(f.session()).putLong(f.number());
                put(out, f.refusal(), MAX_REASON_BYTES);
            }
        }
    }

    /// Reads one frame, all of which is in `in`, and steps past it. Its data is a read-only view of
    /// `in`.
    ///
    /// @throws ProtocolException if the bytes are no such frame
    public static Frame decode(ByteBuffer in) throws ProtocolException {
        require(in.remaining() >= HEADER_BYTES, "frame header cut short");
        int type = in.getShort() & 0xffff;
        int zero = in.getShort();
        int bodyBytes = in.getInt();
        require(zero == 0, "frame type %d: reserved bytes are not zero", type);
        require(
                bodyBytes >= 0 && bodyBytes <= MAX_BODY_BYTES,
                "frame type %d: body of %d bytes",
                type,
                bodyBytes);
        require(
                bodyBytes <= in.remaining(),
                "frame type %d: body of %d bytes cut short",
                type,
                bodyBytes);
        var body = new Body(type, in.slice(in.position(), bodyBytes));
        Frame frame = body.frame();
        require(
                !body.in.hasRemaining(),
                "frame type %d: %d bytes too many",
                type,
                body.in.remaining());
        in.position(in.position() + bodyBytes);
        return frame;
    }

    /// Reads all the frames of a payload: one or more, back to back.
    public static List<Frame> decodeAll(ByteBuffer payload) throws ProtocolException {
        require(payload.hasRemaining(), "packet without a frame");
        var frames = new ArrayList<Frame>();
        while (payload.hasRemaining()) {
            frames.add(decode(payload));
        }
        return frames;
    }

    /// The bytes of one body, read from the front.
    private record Body(int type, ByteBuffer in) {
        Frame frame() throws ProtocolException {
            return switch (type) {
                case 1 ->
                        new Hello(
                                int32(),
                                int32(),
                                int64(),
                                uuid(),
                                text(MAX_NAME_BYTES),
                                int64(),
                                fixed(NONCE_BYTES),
                                int64());
                case 2 -> new Welcome(int32(), int64(), fixed(NONCE_BYTES));
                case 3 -> new Ping(int64(), int64());
                case 4 -> new Pong(int64(), int64());
                case 5 -> new Credit(count32("stream"), count("credit"));
                case 6 -> new Goodbye(text(MAX_REASON_BYTES));
                case 7 -> new Join(bytes(MAX_NAME_BYTES), uuid(), text(MAX_NAME_BYTES));
                case 8 -> new Joined(flag(), uuid(), text(MAX_NAME_BYTES), text(MAX_REASON_BYTES));
                case 9 ->
                        new Offer(
                                uuid(),
                                text(MAX_NAME_BYTES),
                                space(),
                                text(MAX_SETTINGS_BYTES),
                                flag());
                case 10 ->
                        new OfferReply(
                                uuid(),
                                flag(),
                                text(MAX_REASON_BYTES),
                                text(MAX_REASON_BYTES),
                                text(MAX_REASON_BYTES));
                case 11 -> new Withdraw(uuid(), flag());
                case 12 ->
                        new ResourceHello(
                                uuid(),
                                int8(),
                                int8(),
                                count("size"),
                                position(),
                                position(),
                                int64(),
                                flag(),
                                count("journal"),
                                flag(),
                                count("transaction"),
                                count("filled"),
                                known(),
                                ancestry());
                case 13 -> new StreamStart(uuid(), int64(), count32("stream"), position());
                case 14 -> new Refused(uuid(), text(MAX_REASON_BYTES));
                case 15 ->
                        new Ack(
                                uuid(),
                                int64(),
                                position(),
                                position(),
                                count("synced"),
                                count("filled"));
                case 16 ->
                        new EpochReply(
                                uuid(),
                                int64(),
                                int64(),
                                count("granted"),
                                count("granted zero ranges"),
                                count("missing"),
                                kept());
                case 17 -> compareReply();
                case 18 -> {
                    int volume = volume();
                    Position position = position();
                    long wallMillis = int64();
                    long offsetBytes = offset(in.remaining() - 8);
                    yield new Write(volume, position, wallMillis, offsetBytes, data());
                }
                case 19 -> {
                    int volume = volume();
                    Position position = position();
                    long wallMillis = int64();
                    long offsetBytes = count("offset");
                    yield new Zero(
                            volume, position, wallMillis, offsetBytes, length(offsetBytes), flag());
                }
                case 20 -> new Heartbeat(position(), int64());
                case 21 -> new EpochBegin(int64(), count("blocks"), count("zero ranges"));
                case 22 -> new EpochBlocks(volume(), int64(), offset(in.remaining() - 8), data());
                case 23 -> {
                    int volume = volume();
                    long epoch = int64();
                    long offsetBytes = count("offset");
                    yield new EpochZero(volume, epoch, offsetBytes, length(offsetBytes));
                }
                case 24 ->
                        new EpochCommit(
                                int64(),
                                position(),
                                int64(),
                                count("blocks"),
                                fixed(DIGEST_BYTES),
                                ancestry());
                case 25 ->
                        new SyncBlocks(
                                volume(), count("sequence"), offset(in.remaining() - 8), data());
                case 26 -> {
                    int volume = volume();
                    long sequence = count("sequence");
                    long offsetBytes = count("offset");
                    yield new SyncZero(volume, sequence, offsetBytes, length(offsetBytes));
                }
                case 27 -> compare();
                case 28 -> new Trouble(uuid(), text(MAX_REASON_BYTES));
                case 29 -> new Invalidate(uuid());
                case 30 -> new InvalidateReply(uuid(), text(MAX_REASON_BYTES));
                case 31 -> new Tracked(count("transaction"));
                case 32 -> new Resize(uuid(), space());
                case 33 -> new ResizeReply(uuid(), count("size"), text(MAX_REASON_BYTES));
                case 34 -> new CompareSectors(count("number"), ranges());
                case 35 -> sectorsReply();
                case 36 -> verify();
                case 37 -> verifyReply();
                case 38 ->
                        new Verified(
                                uuid(),
                                int64(),
                                int64(),
                                int64(),
                                count("compared"),
                                count("differing blocks"),
                                text(MAX_REASON_BYTES));
                case 39 -> mark();
                case 40 -> new MarkReply(uuid(), int64(), count("number"), text(MAX_REASON_BYTES));
                case 41 -> new Changed(uuid(), kept());
                case 42 -> new Behind(uuid(), int64(), position());
                case 43 ->
                        new Wrote(
                                uuid(),
                                position(),
                                position(),
                                int64(),
                                int64(),
                                int64(),
                                flag(),
                                int64(),
                                flag(),
                                int64());
                case 44 -> fetch();
                case 45 -> fetched();
                default -> throw new ProtocolException("unknown frame type " + type);
            };
        }

        private CompareReply compareReply() throws ProtocolException {
            UUID resource = uuid();
            long session = int64();
            long number = count("number");
            byte[] digests = bytes(MAX_COMPARE_DIGESTS_BYTES);
            require(
                    digests.length > 0 && digests.length % DIGEST_BYTES == 0,
                    "%d bytes of digests",
                    digests.length);
            return new CompareReply(resource, session, number, digests);
        }

        private SectorsReply sectorsReply() throws ProtocolException {
            UUID resource = uuid();
            long session = int64();
            long number = count("number");
            byte[] digests = bytes(MAX_SECTOR_DIGESTS_BYTES);
            require(
                    digests.length > 0 && digests.length % SECTOR_DIGEST_BYTES == 0,
                    "%d bytes of digests",
                    digests.length);
            return new SectorsReply(resource, session, number, digests);
        }

        private List<Frame.Range> ranges() throws ProtocolException {
            int ranges = int32();
            require(
                    ranges > 0
                            && ranges <= MAX_RANGES
                            && ranges * Frame.Range.BYTES == in.remaining(),
                    "frame type %d: %d ranges in %d bytes",
                    type,
                    ranges,
                    in.remaining());
            var all = new ArrayList<Frame.Range>(ranges);
            long sectors = 0;
            for (int i = 0; i < ranges; i++) {
                long offsetBytes = count("offset");
                int lengthBytes = int32();
                require(
                        offsetBytes % SECTOR_BYTES == 0
                                && lengthBytes > 0
                                && offsetBytes <= Long.MAX_VALUE - lengthBytes,
                        "frame type %d: %d bytes at %d",
                        type,
                        lengthBytes,
                        offsetBytes);
                sectors += (lengthBytes - 1) / SECTOR_BYTES + 1;
                all.add(new Frame.Range(offsetBytes, lengthBytes));
            }
            require(
                    sectors <= MAX_SECTOR_DIGESTS_BYTES / SECTOR_DIGEST_BYTES,
                    "a question about %d sectors",
                    sectors);
            return List.copyOf(all);
        }

        /// At the end of the body.
        private List<Frame.KeptRange> kept() throws ProtocolException {
            int ranges = int32();
            require(
                    ranges >= 0
                            && ranges <= MAX_KEPT_RANGES
                            && ranges * Frame.KeptRange.BYTES == in.remaining(),
                    "frame type %d: %d ranges in %d bytes",
                    type,
                    ranges,
                    in.remaining());
            var all = new ArrayList<Frame.KeptRange>(ranges);
            for (int i = 0; i < ranges; i++) {
                long offsetBytes = count("offset");
                long lengthBytes = length(offsetBytes);
                require(
                        offsetBytes % BLOCK_BYTES == 0 && lengthBytes % BLOCK_BYTES == 0,
                        "frame type %d: %d bytes of blocks at %d",
                        type,
                        lengthBytes,
                        offsetBytes);
                all.add(new Frame.KeptRange(offsetBytes, lengthBytes));
            }
            return List.copyOf(all);
        }

        private Compare compare() throws ProtocolException {
            int volume = volume();
            long number = count("number");
            long offsetBytes = count("offset");
            long lengthBytes = length(offsetBytes);
            int level = int8();
            require(
                    offsetBytes % BLOCK_BYTES == 0
                            && lengthBytes <= MAX_COMPARE_BYTES
                            && level <= MAX_COMPARE_LEVEL,
                    "comparison of %d bytes at %d on level %d",
                    lengthBytes,
                    offsetBytes,
                    level);
            return new Compare(volume, number, offsetBytes, lengthBytes, level);
        }

        private Verify verify() throws ProtocolException {
            int volume = volume();
            long run = int64();
            long number = count("number");
            long offsetBytes = count("offset");
            long lengthBytes = length(offsetBytes);
            int level = int8();
            boolean exact = flag();
            require(
                    offsetBytes % BLOCK_BYTES == 0
                            && lengthBytes <= (exact ? MAX_EXACT_BYTES : MAX_COMPARE_BYTES)
                            && level <= (exact ? 0 : MAX_COMPARE_LEVEL),
                    "verification of %d bytes at %d on level %d",
                    lengthBytes,
                    offsetBytes,
                    level);
            return new Verify(volume, run, number, offsetBytes, lengthBytes, level, exact);
        }

        private VerifyReply verifyReply() throws ProtocolException {
            UUID resource = uuid();
            long session = int64();
            long run = int64();
            long number = count("number");
            boolean exact = flag();
            byte[] digests = bytes(MAX_COMPARE_DIGESTS_BYTES);
            require(
                    digests.length > 0 && digests.length % DIGEST_BYTES == 0,
                    "%d bytes of digests",
                    digests.length);
            return new VerifyReply(resource, session, run, number, exact, digests);
        }

        private Fetch fetch() throws ProtocolException {
            int volume = volume();
            long run = int64();
            long number = count("number");
            long offsetBytes = count("offset");
            long lengthBytes = length(offsetBytes);
            require(
                    offsetBytes % BLOCK_BYTES == 0 && lengthBytes <= MAX_EXACT_BYTES,
                    "a question for %d bytes at %d",
                    lengthBytes,
                    offsetBytes);
            return new Fetch(volume, run, number, offsetBytes, lengthBytes);
        }

        private Fetched fetched() throws ProtocolException {
            UUID resource = uuid();
            long session = int64();
            long run = int64();
            long number = count("number");
            byte[] data = bytes(MAX_EXACT_BYTES);
            require(data.length > 0, "nothing was fetched");
            return new Fetched(resource, session, run, number, data);
        }

        private Mark mark() throws ProtocolException {
            long number = count("number");
            Position position = position();
            long wallMillis = int64();
            String name = text(MAX_NAME_BYTES);
            // What was sent is not repeated: it may be anything, and this goes to a log.
            require(Mark.isName(name), "a mark of another name than moments have");
            return new Mark(number, position, wallMillis, name);
        }

        private void need(int bytes) throws ProtocolException {
            require(in.remaining() >= bytes, "frame type %d: body cut short", type);
        }

        private int int8() throws ProtocolException {
            need(1);
            return in.get() & 0xff;
        }

        private int int32() throws ProtocolException {
            need(4);
            return in.getInt();
        }

        private long int64() throws ProtocolException {
            need(8);
            return in.getLong();
        }

        private int count32(String what) throws ProtocolException {
            int value = int32();
            require(value >= 0, "frame type %d: %s %d", type, what, value);
            return value;
        }

        private long count(String what) throws ProtocolException {
            long value = int64();
            require(value >= 0, "frame type %d: %s %d", type, what, value);
            return value;
        }

        private boolean flag() throws ProtocolException {
            int value = int8();
            require(value <= 1, "frame type %d: flag %d", type, value);
            return value == 1;
        }

        private int volume() throws ProtocolException {
            int volume = int32();
            require(volume >= 0 && volume <= MAX_VOLUME, "frame type %d: volume %d", type, volume);
            return volume;
        }

        private UUID uuid() throws ProtocolException {
            need(16);
            return new UUID(in.getLong(), in.getLong());
        }

        private Position position() throws ProtocolException {
            need(Position.BYTES);
            long generation = in.getLong();
            long number = in.getLong();
            require(
                    number >= 0 && (generation != 0 || number == 0),
                    "frame type %d: position %d/%d",
                    type,
                    generation,
                    number);
            return new Position(generation, number);
        }

        private Known known() throws ProtocolException {
            return new Known(
                    position(),
                    position(),
                    int64(),
                    count("filled"),
                    count("transaction"),
                    count("marked"),
                    flag());
        }

        private byte[] fixed(int length) throws ProtocolException {
            need(length);
            byte[] bytes = new byte[length];
            in.get(bytes);
            return bytes;
        }

        private byte[] bytes(int max) throws ProtocolException {
            int length = int32();
            require(
                    length >= 0 && length <= max,
                    "frame type %d: %d bytes where at most %d may be",
                    type,
                    length,
                    max);
            return fixed(length);
        }

        private String text(int max) throws ProtocolException {
            byte[] bytes = bytes(max);
            try {
                return UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
            } catch (CharacterCodingException e) {
                throw new ProtocolException("frame type " + type + ": text is not UTF-8", e);
            }
        }

        private Ancestry ancestry() throws ProtocolException {
            int count = int32();
            require(
                    count >= 0 && count <= Ancestry.MAX_ENTRIES,
                    "ancestry of %d generations",
                    count);
            need(count * Ancestry.Entry.BYTES);
            var entries = new ArrayList<Ancestry.Entry>(count);
            for (int i = 0; i < count; i++) {
                long generation = int64();
                Position parent = position();
                int reason = int8() - 1;
                require(reason >= 0 && reason < REASONS.length, "ancestry: reason %d", reason + 1);
                entries.add(
                        new Ancestry.Entry(generation, parent, REASONS[reason], uuid(), int64()));
            }
            return new Ancestry(entries);
        }

        private AddressSpace space() throws ProtocolException {
            int count = int32();
            require(
                    count >= 0 && count <= AddressSpace.MAX_SEGMENTS,
                    "address space of %d segments",
                    count);
            need(count * AddressSpace.Segment.BYTES);
            var segments = new ArrayList<AddressSpace.Segment>(count);
            for (int i = 0; i < count; i++) {
                segments.add(new AddressSpace.Segment(int32(), int64()));
            }
            try {
                return new AddressSpace(segments);
            } catch (IllegalArgumentException e) {
                throw new ProtocolException("frame type %d: %s".formatted(type, e.getMessage()), e);
            }
        }

        private long offset(int dataBytes) throws ProtocolException {
            long offsetBytes = count("offset");
            require(
                    offsetBytes <= Long.MAX_VALUE - Math.max(0, dataBytes),
                    "frame type %d: offset wraps",
                    type);
            return offsetBytes;
        }

        private long length(long offsetBytes) throws ProtocolException {
            long lengthBytes = int64();
            require(
                    lengthBytes > 0 && offsetBytes <= Long.MAX_VALUE - lengthBytes,
                    "frame type %d: %d bytes at %d",
                    type,
                    lengthBytes,
                    offsetBytes);
            return lengthBytes;
        }

        private ByteBuffer data() throws ProtocolException {
            require(
                    in.hasRemaining() && in.remaining() <= MAX_DATA_BYTES,
                    "frame type %d: %d bytes of data",
                    type,
                    in.remaining());
            ByteBuffer data = in.slice().asReadOnlyBuffer();
            in.position(in.limit());
            return data;
        }
    }

    private static final Ancestry.Reason[] REASONS = Ancestry.Reason.values();

    private static void put(ByteBuffer out, UUID id) {
        out.putLong(id.getMostSignificantBits()).putLong(id.getLeastSignificantBits());
    }

    private static void put(ByteBuffer out, boolean flag) {
        out.put((byte) (flag ? 1 : 0));
    }

    private static void put(ByteBuffer out, String text, int max) {
        byte[] bytes = text.getBytes(UTF_8);
        allow(bytes.length <= max, "text of %d bytes where at most %d may be", bytes.length, max);
        out.putInt(bytes.length).put(bytes);
    }

    private static void putRanges(ByteBuffer out, List<Frame.KeptRange> ranges) {
        allow(ranges.size() <= MAX_KEPT_RANGES, "%d ranges of blocks", ranges.size());
        out.putInt(ranges.size());
        for (Frame.KeptRange each : ranges) {
            out.putLong(each.offsetBytes()).putLong(each.lengthBytes());
        }
    }

    private static void putFixed(ByteBuffer out, byte[] bytes, int length) {
        allow(bytes.length == length, "%d bytes where %d must be", bytes.length, length);
        out.put(bytes);
    }

    private static void put(ByteBuffer out, Known known) {
        known.acknowledged().write(out);
        known.completeFrom().write(out);
        out.putLong(known.copy()).putLong(known.filled()).putLong(known.told());
        out.putLong(known.marked());
        put(out, known.ordered());
    }

    private static void put(ByteBuffer out, Ancestry ancestry) {
        out.putInt(ancestry.entries().size());
        for (Ancestry.Entry entry : ancestry.entries()) {
            out.putLong(entry.generation());
            entry.parent().write(out);
            out.put((byte) (entry.reason().ordinal() + 1));
            put(out, entry.author());
            out.putLong(entry.wallMillis());
        }
    }

    private static void put(ByteBuffer out, AddressSpace space) {
        out.putInt(space.segments().size());
        for (AddressSpace.Segment each : space.segments()) {
            out.putInt(each.volume()).putLong(each.lengthBytes());
        }
    }

    private static void putData(ByteBuffer out, ByteBuffer data) {
        allow(
                data.hasRemaining() && data.remaining() <= MAX_DATA_BYTES,
                "%d bytes of data",
                data.remaining());
        out.put(data.duplicate());
    }

    private static int text(String text) {
        return 4 + text.getBytes(UTF_8).length;
    }

    private static int ancestryBytes(Ancestry ancestry) {
        return 4 + ancestry.entries().size() * Ancestry.Entry.BYTES;
    }

    private static int spaceBytes(AddressSpace space) {
        return 4 + space.segments().size() * AddressSpace.Segment.BYTES;
    }

    private static void allow(boolean fits, String message, Object... facts) {
        if (!fits) {
            throw new IllegalArgumentException(message.formatted(facts));
        }
    }

    static void require(boolean holds, String message, Object... facts) throws ProtocolException {
        if (!holds) {
            throw new ProtocolException(message.formatted(facts));
        }
    }
}
