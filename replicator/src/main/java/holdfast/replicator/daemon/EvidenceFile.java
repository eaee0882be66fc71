package holdfast.replicator.daemon;

import holdfast.replicator.device.AtomicFile;
import holdfast.replicator.device.DeviceException;
import holdfast.replicator.device.Disks;
import holdfast.replicator.metadata.Evidence;
import holdfast.replicator.metadata.Superblock;
import holdfast.replicator.state.BlockRun;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.random.RandomGenerator;

/// Keeps the [Evidence] of a primary's clean stops, and holds the device against it at the next
/// start.
///
/// It is written before the superblock says "clean", and names that superblock: what a crash in
/// between leaves means nothing.
final class EvidenceFile {
    /// More than an evidence can have: 255 signs and 65,535 samples.
    private static final long MAX_BYTES = 2 << 20;

    /// Why everything is to be compared.
    ///
    /// @param event its kind
    record Doubt(String event, String words) {}

    private EvidenceFile() {}

    /// Records what the device is like, which nobody writes to any more.
    ///
    /// @param recent blocks that were written last
    static void record(ResourceDir dir, Disks disks, List<Long> recent, RandomGenerator random)
            throws IOException {
        Superblock of = dir.superblock();
        List<Long> places = Evidence.places(of.space(), recent, random);
        ByteBuffer taken = look(of, of.sizeBytes(), disks, places).encode();
        byte[] bytes = new byte[taken.remaining()];
        taken.get(bytes);
        if (!Evidence.decode(ByteBuffer.wrap(bytes)).resource().equals(of.resource())) {
            throw new IOException("what was recorded does not read back");
        }
        AtomicFile.write(dir.evidenceFile(), bytes);
    }

    /// Why the device, last stopped cleanly, may not be what it was then; empty when it is.
    static Optional<Doubt> doubt(ResourceDir dir, Disks disks) throws IOException {
        Superblock of = dir.superblock();
        Evidence was;
        try {
            was = read(dir.evidenceFile());
            if (!was.resource().equals(of.resource()) || was.incarnation() != of.incarnation()) {
                throw new IOException(dir.evidenceFile() + " is of another stop");
            }
        } catch (IOException | IllegalArgumentException e) {
            return Optional.of(
                    new Doubt(
                            "evidence-missing",
                            "nothing tells whether %s was written to past Holdfast since it was stopped (%s); all of it is compared with the copy"
                                    .formatted(disks, e.getMessage())));
        }
        List<String> differences = differences(was, of, disks);
        if (differences.isEmpty()) {
            return Optional.empty();
        }
        return Optional.of(
                new Doubt(
                        "written-past",
                        "%s was written to past Holdfast between the clean stop of %s and %s: %s; all of it is compared with the copy"
                                .formatted(
                                        disks,
                                        seconds(Instant.ofEpochMilli(was.takenMillis())),
                                        seconds(Instant.now()),
                                        String.join("; ", differences))));
    }

    /// A block that cannot be read any more is one that differs: who attaches wants the rest.
    private static List<String> differences(Evidence was, Superblock of, Disks disks) {
        List<Long> places = was.samples().stream().map(Evidence.Sample::block).toList();
        try {
            // It may have been made larger since, which the size that it is used with says.
            return was.differences(look(of, was.sizeBytes(), disks, places), of.space());
        } catch (DeviceException e) {
            return List.of(e.getMessage());
        }
    }

    /// What [LocalPrimary] stored about writes that are not all compared yet; empty for none.
    static String oldWords(ResourceDir dir) {
        try {
            return Files.exists(dir.writtenPastFile())
                    ? Files.readString(dir.writtenPastFile())
                    : "";
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static Evidence read(Path file) throws IOException {
        if (!Files.exists(file)) {
            throw new IOException(file + " is missing");
        }
        if (Files.size(file) > MAX_BYTES) {
            throw new IOException(file + " has " + Files.size(file) + " bytes");
        }
        try {
            return Evidence.decode(ByteBuffer.wrap(Files.readAllBytes(file)));
        } catch (IllegalArgumentException e) {
            throw new IOException(file + ": " + e.getMessage(), e);
        }
    }

    private static Evidence look(Superblock of, long sizeBytes, Disks disks, List<Long> places)
            throws DeviceException {
        List<Evidence.Sample> samples = new ArrayList<>();
        for (long place : places) {
            BlockRun run = new BlockRun(place, 1);
            ByteBuffer data = ByteBuffer.allocate(run.lengthBytes(sizeBytes));
            disks.device().read(run.offsetBytes(), data);
            samples.add(Evidence.Sample.of(place, data.flip()));
        }
        return new Evidence(
                of.resource(),
                of.incarnation(),
                sizeBytes,
                System.currentTimeMillis(),
                disks.signs(),
                samples);
    }

    private static Instant seconds(Instant moment) {
        return moment.truncatedTo(ChronoUnit.SECONDS);
    }
}
