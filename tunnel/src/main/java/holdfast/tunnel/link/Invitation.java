package holdfast.tunnel.link;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;

/// What `holdfast invite` prints and `holdfast join` takes: one line that leads to the inviter,
/// proves it, and opens its door once. Whoever sees it before it is used can use it.
///
/// The text is `hf1:` and the unpadded base64url of the table; it ends in a checksum, so that a
/// paste that was cut or mistyped is told from one that expired.
///
/// | bytes | field      | meaning                                               |
/// |------:|------------|-------------------------------------------------------|
/// |    32 | pin        | SHA-256 of the inviter's public key                   |
/// |    32 | secret     | random                                                |
/// |     8 | expiry     | ms since 1970 by the inviter's clock                  |
/// |   1+n | nodeName   | UTF-8, at most 255 bytes                              |
/// |     1 | addresses  | 1 to 8                                                |
/// |   1+n | each       | `host:port`                                           |
/// |     4 | checksum   | first bytes of the SHA-256 of all before              |
///
/// @param secret 32 bytes
/// @param addresses where the inviter listens, to be tried in order
public record Invitation(
        Pin pin, byte[] secret, Instant expiry, String nodeName, List<HostPort> addresses) {
    public static final int MAX_ADDRESSES = 8;
    static final int SECRET_BYTES = 32;

    private static final String PREFIX = "hf1:";
    private static final int CHECKSUM_BYTES = 4;

    public Invitation {
        addresses = List.copyOf(addresses);
        if (secret.length != SECRET_BYTES
                || addresses.isEmpty()
                || addresses.size() > MAX_ADDRESSES) {
            throw new IllegalArgumentException(
                    "an invitation names 1 to " + MAX_ADDRESSES + " addresses");
        }
    }

    /// The one line.
    public String token() {
        var bytes = new ByteArrayOutputStream();
        try (var out = new DataOutputStream(bytes)) {
            out.write(pin.bytes());
            out.write(secret);
            out.writeLong(expiry.toEpochMilli());
            text(out, nodeName);
            out.writeByte(addresses.size());
            for (HostPort address : addresses) {
                text(out, address.toString());
            }
            out.write(Pin.sha256(bytes.toByteArray()), 0, CHECKSUM_BYTES);
        } catch (IOException e) {
            throw new IllegalArgumentException(e.getMessage(), e);
        }
        return PREFIX + Base64.getUrlEncoder().withoutPadding().encodeToString(bytes.toByteArray());
    }

    /// Reads a token; blanks and line breaks that a terminal put into it do not matter.
    ///
    /// @throws PairingException `MALFORMED`
    public static Invitation parse(String token) throws PairingException {
        String line = token.replaceAll("\\s", "");
        if (!line.startsWith(PREFIX)) {
            throw malformed("it should begin with " + PREFIX, null);
        }
        try {
            byte[] all = Base64.getUrlDecoder().decode(line.substring(PREFIX.length()));
            if (all.length <= CHECKSUM_BYTES) {
                throw malformed("it is cut short", null);
            }
            byte[] body = Arrays.copyOf(all, all.length - CHECKSUM_BYTES);
            byte[] checksum = Arrays.copyOfRange(all, body.length, all.length);
            if (!Arrays.equals(checksum, Arrays.copyOf(Pin.sha256(body), CHECKSUM_BYTES))) {
                throw malformed("it is cut short or mistyped; paste the whole line", null);
            }
            return read(ByteBuffer.wrap(body));
        } catch (IllegalArgumentException | BufferUnderflowException e) {
            throw malformed("it is cut short or mistyped; paste the whole line", e);
        }
    }

    private static Invitation read(ByteBuffer in) throws PairingException {
        byte[] pin = new byte[Pin.BYTES];
        byte[] secret = new byte[SECRET_BYTES];
        in.get(pin).get(secret);
        Instant expiry = Instant.ofEpochMilli(in.getLong());
        String nodeName = text(in);
        int count = in.get() & 0xff;
        var addresses = new ArrayList<HostPort>();
        for (int i = 0; i < count; i++) {
            addresses.add(HostPort.parse(text(in)));
        }
        if (in.hasRemaining()) {
            throw malformed("it is longer than it should be", null);
        }
        return new Invitation(Pin.of(pin), secret, expiry, nodeName, addresses);
    }

    private static PairingException malformed(String why, Exception cause) {
        return new PairingException(
                PairingException.Kind.MALFORMED, "this is no invitation: " + why, cause);
    }

    private static void text(DataOutputStream out, String text) throws IOException {
        byte[] bytes = text.getBytes(UTF_8);
        if (bytes.length > 255) {
            throw new IOException("longer than 255 bytes: " + text);
        }
        out.writeByte(bytes.length);
        out.write(bytes);
    }

    private static String text(ByteBuffer in) {
        byte[] bytes = new byte[in.get() & 0xff];
        in.get(bytes);
        return new String(bytes, UTF_8);
    }

    /// Without the secret.
    @Override
    public String toString() {
        return "invitation of %s (%s) at %s until %s".formatted(nodeName, pin, addresses, expiry);
    }
}
