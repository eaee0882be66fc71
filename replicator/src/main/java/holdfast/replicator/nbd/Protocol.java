package holdfast.replicator.nbd;

/// Numbers of the NBD protocol, by the names of its `doc/proto.md`. All integers on the wire are
/// big-endian.
///
/// | message | bytes | layout |
/// |---|---:|---|
/// | greeting | 18 | `NBDMAGIC`, `IHAVEOPT`, u16 handshake flags |
/// | option | 16 + n | `IHAVEOPT`, u32 option, u32 n, n bytes |
/// | option reply | 20 + n | u64 [#OPTION_REPLY_MAGIC], u32 option, u32 type, u32 n, n bytes |
/// | request | 28 | u32 [#REQUEST_MAGIC], u16 flags, u16 command, u64 cookie, u64 offset, u32 length |
/// | extended request | 32 | the same with [#EXTENDED_REQUEST_MAGIC] and a u64 length |
/// | simple reply | 16 | u32 [#SIMPLE_REPLY_MAGIC], u32 errno, u64 cookie; then the data of a read |
/// | structured reply chunk | 20 + n | u32 [#STRUCTURED_REPLY_MAGIC], u16 flags, u16 type, u64 cookie, u32 n |
/// | extended reply chunk | 32 + n | u32 [#EXTENDED_REPLY_MAGIC], u16 flags, u16 type, u64 cookie, u64 offset of the request, u64 n |
final class Protocol {
    static final long GREETING_MAGIC = 0x4e42444d41474943L;
    static final long OPTION_MAGIC = 0x49484156454f5054L;
    static final long OPTION_REPLY_MAGIC = 0x3e889045565a9L;

    static final int FLAG_FIXED_NEWSTYLE = 1;
    static final int FLAG_NO_ZEROES = 1 << 1;

    static final int OPT_EXPORT_NAME = 1;
    static final int OPT_ABORT = 2;
    static final int OPT_LIST = 3;
    static final int OPT_STARTTLS = 5;
    static final int OPT_INFO = 6;
    static final int OPT_GO = 7;
    static final int OPT_STRUCTURED_REPLY = 8;
    static final int OPT_LIST_META_CONTEXT = 9;
    static final int OPT_SET_META_CONTEXT = 10;
    static final int OPT_EXTENDED_HEADERS = 11;

    static final int REP_ACK = 1;
    static final int REP_SERVER = 2;
    static final int REP_INFO = 3;
    static final int REP_META_CONTEXT = 4;
    static final int REP_ERR_UNSUP = 1 << 31 | 1;
    static final int REP_ERR_POLICY = 1 << 31 | 2;
    static final int REP_ERR_INVALID = 1 << 31 | 3;
    static final int REP_ERR_UNKNOWN = 1 << 31 | 6;
    static final int REP_ERR_TOO_BIG = 1 << 31 | 9;
    static final int REP_ERR_EXT_HEADER_REQD = 1 << 31 | 10;

    static final int INFO_EXPORT = 0;
    static final int INFO_NAME = 1;
    static final int INFO_DESCRIPTION = 2;
    static final int INFO_BLOCK_SIZE = 3;

    static final int HAS_FLAGS = 1;
    static final int READ_ONLY = 1 << 1;
    static final int SEND_FLUSH = 1 << 2;
    static final int SEND_FUA = 1 << 3;
    static final int ROTATIONAL = 1 << 4;
    static final int SEND_TRIM = 1 << 5;
    static final int SEND_WRITE_ZEROES = 1 << 6;
    static final int SEND_DF = 1 << 7;
    static final int CAN_MULTI_CONN = 1 << 8;
    static final int SEND_CACHE = 1 << 10;
    static final int SEND_FAST_ZERO = 1 << 11;
    static final int BLOCK_STATUS_PAYLOAD = 1 << 12;

    static final int REQUEST_MAGIC = 0x25609513;
    static final int EXTENDED_REQUEST_MAGIC = 0x21e41c71;
    static final int REQUEST_BYTES = 28;
    static final int EXTENDED_REQUEST_BYTES = 32;

    static final int CMD_READ = 0;
    static final int CMD_WRITE = 1;
    static final int CMD_DISC = 2;
    static final int CMD_FLUSH = 3;
    static final int CMD_TRIM = 4;
    static final int CMD_CACHE = 5;
    static final int CMD_WRITE_ZEROES = 6;
    static final int CMD_BLOCK_STATUS = 7;

    static final int CMD_FLAG_FUA = 1;
    static final int CMD_FLAG_NO_HOLE = 1 << 1;
    static final int CMD_FLAG_DF = 1 << 2;
    static final int CMD_FLAG_REQ_ONE = 1 << 3;
    static final int CMD_FLAG_FAST_ZERO = 1 << 4;
    static final int CMD_FLAG_PAYLOAD_LEN = 1 << 5;

    static final int SIMPLE_REPLY_MAGIC = 0x67446698;
    static final int STRUCTURED_REPLY_MAGIC = 0x668e33ef;
    static final int EXTENDED_REPLY_MAGIC = 0x6e8a278c;

    static final int REPLY_FLAG_DONE = 1;
    static final int REPLY_NONE = 0;
    static final int REPLY_OFFSET_DATA = 1;
    static final int REPLY_BLOCK_STATUS = 5;
    static final int REPLY_BLOCK_STATUS_EXT = 6;
    static final int REPLY_ERROR = 0x8001;

    /// The only metadata context, and the number it has on every connection.
    static final String BASE_ALLOCATION = "base:allocation";

    static final int BASE_ALLOCATION_ID = 1;

    /// Longest name, query or text the protocol allows.
    static final int MAX_STRING_BYTES = 4096;

    /// No client sends more in one request unless it was told it may.
    static final int MAX_PAYLOAD_BYTES = 32 << 20;

    private Protocol() {}
}
