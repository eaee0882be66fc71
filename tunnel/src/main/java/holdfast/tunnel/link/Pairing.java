package holdfast.tunnel.link;

import holdfast.tunnel.link.PairingException.Kind;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.PacketAssembler;
import holdfast.tunnel.wire.PacketCodec;
import holdfast.tunnel.wire.ProtocolException;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.UUID;

import javax.net.ssl.SSLSocket;

/// The side that joins: takes a token to its inviter. Plain blocking code, for a command or a
/// virtual thread.
public final class Pairing {
    private static final Duration CONNECT_TIMEOUT = Duration.ofSeconds(5);
    private static final Duration ANSWER_TIMEOUT = Duration.ofSeconds(10);

    private Pairing() {}

    /// The inviter, as it is to be stored among the peers.
    ///
    /// @param address where it answered
    public record Inviter(Pin pin, UUID node, String nodeName, HostPort address) {}

    /// Redeems a token: the inviter then has this node's key, and this node should store the
    /// inviter's. If that is cut off, it can be done again with the same token and the same
    /// identity.
    ///
    /// @param nodeName what this node calls itself
    public static Inviter join(String token, Identity identity, String nodeName)
            throws PairingException {
        Invitation invitation = Invitation.parse(token);
        var tls = new Tls(identity);
        var failures = new ArrayList<String>();
        for (HostPort address : invitation.addresses()) {
            try (var socket = new Socket()) {
                socket.connect(
                        new InetSocketAddress(address.host(), address.port()),
                        (int) CONNECT_TIMEOUT.toMillis());
                socket.setSoTimeout((int) ANSWER_TIMEOUT.toMillis());
                return redeem(invitation, address, tls, socket, identity, nodeName);
            } catch (SocketTimeoutException e) {
                failures.add(address + ": no answer in time");
            } catch (IOException e) {
                failures.add(address + ": " + e.getMessage());
            }
        }
        throw new PairingException(
                Kind.UNREACHABLE,
                "%s cannot be reached (%s)"
                        .formatted(invitation.nodeName(), String.join("; ", failures)),
                null);
    }

    private static Inviter redeem(
            Invitation invitation,
            HostPort address,
            Tls tls,
            Socket plain,
            Identity identity,
            String nodeName)
            throws IOException, PairingException {
        try (var socket =
                (SSLSocket)
                        tls.context()
                                .getSocketFactory()
                                .createSocket(plain, null, address.port(), true)) {
            socket.setUseClientMode(true);
            socket.setSSLParameters(Tls.parameters(socket.getSSLParameters(), Tls.JOIN));
            socket.startHandshake();
            Pin shown = Tls.pinOf(socket.getSession()).orElse(null);
            // Before the secret leaves this host.
            if (!invitation.pin().equals(shown)) {
                throw new PairingException(
                        Kind.WRONG_FINGERPRINT,
                        "%s shows the key %s, the invitation names %s: this is not %s"
                                .formatted(address, shown, invitation.pin(), invitation.nodeName()),
                        null);
            }
            var request = new Frame.Join(invitation.secret(), identity.node(), nodeName);
            socket.getOutputStream().write(PacketCodec.encodeRaw(0, List.of(request)).array());
            Frame.Joined answer = answer(socket);
            if (answer.accepted()) {
                return new Inviter(invitation.pin(), answer.node(), answer.nodeName(), address);
            }
            throw new PairingException(
                    kind(answer.reason()),
                    "%s: %s".formatted(answer.nodeName(), answer.reason()),
                    null);
        } catch (ProtocolException e) {
            throw new PairingException(
                    Kind.REFUSED, address + " speaks another protocol: " + e.getMessage(), e);
        }
    }

    private static Frame.Joined answer(Socket socket) throws IOException, ProtocolException {
        var answers = new ArrayList<Frame>();
        var assembler =
                new PacketAssembler(
                        p -> answers.addAll(PacketCodec.frames(p.header(), p.payload())));
        assembler.limit(8 << 10);
        byte[] bytes = new byte[4096];
        while (answers.isEmpty()) {
            int count = socket.getInputStream().read(bytes);
            if (count < 0) {
                throw new IOException("it closed the connection without an answer");
            }
            assembler.accept(ByteBuffer.wrap(bytes, 0, count));
        }
        if (!(answers.getFirst() instanceof Frame.Joined joined)) {
            throw new ProtocolException("no answer to a Join");
        }
        return joined;
    }

    private static Kind kind(String reason) {
        String first = reason.replaceAll(":.*", "");
        return switch (first) {
            case "expired", "used", "unknown" -> Kind.valueOf(first.toUpperCase(Locale.ROOT));
            default -> Kind.REFUSED;
        };
    }
}
