package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.bench.BlockClient;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ProblemException;

import java.io.IOException;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.stream.Collectors;

/// Moments of `home` that are kept under names while the base is rolled past them, some for a
/// second alone, some dropped again; and what each of them was like when that was answered.
final class KeptMoments {
    private static final int READ_BYTES = 1 << 20;

    private enum State {
        /// Answered, and not for a second alone.
        KEPT,
        /// It may be there or not: the order got no answer, or it expires.
        UNSURE,
        DROPPED
    }

    private static final class Known {
        private State state;

        /// Of the whole image; null until it was opened.
        private String digest;

        private Known(State state) {
            this.state = state;
        }
    }

    private final NodeProcess backup;
    private final Random random;
    private final Consumer<String> notes;
    private final Map<String, Known> known = new TreeMap<>();
    private int number;

    KeptMoments(NodeProcess backup, Random random, Consumer<String> notes) {
        this.backup = backup;
        this.random = random;
        this.notes = notes;
    }

    /// From now on the base is rolled while little is written, too, and so past what is kept; or
    /// for room alone, as it was added.
    void rollAtOnce(boolean atOnce) throws Exception {
        Path file = backup.paths.resourceDirectory().resolve("home.toml");
        Files.writeString(
                file,
                Files.readString(file)
                        .replaceFirst(
                                "journal = .*",
                                "journal = { size = \"16 MiB\", retention-min = \"0s\"%s }"
                                        .formatted(atOnce ? ", retention = \"400ms\"" : "")));
        backup.api.adjust(new ControlApi.AdjustRequest(false));
    }

    /// What an operator may do while the load goes on: two moments are kept, and one more for a
    /// second, or dropped.
    void keepSome() throws InterruptedException {
        keep(Optional.empty());
        if (random.nextInt(3) == 0) {
            keep(Optional.of("1s"));
        }
        String last = keep(Optional.of("1h"));
        if (random.nextInt(3) == 0) {
            drop(last);
        }
    }

    /// @param span a second, or more than the test takes
    /// @return its name
    String keep(Optional<String> span) {
        String name = "kept" + ++number;
        Known it = new Known(State.UNSURE);
        known.put(name, it);
        try {
            backup.api.keep(new ControlApi.KeepRequest("home", name, Optional.empty(), span));
            if (!span.equals(Optional.of("1s"))) {
                it.state = State.KEPT;
            }
            it.digest = digest(name);
        } catch (ProblemException | IOException e) {
            notes.accept("keep: " + Operator.words(e));
        }
        return name;
    }

    private void drop(String name) {
        Known it = known.get(name);
        it.state = State.UNSURE;
        try {
            String confirm =
                    backup.api
                            .drop(new ControlApi.DropRequest("home", name, true, Optional.empty()))
                            .confirm();
            backup.api.drop(new ControlApi.DropRequest("home", name, false, Optional.of(confirm)));
            it.state = State.DROPPED;
        } catch (ProblemException e) {
            notes.accept("drop: " + Operator.words(e));
        }
    }

    /// Until the base is past the newest that is kept, and that reads what was saved.
    void awaitRolledPast() {
        TwoNodes.until(
                "the base is rolled past what is kept",
                () -> {
                    var kept = listed().values();
                    return !kept.isEmpty() && kept.stream().anyMatch(each -> each.bytes() > 0);
                });
    }

    private Map<String, ControlApi.Kept> listed() throws ProblemException {
        return backup.api.points(new ControlApi.NameRequest("home")).kept().stream()
                .collect(Collectors.toMap(ControlApi.Kept::as, each -> each));
    }

    /// Each that was answered and not dropped is there, and is what it was; none is there that was
    /// dropped, or that nobody asked for.
    ///
    /// @param mayBeDamaged what was saved could not be read: it is said to be damaged then
    void requireAll(boolean mayBeDamaged) throws Exception {
        Map<String, ControlApi.Kept> listed = listed();
        for (String name : listed.keySet()) {
            Known it = known.get(name);
            assertTrue(
                    it != null && it.state != State.DROPPED,
                    () -> name + " is kept, and was " + (it == null ? "never" : "dropped"));
        }
        for (Map.Entry<String, Known> each : known.entrySet()) {
            String name = each.getKey();
            Known it = each.getValue();
            ControlApi.Kept found = listed.get(name);
            if (found == null) {
                assertTrue(it.state != State.KEPT, () -> name + " was kept, and is gone");
                continue;
            }
            if (found.damaged()) {
                assertTrue(mayBeDamaged, () -> name + " is damaged");
                assertTrue(opens(name) == null, () -> name + " is damaged, and can be opened");
                notes.accept("kept moment damaged");
                continue;
            }
            String now = opens(name);
            if (now == null) {
                // It may have expired since it was listed.
                assertTrue(it.state == State.UNSURE, () -> name + " cannot be opened");
                assertTrue(!listed().containsKey(name), () -> name + " cannot be opened");
                continue;
            }
            if (it.digest != null) {
                assertEquals(it.digest, now, () -> name + " has changed");
                notes.accept("kept moment right");
            }
            it.digest = now;
        }
    }

    /// @return what it is like, null if it is refused
    private String opens(String name) throws IOException {
        try {
            return digest(name);
        } catch (ProblemException e) {
            notes.accept("no view of it: " + Operator.words(e));
            return null;
        }
    }

    /// For the next run there is nothing.
    void dropAll() throws Exception {
        for (String name : listed().keySet()) {
            drop(name);
        }
        TwoNodes.until("nothing is kept", () -> listed().isEmpty());
        known.clear();
    }

    private String digest(String name) throws ProblemException, IOException {
        return digest(backup, Optional.of(name), 0);
    }

    /// SHA-256 of a moment of `home` from an offset on.
    static String digest(NodeProcess node, Optional<String> at, long from)
            throws ProblemException, IOException {
        ControlApi.OpenReply opened = node.api.open(new ControlApi.OpenRequest("home", at));
        String export = URI.create(opened.view().uri()).getPath().substring(1);
        try (BlockClient image = new BlockClient(Path.of(opened.view().socket()), export)) {
            return digest(image, from, opened.sizeBytes());
        } finally {
            node.api.closeView(new ControlApi.CloseRequest(opened.view().id()));
        }
    }

    static String digest(BlockClient image, long from, long to) throws IOException {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            for (long at = from; at < to; at += READ_BYTES) {
                ByteBuffer data = image.read(at, (int) Math.min(READ_BYTES, to - at));
                digest.update(data);
            }
            return HexFormat.of().formatHex(digest.digest());
        } catch (NoSuchAlgorithmException e) {
            throw new AssertionError(e);
        }
    }
}
