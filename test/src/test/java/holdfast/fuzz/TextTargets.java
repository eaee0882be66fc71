package holdfast.fuzz;

import static org.junit.jupiter.api.Assertions.assertEquals;

import static java.nio.charset.StandardCharsets.UTF_8;

import holdfast.replicator.config.ConfigException;
import holdfast.replicator.config.NodeSettings;
import holdfast.replicator.config.ResourceSettings;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.json.Json;
import holdfast.replicator.json.JsonException;
import holdfast.tunnel.link.HostPort;
import holdfast.tunnel.link.Invitation;
import holdfast.tunnel.link.PairingException;
import holdfast.tunnel.link.Pin;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Instant;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/// What people paste and edit, and what clients of the control socket send.
final class TextTargets {
    private static final Path CONF = Path.of("..", "conf.d");

    private TextTargets() {}

    static Stream<Target> all() {
        return Stream.of(
                new Target(
                        "invitation",
                        List.of(invitation("backup"), invitation("größer.example.net")),
                        1 << 20,
                        TextTargets::invitation,
                        TextTargets::repairInvitation),
                new Target(
                        "json",
                        List.of(
                                json(Optional.of("/dev/vg1/home")),
                                json(Optional.empty()),
                                "{\"name\":\"home\",\"disk\":\"\\u00e9\",\"journalBytes\":1e3,\"dryRun\":true}"
                                        .getBytes(UTF_8)),
                        1 << 20,
                        TextTargets::json),
                new Target(
                        "node.toml",
                        List.of(file("node.toml"), uncommented("node.toml")),
                        32 << 20,
                        input -> settings(input, NodeSettings::parse)),
                new Target(
                        "resource.toml",
                        List.of(file("resource.toml"), uncommented("resource.toml")),
                        32 << 20,
                        input -> settings(input, ResourceSettings::parse)));
    }

    // ---- invitation

    private static byte[] invitation(String node) {
        return new Invitation(
                        Pin.of(new byte[32]),
                        new byte[32],
                        Instant.ofEpochMilli(1_795_200_000_000L),
                        node,
                        List.of(new HostPort("192.0.2.1", 7788), new HostPort("b.example", 1)))
                .token()
                .getBytes(UTF_8);
    }

    private static void invitation(byte[] input) {
        Invitation read;
        try {
            read = Invitation.parse(new String(input, UTF_8));
        } catch (PairingException e) {
            return;
        }
        try {
            assertEquals(read.token(), Invitation.parse(read.token()).token());
        } catch (PairingException e) {
            throw new AssertionError("what was accepted cannot be written again", e);
        }
    }

    private static byte[] repairInvitation(byte[] input) {
        try {
            byte[] all = Base64.getUrlDecoder().decode(Arrays.copyOfRange(input, 4, input.length));
            byte[] sum =
                    MessageDigest.getInstance("SHA-256").digest(Arrays.copyOf(all, all.length - 4));
            System.arraycopy(sum, 0, all, all.length - 4, 4);
            return ("hf1:" + Base64.getUrlEncoder().withoutPadding().encodeToString(all))
                    .getBytes(UTF_8);
        } catch (IllegalArgumentException
                | IndexOutOfBoundsException
                | NegativeArraySizeException e) {
            return input;
        } catch (NoSuchAlgorithmException e) {
            throw new AssertionError(e);
        }
    }

    // ---- JSON

    private static byte[] json(Optional<String> peerDisk) {
        return Json.writePretty(
                        new ControlApi.AddRequest(
                                "home",
                                "/dev/vg0/home",
                                peerDisk,
                                Optional.of("A"),
                                peerDisk.map(_ -> 1L << 30),
                                false))
                .getBytes(UTF_8);
    }

    private static void json(byte[] input) {
        ControlApi.AddRequest read;
        try {
            read = Json.read(new String(input, UTF_8), ControlApi.AddRequest.class);
        } catch (JsonException e) {
            return;
        }
        try {
            assertEquals(read, Json.read(Json.write(read), ControlApi.AddRequest.class));
        } catch (JsonException e) {
            throw new AssertionError("what was accepted cannot be written again", e);
        }
    }

    // ---- settings

    @FunctionalInterface
    private interface Parser {
        Object parse(String text, String origin) throws ConfigException;
    }

    private static void settings(byte[] input, Parser parser) {
        try {
            parser.parse(new String(input, UTF_8), "a.toml");
        } catch (ConfigException e) {
            // With file, line and what would be right.
            assertEquals(false, e.getMessage().isBlank());
        }
    }

    private static byte[] file(String name) {
        try {
            return Files.readAllBytes(CONF.resolve(name));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /// With the settings of the example in effect, as far as they look like ones.
    private static byte[] uncommented(String name) {
        return new String(file(name), UTF_8)
                .replaceAll("(?m)^# ?([a-z-]+ = |\\[)", "$1")
                .getBytes(UTF_8);
    }
}
