package holdfast.replicator.control;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/// The first line and the header fields of an HTTP/1.1 message, read strictly (RFC 9112): lines end
/// in CRLF, no folding, printable ASCII only, no field twice.
///
/// | limit                | value |
/// |----------------------|------:|
/// | bytes in a line      |  2048 |
/// | bytes in all lines   |  8192 |
/// | header fields        |    32 |
///
/// @param first the request or status line
/// @param fields names in lower case
record HttpHead(String first, Map<String, String> fields) {
    private static final int MAX_LINE_BYTES = 2048;
    private static final int MAX_HEAD_BYTES = 8192;
    private static final int MAX_FIELDS = 32;
    private static final String TOKEN_MARKS = "!#$%&'*+-.^_`|~";

    /// @return null at the end of the stream before the first byte
    static HttpHead read(InputStream in) throws IOException, HttpException {
        int left = MAX_HEAD_BYTES;
        String first = readLine(in, true);
        if (first == null) {
            return null;
        }
        left -= first.length() + 2;
        Map<String, String> fields = new LinkedHashMap<>();
        while (true) {
            String line = readLine(in, false);
            left -= line.length() + 2;
            if (left < 0) {
                throw new HttpException(431, "header of more than " + MAX_HEAD_BYTES + " bytes");
            }
            if (line.isEmpty()) {
                return new HttpHead(first, fields);
            }
            if (fields.size() == MAX_FIELDS) {
                throw new HttpException(431, "more than " + MAX_FIELDS + " header fields");
            }
            int colon = line.indexOf(':');
            if (colon <= 0 || !isToken(line.substring(0, colon))) {
                throw new HttpException(400, "malformed header field");
            }
            String name = line.substring(0, colon).toLowerCase(Locale.ROOT);
            if (fields.put(name, line.substring(colon + 1).strip()) != null) {
                throw new HttpException(400, "header field " + name + " twice");
            }
        }
    }

    String field(String name) {
        return fields.getOrDefault(name, "");
    }

    /// The value of Content-Length, 0 when there is none.
    int contentLength(int limit) throws HttpException {
        String text = field("content-length");
        if (text.isEmpty()) {
            return 0;
        }
        if (text.length() > 9 || !text.chars().allMatch(c -> c >= '0' && c <= '9')) {
            throw new HttpException(
                    text.chars().allMatch(Character::isDigit) ? 413 : 400,
                    "Content-Length " + text);
        }
        int length = Integer.parseInt(text);
        if (length > limit) {
            throw new HttpException(413, "a body of " + length + " bytes, at most " + limit);
        }
        return length;
    }

    private static boolean isToken(String name) {
        return name.chars()
                .allMatch(
                        c ->
                                (c >= 'a' && c <= 'z')
                                        || (c >= 'A' && c <= 'Z')
                                        || (c >= '0' && c <= '9')
                                        || TOKEN_MARKS.indexOf(c) >= 0);
    }

    private static String readLine(InputStream in, boolean mayEnd)
            throws IOException, HttpException {
        byte[] line = new byte[MAX_LINE_BYTES];
        int length = 0;
        while (true) {
            int c = in.read();
            if (c < 0) {
                if (mayEnd && length == 0) {
                    return null;
                }
                throw new HttpException(400, "the message ends in its header");
            }
            if (c == '\r') {
                if (in.read() != '\n') {
                    throw new HttpException(400, "a line does not end in CRLF");
                }
                return new String(line, 0, length, StandardCharsets.US_ASCII);
            }
            if ((c < 0x20 && c != '\t') || c > 0x7e) {
                throw new HttpException(400, "a byte of value " + c + " in the header");
            }
            if (length == MAX_LINE_BYTES) {
                throw new HttpException(431, "a line of more than " + MAX_LINE_BYTES + " bytes");
            }
            line[length++] = (byte) c;
        }
    }
}
