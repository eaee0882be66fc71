package holdfast.replicator.nbd;

import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/// Decides the handshake of one connection: takes each option with its data, says what to send and
/// what comes next. No I/O and no clock; the connection reads, sends and keeps the deadline.
final class Negotiation {
    /// Longest data of an option that is looked at: some names and a few queries of 4096 bytes.
    static final int MAX_OPTION_BYTES = 64 << 10;

    /// What the connection does when it has sent the replies.
    enum Next {
        /// Read the next option.
        OPTION,
        /// The client has chosen an export: requests follow.
        TRANSMISSION,
        CLOSE
    }

    private final Exports exports;
    private final boolean listAllowed;
    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    private final DataOutputStream out = new DataOutputStream(bytes);

    private boolean fixedNewstyle;
    private boolean noZeroes;
    private ReplyStyle style = ReplyStyle.SIMPLE;

    /// The export name whose `base:allocation` was selected, exactly as the client wrote it; null
    /// for none.
    private String contextOf;

    /// What the client has open, or is being opened for it: what it has chosen or, if that
    /// [Export#isOpenedByAsking], asked for last. Null for nothing; its name as the client wrote
    /// it. Read by whoever ends the clients of an export.
    private volatile Export held;

    private String heldName;
    private boolean blockStatus;

    /// @param listAllowed whether this client may learn the names of the exports
    Negotiation(Exports exports, boolean listAllowed) {
        this.exports = exports;
        this.listAllowed = listAllowed;
    }

    /// The server's first bytes.
    static byte[] greeting() {
        return ByteBuffer.allocate(18)
                .putLong(Protocol.GREETING_MAGIC)
                .putLong(Protocol.OPTION_MAGIC)
                .putShort((short) (Protocol.FLAG_FIXED_NEWSTYLE | Protocol.FLAG_NO_ZEROES))
                .array();
    }

    /// The client's answer to the greeting; false if it has bits that were not offered.
    boolean clientFlags(int flags) {
        fixedNewstyle = (flags & Protocol.FLAG_FIXED_NEWSTYLE) != 0;
        noZeroes = (flags & Protocol.FLAG_NO_ZEROES) != 0;
        return (flags & ~(Protocol.FLAG_FIXED_NEWSTYLE | Protocol.FLAG_NO_ZEROES)) == 0;
    }

    /// Handles one option; what to send is then in [#takeReplies].
    Next option(int option, ByteBuffer data) {
        if (option == Protocol.OPT_EXPORT_NAME) {
            return exportName(data);
        }
        if (!fixedNewstyle) {
            return Next.CLOSE;
        }
        try {
            return switch (option) {
                case Protocol.OPT_ABORT -> {
                    reply(option, Protocol.REP_ACK);
                    yield Next.CLOSE;
                }
                case Protocol.OPT_LIST -> list(data);
                case Protocol.OPT_INFO, Protocol.OPT_GO -> infoOrGo(option, data);
                case Protocol.OPT_STRUCTURED_REPLY -> {
                    requireEmpty(data);
                    if (style == ReplyStyle.EXTENDED) {
                        yield refuse(
                                option,
                                Protocol.REP_ERR_EXT_HEADER_REQD,
                                "extended headers are on");
                    }
                    style = ReplyStyle.STRUCTURED;
                    yield acknowledge(option);
                }
                case Protocol.OPT_EXTENDED_HEADERS -> {
                    requireEmpty(data);
                    style = ReplyStyle.EXTENDED;
                    yield acknowledge(option);
                }
                case Protocol.OPT_LIST_META_CONTEXT, Protocol.OPT_SET_META_CONTEXT ->
                        metaContext(option, data);
                case Protocol.OPT_STARTTLS -> {
                    requireEmpty(data);
                    yield refuse(option, Protocol.REP_ERR_UNSUP, "this server has no TLS");
                }
                default -> refuse(option, Protocol.REP_ERR_UNSUP, "unknown option");
            };
        } catch (InvalidOptionException e) {
            return refuse(option, Protocol.REP_ERR_INVALID, e.getMessage());
        }
    }

    /// An option whose data was too long to be read; it was skipped.
    Next oversizedOption(int option) {
        boolean closes = option == Protocol.OPT_EXPORT_NAME || !fixedNewstyle;
        return closes
                ? Next.CLOSE
                : refuse(option, Protocol.REP_ERR_TOO_BIG, "option data is too long");
    }

    /// What to send now; after that it is gone.
    byte[] takeReplies() {
        byte[] replies = bytes.toByteArray();
        bytes.reset();
        return replies;
    }

    /// What the client has open or is being opened for it; the chosen one after
    /// [Next#TRANSMISSION]. Null for none. Any thread.
    Export export() {
        return held;
    }

