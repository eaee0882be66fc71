package holdfast.tunnel.link;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.tunnel.link.PairingException.Kind;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;

class PairingTest {
    @TempDir Path dir;

    private final AtomicReference<Instant> now =
            new AtomicReference<>(Instant.parse("2026-11-21T10:00:00Z"));
    private final AtomicBoolean full = new AtomicBoolean();
    private final Identity joiner = Identity.generate();
    private Path file;
    private Invitations invitations;
    private TestNode inviter;
    private HostPort address;

    @BeforeEach
    void open() throws Exception {
        file = dir.resolve("private/invitations");
        invitations = Invitations.open(file, now::get);
        inviter =
                new TestNode(
                        "backup",
                        Identity.generate(),
                        b ->
                                b.invitations(
                                        invitations,
                                        (pin, _, name) -> {
                                            if (full.get()) {
                                                throw new IOException("no space left");
                                            }
                                            inviter.peers.put(pin, name);
                                        }));
        address = inviter.listen();
    }

    @AfterEach
    void close() {
        inviter.close();
    }

    @Test
    void whoRedeemsAnInvitationIsAPeerAndKnowsTheInviter() throws Exception {
        String token = invite();
        assertEquals(1, invitations.open());
        Pairing.Inviter found = Pairing.join(token, joiner, "server");
        assertEquals(inviter.identity.pin(), found.pin());
        assertEquals(inviter.identity.node(), found.node());
        assertEquals("backup", found.nodeName());
        assertEquals("server", inviter.peers.get(joiner.pin()));
        assertEquals(0, invitations.open());
        try (var server = new TestNode("server", joiner, b -> b)) {
            server.trusts(inviter);
            server.endpoint.dial(address);
            assertEquals("server", inviter.awaitConnected().peer());
        }
    }

    @Test
    void anInvitationWorksOnceAlsoAfterARestart() throws Exception {
        String token = invite();
        Pairing.join(token, joiner, "server");
        assertEquals(Kind.USED, failure(token, Identity.generate()));
        invitations = Invitations.open(file, now::get);
        assertTrue(
                invitations
                        .redeem(Invitation.parse(token).secret(), Identity.generate().pin())
                        .startsWith("used"));
    }

    /// The crash between using an invitation up and storing the peer: only the same key may come
    /// again.
    @Test
    void theSameKeyMayRepeatAJoinThatWasCutOff() throws Exception {
        String token = invite();
        full.set(true);
        assertEquals(Kind.REFUSED, failure(token, joiner));
        assertFalse(inviter.peers.containsKey(joiner.pin()));
        assertEquals(Kind.USED, failure(token, Identity.generate()));
        full.set(false);
        Pairing.join(token, joiner, "server");
        assertTrue(inviter.peers.containsKey(joiner.pin()));
    }

    @Test
    void anInvitationExpires() throws Exception {
        String token = invite();
        now.set(now.get().plus(Duration.ofMinutes(31)));
        assertEquals(Kind.EXPIRED, failure(token, joiner));
        assertTrue(inviter.peers.isEmpty());
    }

    @Test
    void aSecretThatWasNeverGivenOutIsUnknown() throws Exception {
        var made = Invitation.parse(invite());
        var other =
                new Invitation(
                        made.pin(), new byte[32], made.expiry(), made.nodeName(), made.addresses());
        assertEquals(Kind.UNKNOWN, failure(other.token(), joiner));
    }

    @Test
    void theSecretDoesNotGoToAnotherKey() throws Exception {
        var made = Invitation.parse(invite());
        var other =
                new Invitation(
                        Identity.generate().pin(),
                        made.secret(),
                        made.expiry(),
                        made.nodeName(),
                        made.addresses());
        assertEquals(Kind.WRONG_FINGERPRINT, failure(other.token(), joiner));
        assertEquals(1, invitations.open());
    }

    @Test
    void nobodyThereIsSaidSo() throws Exception {
        String token = invite();
        inviter.endpoint.stopListening();
        inviter.close();
        assertEquals(Kind.UNREACHABLE, failure(token, joiner));
    }

    @Test
    void aNodeWithoutInvitationsCannotBeJoined() throws Exception {
        try (var other = new TestNode("other")) {
            var made = Invitation.parse(invite());
            var token =
                    new Invitation(
                                    other.identity.pin(),
                                    made.secret(),
                                    made.expiry(),
                                    "other",
                                    List.of(other.listen()))
                            .token();
            assertEquals(Kind.UNREACHABLE, failure(token, joiner));
        }
    }

    @Test
    void everyTruncationAndEveryTypingErrorOfATokenIsFound() throws Exception {
        String token = invite();
        var made = Invitation.parse(token);
        assertEquals(
                token,
                Invitation.parse(" " + token.substring(0, 70) + "\n  " + token.substring(70) + "\n")
                        .token());
        assertEquals(List.of(address), made.addresses());
        for (int length = 0; length < token.length(); length++) {
            String cut = token.substring(0, length);
            assertEquals(
                    Kind.MALFORMED,
                    assertThrows(PairingException.class, () -> Invitation.parse(cut)).kind());
        }
        for (int i = 0; i < token.length() - 1; i++) {
            char other = token.charAt(i) == 'A' ? 'B' : 'A';
            String typo = token.substring(0, i) + other + token.substring(i + 1);
            assertThrows(PairingException.class, () -> Invitation.parse(typo));
        }
    }

    @Test
    void theStoreIsPrivateAndHoldsNoSecret() throws Exception {
        var made = Invitation.parse(invite());
        assertEquals(
                "rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(file)));
        assertEquals(
                "rwx------",
                PosixFilePermissions.toString(Files.getPosixFilePermissions(file.getParent())));
        assertFalse(Files.readString(file).contains(HexFormat.of().formatHex(made.secret())));
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-r-----"));
        assertThrows(IOException.class, () -> Invitations.open(file, now::get));
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-------"));
        Files.writeString(file, "garbage\n");
        assertThrows(IOException.class, () -> Invitations.open(file, now::get));
    }

    private String invite() throws IOException {
        return invitations
                .create(inviter.identity, "backup", List.of(address), Invitations.DEFAULT_VALIDITY)
                .token();
    }

    private static Kind failure(String token, Identity identity) {
        return assertThrows(PairingException.class, () -> Pairing.join(token, identity, "server"))
                .kind();
    }
}
