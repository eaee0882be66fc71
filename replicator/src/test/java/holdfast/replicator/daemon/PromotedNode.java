package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.config.ResourceSettings;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.device.FileBlockDevice;
import holdfast.replicator.metadata.Superblock;
import holdfast.replicator.nbd.Errno;
import holdfast.replicator.nbd.Export;
import holdfast.replicator.nbd.Payload;
import holdfast.replicator.nbd.Reply;
import holdfast.replicator.state.Role;
import holdfast.tunnel.wire.AddressSpace;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Position;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.function.BiConsumer;

/// A node without a link whose copy `home` has a moment, with data in each block, and is promoted
/// and attached. Nothing is synced there unless somebody asks for it: the timer does not run.
final class PromotedNode implements AutoCloseable {
    static final int BLOCK = 4096;
    private static final UUID ID = new UUID(5, 8);
    private static final Duration LIMIT = Duration.ofMinutes(5);

    final LoneNode node;
    final ResourceManager manager;

    PromotedNode(Path dir, long sizeBytes, long journalBytes) throws Exception {
        this(dir, sizeBytes, journalBytes, (_, _) -> {});
    }

    /// @param listener told each event
    PromotedNode(
            Path dir,
            long sizeBytes,
            long journalBytes,
            BiConsumer<ResourceManager, ControlApi.Event> listener)
            throws Exception {
        node = new LoneNode(dir, "");
        Path disk = node.storage.resolve("home.img");
        byte[] block = new byte[BLOCK];
        Arrays.fill(block, (byte) 0x55);
        try (FileBlockDevice device = FileBlockDevice.create(disk, sizeBytes)) {
            for (long at = 0; at < sizeBytes; at += BLOCK) {
                device.write(at, ByteBuffer.wrap(block));
            }
        }
        ResourceDir.Facts facts =
                new ResourceDir.Facts(
                        ID.toString(),
                        Role.SECONDARY.name(),
                        List.of(disk.toString()),
                        true,
                        node.storage.resolve("home.journal").toString(),
                        LocalBackup.wholeSegments(journalBytes),
                        "server");
        LocalBackup.create(facts);
        ResourceDir.create(
                        node.resources(),
                        "home",
                        facts,
                        withMoment(sizeBytes),
                        ResourceSettings.ofDisks(
                                new TreeMap<>(Map.of("server", List.of(Path.of("/x"))))))
                .close();
        manager = node.manager(new Turns(node.shared, LIMIT), LIMIT);
        node.shared.events().listener(each -> listener.accept(manager, each));
        manager.find();
        manager.openAll();
        ControlApi.PromoteReply reply =
                manager.promote(
                        new ControlApi.PromoteRequest("home", Optional.empty(), false, false));
        assertTrue(reply.attached().isPresent(), reply.toString());
    }

    private static Superblock withMoment(long sizeBytes) {
        long now = System.currentTimeMillis();
        return new Superblock(
                ID,
                Role.SECONDARY,
                AddressSpace.of(sizeBytes),
                false,
                true,
                false,
                false,
                false,
                new Position(1, 1),
                Position.NONE,
                0,
                0,
                0,
                0,
                0,
                0,
                now,
                now,
                Ancestry.EMPTY.plus(
                        new Ancestry.Entry(1, Position.NONE, Ancestry.Reason.CREATE, ID, now)));
    }

    LocalPrimary primary() throws ProblemException {
        return (LocalPrimary) manager.get("home");
    }

    LocalBackup copy() throws ProblemException {
        return primary().copy().orElseThrow();
    }

    /// Bytes that nothing packs; answered when this returns, and not synced.
    void write(long offsetBytes, long seed, int blocks) throws ProblemException {
        byte[] bytes = new byte[blocks * BLOCK];
        new SplittableRandom(seed).nextBytes(bytes);
        ByteBuffer data = ByteBuffer.allocateDirect(bytes.length).put(bytes);
        done((export, reply) -> export.write(Payload.of(data.flip()), offsetBytes, false, reply));
    }

    void flush() throws ProblemException {
        done((export, reply) -> export.flush(reply));
    }

    private interface Request {
        void of(Export export, Reply reply);
    }

    private void done(Request request) throws ProblemException {
        CompletableFuture<Integer> answer = new CompletableFuture<>();
        request.of(primary().exports().getFirst(), answer::complete);
        assertEquals(Errno.OK, answer.join());
    }

    /// Label of the newest moment; what is written behind this has a later one.
    long newestLabel() throws ProblemException {
        long label = copy().resource().look(at -> at.history().newest().labelMillis());
        while (System.currentTimeMillis() <= label + 1) {
            Thread.onSpinWait();
        }
        return label;
    }

    @Override
    public void close() {
        manager.closeAll();
        node.close();
    }
}