    /// The client is gone: what it had open is closed.
    void end() {
        Export ended = held;
        held = null;
        if (ended != null) {
            ended.closed();
        }
    }

    /// @param chosen it is to be served
    /// @throws ExportException if there is none of this name, or it cannot be served now
    private Export find(String name, boolean chosen) throws ExportException {
        if (held != null && name.equals(heldName)) {
            return held;
        }
        end();
        Export found =
                exports.find(name).orElseThrow(() -> new UnknownExportException("no such export"));
        if (chosen || found.isOpenedByAsking()) {
            hold(found, name);
        }
        return found;
    }

    /// It is held before it is open: whoever closes it right behind that finds this client.
    private void hold(Export found, String name) throws ExportException {
        boolean open = false;
        held = found;
        try {
            found.opened();
            open = true;
        } finally {
            if (!open) {
                held = null;
            }
        }
        heldName = name;
    }

    private Next refuse(int option, ExportException e) {
        int type =
                e instanceof UnknownExportException
                        ? Protocol.REP_ERR_UNKNOWN
                        : Protocol.REP_ERR_POLICY;
        return refuse(option, type, e.getMessage());
    }

    ReplyStyle style() {
        return style;
    }

    RequestRules rules() {
        return new RequestRules(
                held::sizeBytes,
                held.minBlockBytes(),
                held.maxBlockBytes(),
                transmissionFlags(held),
                style == ReplyStyle.EXTENDED,
                blockStatus);
    }

    /// The old way to choose an export, which has no way to say no.
    private Next exportName(ByteBuffer data) {
        if (style == ReplyStyle.EXTENDED) {
            return Next.CLOSE;
        }
        try {
            choose(string(data, data.remaining()));
        } catch (InvalidOptionException | ExportException e) {
            return Next.CLOSE;
        }
        send(
                () -> {
                    out.writeLong(held.sizeBytes());
                    out.writeShort(transmissionFlags(held));
                    out.write(new byte[noZeroes ? 0 : 124]);
                });
        return Next.TRANSMISSION;
    }

    private Next list(ByteBuffer data) throws InvalidOptionException {
        requireEmpty(data);
        if (!listAllowed) {
            return refuse(
                    Protocol.OPT_LIST, Protocol.REP_ERR_POLICY, "exports are not listed here");
        }
        for (Export each : exports.list()) {
            byte[] name = each.name().getBytes(StandardCharsets.UTF_8);
            byte[] text = each.description().getBytes(StandardCharsets.UTF_8);
            reply(
                    Protocol.OPT_LIST,
                    Protocol.REP_SERVER,
                    () -> {
                        out.writeInt(name.length);
                        out.write(name);
                        out.write(text);
                    },
                    4 + name.length + text.length);
        }
        return acknowledge(Protocol.OPT_LIST);
    }

    private Next infoOrGo(int option, ByteBuffer data) throws InvalidOptionException {
        String name = string(data, length(data));
        require(data.remaining() >= 2, "the number of information requests is missing");
        int count = Short.toUnsignedInt(data.getShort());
        require(data.remaining() == 2 * count, "the number of information requests is wrong");
        boolean wantsName = false;
        boolean wantsDescription = false;
        while (data.hasRemaining()) {
            int info = Short.toUnsignedInt(data.getShort());
            wantsName |= info == Protocol.INFO_NAME;
            wantsDescription |= info == Protocol.INFO_DESCRIPTION;
        }
        Export chosen;
        try {
            chosen = option == Protocol.OPT_GO ? choose(name) : find(name, false);
        } catch (ExportException e) {
            return refuse(option, e);
        }
        reply(
                option,
                Protocol.REP_INFO,
                () -> {
                    out.writeShort(Protocol.INFO_EXPORT);
                    out.writeLong(chosen.sizeBytes());
                    out.writeShort(transmissionFlags(chosen));
                },
                12);
        if (wantsName) {
            info(option, Protocol.INFO_NAME, chosen.name());
        }
        if (wantsDescription && !chosen.description().isEmpty()) {
            info(option, Protocol.INFO_DESCRIPTION, chosen.description());
        }
        // Sent unasked as well: a client that ignores it loses nothing, one that reads it aligns
        // its requests.
        reply(
                option,
                Protocol.REP_INFO,
                () -> {
                    out.writeShort(Protocol.INFO_BLOCK_SIZE);
                    out.writeInt(chosen.minBlockBytes());
                    out.writeInt(chosen.preferredBlockBytes());
                    out.writeInt(chosen.maxBlockBytes());
                },
                14);
        acknowledge(option);
        return option == Protocol.OPT_GO ? Next.TRANSMISSION : Next.OPTION;
    }

    private void info(int option, int info, String text) {
        byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
        reply(
                option,
                Protocol.REP_INFO,
                () -> {
                    out.writeShort(info);
                    out.write(utf8);
                },
                2 + utf8.length);
    }

