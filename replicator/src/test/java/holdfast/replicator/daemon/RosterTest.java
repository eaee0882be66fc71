package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.config.ResourceSettings;
import holdfast.replicator.metadata.Superblock;
import holdfast.replicator.state.Role;
import holdfast.tunnel.wire.AddressSpace;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicBoolean;

class RosterTest {
    private static final UUID ID = new UUID(1, 2);

    @TempDir Path dir;

    static LocalPrimary primary(LoneNode node, String name, UUID id) throws Exception {
        var space = AddressSpace.of(16 << 20);
        var facts =
                new ResourceDir.Facts(
                        id.toString(),
                        Role.PRIMARY.name(),
                        List.of(node.storage.resolve(name + ".disk").toString()),
                        false,
                        "",
                        64 << 20,
                        "server");
        ResourceSettings settings = ResourceSettings.ofDisks(new TreeMap<>());
        ResourceDir made =
                ResourceDir.create(
                        node.resources(), name, facts, Superblock.ofPrimary(id, space), settings);
        var tcp = new TcpExports(node.shared, List::of, List::of);
        return new LocalPrimary(node.shared, made, tcp, settings, Optional.empty());
    }

    /// Whoever looks meanwhile: a peer that asks for it, an `add` that wants its disk.
    @Test
    void whatIsOpenedAndClosedIsThereAtEveryInstant() throws Exception {
        try (LoneNode node = new LoneNode(dir, "")) {
            LocalPrimary home = primary(node, "home", ID);
            var roster = new Roster();
            roster.put(home);
            Unopened away = Unopened.of(node.resources(), "home", new IOException("away"));
            var ends = new AtomicBoolean();
            Thread changes =
                    Thread.ofPlatform()
                            .start(
                                    () -> {
                                        while (!ends.get()) {
                                            roster.put(away);
                                            roster.put(home);
                                        }
                                    });
            try {
                for (int i = 0; i < 100_000; i++) {
                    Roster.Now now = roster.now();
                    assertEquals(Optional.of("home"), now.nameOf("server", ID));
                    assertEquals(1, now.open().size() + now.unopened().size());
                }
            } finally {
                ends.set(true);
                changes.join();
            }
            assertEquals(Optional.empty(), roster.now().nameOf("other", ID));
            roster.remove("home");
            assertEquals(Optional.empty(), roster.now().nameOf("server", ID));
            home.close();
        }
    }

    @Test
    void whatWasOpenedMeanwhileIsNotTakenForWhatDoesNotAnswer() throws Exception {
        try (LoneNode node = new LoneNode(dir, "")) {
            LocalPrimary home = primary(node, "home", ID);
            var roster = new Roster();
            Unopened hangs = Unopened.of(node.resources(), "home", new IOException("hangs"));
            roster.putIfUnopened(hangs);
            assertTrue(roster.now().unopened().isEmpty(), "it is gone");
            roster.put(Unopened.soon(node.resources(), "home", "it is being opened"));
            roster.putIfUnopened(hangs);
            assertEquals(List.of("home"), List.copyOf(roster.now().unopened().keySet()));
            roster.put(home);
            roster.putIfUnopened(hangs);
            assertTrue(roster.now().unopened().isEmpty());
            assertEquals(List.of(home), List.copyOf(roster.open()));
            home.close();
        }
    }
}
