package holdfast.recovery;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.stream.Stream;

/// The volume that `demo` replicates: a real ext4 with files where e2fsprogs is installed, which
/// needs no root; else a plain pattern; or a copy of the user's image.
///
/// @param kind in words
/// @param ledger where numbered writes may go; absent in a user's image, of which we know nothing
/// @param tree the directory whose files the ext4 holds
record DemoVolume(Path image, String kind, Optional<Ledger> ledger, Optional<Path> tree) {
    private static final long SIZE_BYTES = 64L << 20;
    private static final int FILES = 300;
    private static final int LEDGER_BYTES = 4 << 20;
    private static final long SEED = 20_261_120;

    static DemoVolume of(Path directory, Optional<Path> usersImage)
            throws IOException, InterruptedException {
        Path image = directory.resolve("volume.img");
        if (usersImage.isPresent()) {
            Files.copy(usersImage.get(), image);
            return new DemoVolume(
                    image, "a copy of " + usersImage.get(), Optional.empty(), Optional.empty());
        }
        if (Programs.has("mke2fs") && Programs.has("debugfs")) {
            return ext4(directory, image);
        }
        return pattern(image);
    }

    private static DemoVolume ext4(Path directory, Path image)
            throws IOException, InterruptedException {
        Path tree = Files.createDirectory(directory.resolve("tree"));
        plant(tree);
        Programs.run(
                "mke2fs",
                "-q",
                "-t",
                "ext4",
                "-b",
                "4096",
                "-L",
                "demo",
                "-d",
                tree.toString(),
                image.toString(),
                SIZE_BYTES / 1024 + "k");
        String blocks = Programs.run("debugfs", "-R", "blocks /ledger", image.toString());
        List<Long> slots = new ArrayList<>();
        for (String word : blocks.strip().split("\\s+")) {
            if (word.matches("[0-9]+")) {
                slots.add(Long.parseLong(word) * Ledger.BLOCK_BYTES);
            }
        }
        if (slots.size() != LEDGER_BYTES / Ledger.BLOCK_BYTES) {
            throw new IOException(
                    "debugfs shows %d blocks of /ledger: %s".formatted(slots.size(), blocks));
        }
        return new DemoVolume(
                image,
                "an ext4 of %d MiB with %d files".formatted(SIZE_BYTES >> 20, FILES + 1),
                Optional.of(new Ledger(List.copyOf(slots), SEED)),
                Optional.of(tree));
    }

    /// Files of all sizes, some that compress well and some that do not.
    private static void plant(Path tree) throws IOException {
        var random = new SplittableRandom(SEED);
        for (int i = 0; i < FILES; i++) {
            Path directory = Files.createDirectories(tree.resolve("d" + i % 12));
            byte[] content = new byte[(int) Math.pow(2, random.nextDouble(8, 18.3))];
            if (i % 3 == 0) {
                random.nextBytes(content);
            } else {
                byte[] words =
                        "the quick brown fox %d jumps over the lazy dog %d; "
                                .formatted(i, random.nextInt())
                                .getBytes(StandardCharsets.US_ASCII);
                for (int at = 0; at < content.length; at++) {
                    content[at] = words[at % words.length];
                }
            }
            Files.write(directory.resolve("file" + i), content);
        }
        // Not zero anywhere, so that each of its blocks has a place of its own on the disk.
        byte[] ledger = new byte[LEDGER_BYTES];
        java.util.Arrays.fill(ledger, (byte) 'L');
        Files.write(tree.resolve("ledger"), ledger);
    }

    private static DemoVolume pattern(Path image) throws IOException {
        var random = new SplittableRandom(SEED);
        try (var out = new RandomAccessFile(image.toFile(), "rw")) {
            out.setLength(SIZE_BYTES);
            byte[] chunk = new byte[1 << 20];
            // Every other MiB stays a hole, as most of a real disk would.
            for (long at = 0; at < SIZE_BYTES - LEDGER_BYTES; at += 2L << 20) {
                random.nextBytes(chunk);
                java.util.Arrays.fill(chunk, 0, chunk.length / 2, (byte) at);
                out.seek(at);
                out.write(chunk);
            }
        }
        List<Long> slots =
                Stream.iterate(
                                SIZE_BYTES - LEDGER_BYTES,
                                at -> at < SIZE_BYTES,
                                at -> at + Ledger.BLOCK_BYTES)
                        .toList();
        return new DemoVolume(
                image,
                "a plain pattern of %d MiB and no filesystem, because e2fsprogs is not installed"
                        .formatted(SIZE_BYTES >> 20),
                Optional.of(new Ledger(slots, SEED)),
                Optional.empty());
    }

    /// Whether a file that should be this ext4 passes fsck and holds the files it was made of; the
    /// ledger is apart.
    ///
    /// @return what is wrong, empty when nothing is
    List<String> examine(Path copy, Path scratch) throws IOException, InterruptedException {
        if (tree.isEmpty()) {
            return List.of();
        }
        List<String> wrong = new ArrayList<>();
        try {
            Programs.run("e2fsck", "-f", "-n", copy.toString());
        } catch (IOException e) {
            wrong.add(e.getMessage());
        }
        Files.createDirectories(scratch);
        Programs.run("debugfs", "-R", "rdump / " + scratch, copy.toString());
        try (Stream<Path> files = Files.walk(tree.get())) {
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                Path name = tree.get().relativize(file);
                Path found = scratch.resolve(name);
                if (!name.toString().equals("ledger")
                        && (!Files.exists(found) || Files.mismatch(file, found) >= 0)) {
                    wrong.add(name + " is not as it was");
                }
            }
        }
        return wrong;
    }
}
