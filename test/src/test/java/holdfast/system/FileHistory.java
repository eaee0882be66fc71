package holdfast.system;

import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/// What was done to the files of a filesystem and when: enough to say which of them an image of a
/// certain position must hold.
///
/// A file is in doubt from the moment a change of it begins until its fsync has returned. Status is
/// asked for the position all the while, so that both moments are known as positions, on the safe
/// side.
final class FileHistory {
    /// One creation, rewriting or deletion.
    private static final class Change {
        private final long begunNanos;
        private long syncedNanos = Long.MAX_VALUE;

        /// Null: deleted.
        private String digest;

        private Change(long begunNanos) {
            this.begunNanos = begunNanos;
        }
    }

    /// Whatever was synced before `askedNanos` has a number up to this one, whatever begins after
    /// `answeredNanos` a greater one.
    private record Mark(long askedNanos, long answeredNanos, long number) {}

    private final Map<String, List<Change>> files = new TreeMap<>();
    private final List<Mark> marks = new ArrayList<>();

    /// A change of a file begins; `done` ends it.
    ///
    /// @param content null to delete it
    interface Doing {
        void run() throws Exception;
    }

    void change(String name, byte[] content, Doing doing) throws Exception {
        Change change = new Change(System.nanoTime());
        synchronized (this) {
            files.computeIfAbsent(name, _ -> new ArrayList<>()).add(change);
        }
        doing.run();
        String digest = content == null ? null : digest(content);
        synchronized (this) {
            change.digest = digest;
            change.syncedNanos = System.nanoTime();
        }
    }

    synchronized void mark(long askedNanos, long answeredNanos, long number) {
        marks.add(new Mark(askedNanos, answeredNanos, number));
    }

    static String digest(byte[] content) throws Exception {
        return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(content));
    }

    /// @param present files that had to be there, and are
    /// @param absent files that had to be gone, and are
    /// @param open files that were being changed at that moment
    record Found(int present, int absent, int open) {}

    /// Checks the files of an image that shows `number` and was opened before `openedNanos`.
    synchronized Found check(Path root, long number, long openedNanos) throws Exception {
        long certain = Long.MIN_VALUE;
        long notYet = openedNanos;
        for (Mark each : marks) {
            if (each.number() <= number) {
                certain = Math.max(certain, each.askedNanos());
            }
            if (each.number() >= number) {
                notYet = Math.min(notYet, each.answeredNanos());
            }
        }
        int present = 0;
        int absent = 0;
        int open = 0;
        for (Map.Entry<String, List<Change>> each : files.entrySet()) {
            Change settled = null;
            boolean doubtful = false;
            for (Change change : each.getValue()) {
                if (change.syncedNanos < certain) {
                    settled = change;
                } else {
                    doubtful |= change.begunNanos <= notYet;
                }
            }
            if (doubtful) {
                open++;
            } else if (settled == null || settled.digest == null) {
                absent++;
                require(
                        !Files.exists(root.resolve(each.getKey())),
                        each.getKey(),
                        "is there",
                        number);
            } else {
                present++;
                Path file = root.resolve(each.getKey());
                require(Files.exists(file), each.getKey(), "is not there", number);
                require(
                        digest(Files.readAllBytes(file)).equals(settled.digest),
                        each.getKey(),
                        "has another content",
                        number);
            }
        }
        return new Found(present, absent, open);
    }

    private static void require(boolean holds, String name, String otherwise, long number) {
        if (!holds) {
            throw new AssertionError(
                    "%s %s in the copy of position %d".formatted(name, otherwise, number));
        }
    }
}