    private Next metaContext(int option, ByteBuffer data) throws InvalidOptionException {
        boolean set = option == Protocol.OPT_SET_META_CONTEXT;
        if (set) {
            contextOf = null; // Each SET replaces the one before, also when it fails.
        }
        require(style != ReplyStyle.SIMPLE, "structured replies come first");
        String name = string(data, length(data));
        require(data.remaining() >= 4, "the number of queries is missing");
        long count = Integer.toUnsignedLong(data.getInt());
        require(count * 4 <= data.remaining(), "the number of queries is wrong");
        List<String> queries = new ArrayList<>();
        for (long i = 0; i < count; i++) {
            queries.add(string(data, length(data)));
        }
        require(!data.hasRemaining(), "bytes follow the last query");
        try {
            find(name, false);
        } catch (ExportException e) {
            return refuse(option, e);
        }
        boolean matches =
                queries.contains(Protocol.BASE_ALLOCATION)
                        || !set && (queries.isEmpty() || queries.contains("base:"));
        if (matches) {
            byte[] context = Protocol.BASE_ALLOCATION.getBytes(StandardCharsets.US_ASCII);
            reply(
                    option,
                    Protocol.REP_META_CONTEXT,
                    () -> {
                        out.writeInt(set ? Protocol.BASE_ALLOCATION_ID : 0);
                        out.write(context);
                    },
                    4 + context.length);
            if (set) {
                contextOf = name;
            }
        }
        return acknowledge(option);
    }

    private Export choose(String name) throws ExportException {
        Export found = find(name, true);
        blockStatus = name.equals(contextOf);
        return found;
    }

    private int transmissionFlags(Export of) {
        int flags =
                Protocol.HAS_FLAGS
                        | Protocol.SEND_FLUSH
                        | Protocol.SEND_FUA
                        | Protocol.CAN_MULTI_CONN
                        | Protocol.SEND_CACHE;
        flags |= of.rotational() ? Protocol.ROTATIONAL : 0;
        flags |= style == ReplyStyle.SIMPLE ? 0 : Protocol.SEND_DF;
        flags |= style == ReplyStyle.EXTENDED ? Protocol.BLOCK_STATUS_PAYLOAD : 0;
        if (of.readOnly()) {
            return flags | Protocol.READ_ONLY;
        }
        flags |= Protocol.SEND_TRIM | Protocol.SEND_WRITE_ZEROES;
        return flags | (of.supportsFastZeroes() ? Protocol.SEND_FAST_ZERO : 0);
    }

    private Next acknowledge(int option) {
        reply(option, Protocol.REP_ACK);
        return Next.OPTION;
    }

    private Next refuse(int option, int type, String message) {
        byte[] text = message.getBytes(StandardCharsets.UTF_8);
        reply(option, type, () -> out.write(text), text.length);
        return Next.OPTION;
    }

    private void reply(int option, int type) {
        reply(option, type, () -> {}, 0);
    }

    private void reply(int option, int type, Writing data, int dataBytes) {
        send(
                () -> {
                    out.writeLong(Protocol.OPTION_REPLY_MAGIC);
                    out.writeInt(option);
                    out.writeInt(type);
                    out.writeInt(dataBytes);
                    data.write();
                });
    }

    private interface Writing {
        void write() throws IOException;
    }

    private void send(Writing writing) {
        try {
            writing.write();
        } catch (IOException e) {
            throw new UncheckedIOException("writing to memory", e);
        }
    }

    private static int length(ByteBuffer data) throws InvalidOptionException {
        require(data.remaining() >= 4, "a length is missing");
        int length = data.getInt();
        require(length >= 0 && length <= data.remaining(), "a length goes beyond the option");
        return length;
    }

    private static String string(ByteBuffer data, int lengthBytes) throws InvalidOptionException {
        require(lengthBytes <= Protocol.MAX_STRING_BYTES, "a string is longer than 4096 bytes");
        ByteBuffer utf8 = data.slice(data.position(), lengthBytes);
        data.position(data.position() + lengthBytes);
        try {
            return StandardCharsets.UTF_8.newDecoder().decode(utf8).toString();
        } catch (CharacterCodingException e) {
            throw new InvalidOptionException("a string is not UTF-8");
        }
    }

    private static void requireEmpty(ByteBuffer data) throws InvalidOptionException {
        require(!data.hasRemaining(), "this option has no data");
    }

    private static void require(boolean holds, String otherwise) throws InvalidOptionException {
        if (!holds) {
            throw new InvalidOptionException(otherwise);
        }
    }

    /// The data of an option is malformed; the client is told and may go on.
    private static final class InvalidOptionException extends Exception {
        private static final long serialVersionUID = 1L;

        InvalidOptionException(String message) {
            super(message, null, false, false);
        }
    }
}
