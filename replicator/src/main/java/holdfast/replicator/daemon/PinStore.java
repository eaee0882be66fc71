package holdfast.replicator.daemon;

import holdfast.replicator.device.AtomicFile;
import holdfast.replicator.device.BlockDevice;
import holdfast.replicator.device.DeltaFile;
import holdfast.replicator.device.DeviceException;
import holdfast.replicator.device.DurableDirectory;
import holdfast.replicator.journal.DeltaLog;
import holdfast.replicator.journal.JournalIndex;
import holdfast.replicator.metadata.PinList;
import holdfast.replicator.nbd.ExportException;
import holdfast.replicator.nbd.Extent;
import holdfast.replicator.state.Pins;
import holdfast.replicator.state.Pins.Pin;
import holdfast.replicator.status.Words;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.LongConsumer;
import java.util.stream.Stream;

/// The moments that are kept of a copy, on disk: the list of them ([PinList]) and of each a file
/// with what was in the base before it was written over ([DeltaLog]). It decides nothing.
///
/// The mailbox writes the list when it changes, the pool when a roll has saved something; any
/// number of threads read.
final class PinStore implements AutoCloseable {
    static final String LIST = "pins";
    private static final String DELTA = "delta-";
    private static final int COPY_BYTES = 1 << 20;
    private static final int BLOCK_BYTES = DeltaLog.BLOCK_BYTES;

    /// Memory for where old blocks lie: 48 bytes a run at worst.
    private static final int MOST_RUNS = 2_000_000;

    private static final Logger LOG = LoggerFactory.getLogger(PinStore.class);

    /// What of a pin cannot be read, and why.
    record Damage(long pin, String why) {}

    /// What has come to its end when nothing more can be saved: `journal.keep-max`, the filesystem
    /// of the deltas, or what their indexes may take of the memory.
    enum Bound {
        SETTING,
        FILESYSTEM,
        MEMORY
    }

    /// Nothing more can be saved.
    record NoRoom(Bound bound, String why) {}

    private static final class Slot {
        private final Pin pin;

        /// Null while nothing was saved, and where it cannot be read.
        private DeltaFile file;

        private DeltaLog.Extent counts;

        private Slot(Pin pin, DeltaFile file, DeltaLog.Extent counts) {
            this.pin = pin;
            this.file = file;
            this.counts = counts;
        }
    }

    private final Path directory;
    private final UUID resource;

    /// Held while the list is written.
    private final ReentrantLock writing = new ReentrantLock();

    /// Guards `slots` and the indexes of their logs; nothing waits for a disk under it. Changed
    /// under `writing` alone.
    private final ReentrantLock lookup = new ReentrantLock();

    private Map<Long, Slot> slots = new LinkedHashMap<>();
    private final List<Damage> damages = new ArrayList<>();
    private long lastId;
    private volatile long maxBytes = Long.MAX_VALUE;

    private PinStore(Path directory, UUID resource) {
        this.directory = directory;
        this.resource = resource;
    }

    /// Opens what there is. The directory need not be there: it is made for the first pin.
    ///
    /// @throws IOException if the list cannot be read: nothing says then what must be saved
    static PinStore open(Path directory, UUID resource) throws IOException {
        PinStore store = new PinStore(directory, resource);
        try {
            store.read();
            return store;
        } catch (IOException | RuntimeException e) {
            store.close();
            throw e;
        }
    }

    /// Where those of a copy lie, by its journal.
    static Path directoryBeside(Path journal) {
        String name = journal.getFileName().toString();
        return journal.resolveSibling(
                (name.endsWith(".journal") ? name.substring(0, name.length() - 8) : name)
                        + ".pins");
    }

    private void read() throws IOException {
        if (!Files.isDirectory(directory)) {
            return;
        }
        Path file = directory.resolve(LIST);
        if (Files.exists(file)) {
            // What a killed daemon renamed may not be durable, and what is rolled rests on it.
            DurableDirectory.sync(directory);
            PinList list = list(directory);
            if (!list.resource().equals(resource)) {
                throw new IOException(file + " is of another resource");
            }
            lastId = list.lastId();
            list.entries().forEach(this::openDelta);
        }
        deleteOthers();
    }

    /// What the list says.
    static PinList list(Path directory) throws IOException {
        Path file = directory.resolve(LIST);
        try {
            return PinList.decode(ByteBuffer.wrap(Files.readAllBytes(file)));
        } catch (RuntimeException e) {
            throw new IOException(
                    "%s: %s. To give up what is kept: rm -r %s"
                            .formatted(file, e.getMessage(), directory),
                    e);
        }
    }

    private void openDelta(PinList.Entry entry) {
        Pin pin = entry.pin();
        DeltaFile file = null;
        if (!entry.delta().isEmpty() && !pin.damaged()) {
            try {
                file = DeltaFile.open(delta(pin.id()), resource, pin.id(), entry.delta());
            } catch (IOException | RuntimeException e) {
                damages.add(new Damage(pin.id(), delta(pin.id()) + ": " + e.getMessage()));
            }
        }
        slots.put(pin.id(), new Slot(pin, file, entry.delta()));
    }

    /// What a crash left, of which nothing counts.
    private void deleteOthers() throws IOException {
        try (Stream<Path> files = Files.list(directory)) {
            for (Path each : files.toList()) {
                String name = each.getFileName().toString();
                boolean counts =
                        slots.values().stream()
                                .anyMatch(
                                        slot ->
                                                !slot.counts.isEmpty()
                                                        && delta(slot.pin.id()).equals(each));
                if (name.startsWith(DELTA) && !counts) {
                    Files.delete(each);
                }
            }
        }
    }

    private Path delta(long pin) {
        return delta(directory, pin);
    }

    static Path delta(Path directory, long pin) {
        return directory.resolve(DELTA + "%016x".formatted(pin));
    }

    /// As they were found.
    List<Pin> pins() {
        return slots.values().stream().map(slot -> slot.pin).toList();
    }

    long lastId() {
        return lastId;
    }

    Path directory() {
        return directory;
    }

    /// What was found damaged.
    List<Damage> damages() {
        return damages;
    }

    /// How much all deltas together may take.
    void maxBytes(long bytes) {
        maxBytes = bytes;
    }

    long usedBytes() {
        lookup.lock();
        try {
            return slots.values().stream().mapToLong(slot -> slot.counts.end()).sum();
        } finally {
            lookup.unlock();
        }
    }

    long bytesOf(long pin) {
        lookup.lock();
        try {
            Slot slot = slots.get(pin);
            return slot == null ? 0 : slot.counts.end();
        } finally {
            lookup.unlock();
        }
    }

    // ---- the list ----------------------------------------------------------------------------

    /// These are the pins from now on, durably when it returns; the deltas of others go.
    void write(List<Pin> pins, long lastId) throws DeviceException {
        writing.lock();
        try {
            DurableDirectory.make(directory);
            Map<Long, Slot> next = new LinkedHashMap<>();
            for (Pin each : pins) {
                Slot was = slots.get(each.id());
                next.put(
                        each.id(),
                        was == null
                                ? new Slot(each, null, DeltaLog.Extent.NONE)
                                : new Slot(each, was.file, was.counts));
            }
            writeList(next, lastId);
            Map<Long, Slot> before = slots;
            lookup.lock();
            try {
                slots = next;
                this.lastId = lastId;
            } finally {
                lookup.unlock();
            }
            before.keySet().removeAll(List.copyOf(next.keySet()));
            before.values().forEach(this::delete);
        } finally {
            writing.unlock();
        }
    }

    private void writeList(Map<Long, Slot> of, long lastId) throws DeviceException {
        List<PinList.Entry> entries =
                of.values().stream().map(slot -> new PinList.Entry(slot.pin, slot.counts)).toList();
        ByteBuffer content = new PinList(resource, lastId, entries).encode();
        if (!PinList.decode(content.duplicate()).entries().equals(entries)) {
            throw new IllegalStateException("the list of kept moments does not read back");
        }
        byte[] bytes = new byte[content.remaining()];
        content.get(bytes);
        AtomicFile.write(directory.resolve(LIST), bytes);
    }

    private void delete(Slot gone) {
        if (gone.file != null) {
            gone.file.close();
        }
        try {
            Files.deleteIfExists(delta(gone.pin.id()));
        } catch (IOException e) {
            LOG.warn("{}: {}", delta(gone.pin.id()), e.getMessage());
        }
    }

    // ---- saving ------------------------------------------------------------------------------

    /// Saves what is about to be written over, durably when it returns. Called by a roll, so by one
    /// thread at a time.
    ///
    /// @param image what will be written to the base
    /// @param did hears how many bytes were saved, and may wait
    /// @return null, or why there is no room for it: nothing has changed then
    /// @throws IOException if anything else fails
    NoRoom save(Pins.Save save, JournalIndex image, BlockDevice base, LongConsumer did)
            throws IOException {
        DeltaFile into = null;
        try {
            List<Pins.Range> unsaved = Pins.unsaved(image, held(save));
            if (unsaved.isEmpty()) {
                return null;
            }
            NoRoom lacks = lacksRoom(0);
            if (lacks != null) {
                return lacks;
            }
            into = fileOf(save.into());
            for (Pins.Range range : unsaved) {
                lacks = add(into.log(), range, base, did);
                if (lacks != null) {
                    into.abandon();
                    return lacks;
                }
            }
            into.log().finish();
        } catch (DeviceException e) {
            if (!e.isOutOfSpace()) {
                throw e;
            }
            if (into != null) { // Else it could not be made; the next one takes its place.
                into.abandon();
            }
            return new NoRoom(Bound.FILESYSTEM, e.getMessage());
        }
        into.sync();
        return commit(save.into(), into.log());
    }

    /// The indexes change by a roll alone, which is the caller.
    private List<JournalIndex> held(Pins.Save save) {
        lookup.lock();
        try {
            List<JournalIndex> held = new ArrayList<>();
            for (long pin : save.counted()) {
                DeltaFile file = slots.get(pin).file;
                if (file != null) {
                    held.add(file.log().index());
                }
            }
            return held;
        } finally {
            lookup.unlock();
        }
    }

    private DeltaFile fileOf(long pin) throws IOException {
        writing.lock();
        try {
            Slot slot = slots.get(pin);
            if (slot.file == null) {
                DeltaFile made = DeltaFile.create(delta(pin), resource, pin);
                lookup.lock();
                try {
                    slot.file = made;
                } finally {
                    lookup.unlock();
                }
            }
            return slot.file;
        } finally {
            writing.unlock();
        }
    }

    private NoRoom add(DeltaLog log, Pins.Range range, BlockDevice base, LongConsumer did)
            throws IOException {
        long end = Math.min(range.endBytes(), base.sizeBytes());
        ByteBuffer buffer = ByteBuffer.allocateDirect(COPY_BYTES);
        for (long at = range.offsetBytes(); at < end; ) {
            long data = Math.min(range.endBytes(), base.nextData(at));
            long hole = (data - at) / BLOCK_BYTES * BLOCK_BYTES;
            if (hole > 0) {
                log.addZero(at, hole);
                at += hole;
                continue;
            }
            long until = (base.nextHole(at) + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
            int part =
                    (int)
                            Math.min(
                                    COPY_BYTES,
                                    Math.min(end, Math.max(until, at + BLOCK_BYTES)) - at);
            int whole = (part + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
            NoRoom lacks = lacksRoom(log.endBytes() - log.extent().end() + whole);
            if (lacks != null) {
                return lacks;
            }
            buffer.clear().limit(part);
            base.read(at, buffer);
            buffer.limit(whole);
            Holes.zero(buffer);
            log.add(at, buffer.flip());
            at += whole;
            did.accept(whole);
        }
        return null;
    }

    /// Without file, list and table of what is added, which is little.
    private NoRoom lacksRoom(long moreBytes) {
        long used = usedBytes();
        if (used + moreBytes > maxBytes || used >= maxBytes) {
            return new NoRoom(
                    Bound.SETTING,
                    "journal.keep-max is used up (%s of %s)"
                            .formatted(Words.bytes(used), Words.bytes(maxBytes)));
        }
        lookup.lock();
        try {
            long runs = 0;
            for (Slot each : slots.values()) {
                runs += each.file == null ? 0 : each.file.log().index().size();
            }
            return runs > MOST_RUNS
                    ? new NoRoom(Bound.MEMORY, "it is in more than %d pieces".formatted(MOST_RUNS))
                    : null;
        } finally {
            lookup.unlock();
        }
    }

    private NoRoom commit(long pin, DeltaLog log) throws IOException {
        writing.lock();
        try {
            Slot slot = slots.get(pin);
            DeltaLog.Extent was = slot.counts;
            DeltaLog.Extent now = log.finish();
            slot.counts = now;
            try {
                writeList(slots, lastId);
            } catch (DeviceException e) {
                slot.counts = was;
                log.abandon();
                if (e.isOutOfSpace()) {
                    return new NoRoom(Bound.FILESYSTEM, e.getMessage());
                }
                throw e;
            }
            lookup.lock();
            try {
                log.counts(now);
            } finally {
                lookup.unlock();
            }
            return null;
        } finally {
            writing.unlock();
        }
    }

    // ---- reading -----------------------------------------------------------------------------

    /// Where something lies.
    ///
    /// @param log null: in the base
    private record Part(DeltaLog log, long dataAddress, long lengthBytes) {
        boolean isBase() {
            return log == null;
        }

        boolean isZero() {
            return dataAddress == JournalIndex.Run.ZEROES;
        }
    }

    /// @param pin whose moment it is
    private Part partAt(long pin, long at, long wantedBytes) throws DeviceException {
        lookup.lock();
        try {
            long end = at + wantedBytes;
            boolean begun = false;
            for (Slot slot : slots.values()) {
                begun |= slot.pin.id() == pin;
                JournalIndex.Run run =
                        begun && slot.file != null ? slot.file.log().index().at(at) : null;
                if (run != null && run.offsetBytes() <= at) {
                    return new Part(
                            slot.file.log(), run.dataAddress(), Math.min(end, run.endBytes()) - at);
                }
                if (run != null) {
                    end = Math.min(end, run.offsetBytes());
                }
            }
            if (!begun) {
                throw new DeviceException(0, "%s: it is not kept any more".formatted(directory));
            }
            return new Part(null, 0, end - at);
        } finally {
            lookup.unlock();
        }
    }

    /// What was the base's while it stood at the pin's moment.
    ///
    /// What is read from the base counts only if it is not held by then: whoever writes there has
    /// made it held before.
    void read(long pin, long offsetBytes, ByteBuffer into, BlockDevice base)
            throws DeviceException {
        int begin = into.position();
        int end = into.limit();
        while (into.position() < end) {
            long at = offsetBytes + into.position() - begin;
            int from = into.position();
            Part part = partAt(pin, at, end - from);
            into.limit(from + (int) part.lengthBytes());
            if (part.isBase()) {
                base.read(at, into);
                Part now = partAt(pin, at, part.lengthBytes());
                if (!now.isBase() || now.lengthBytes() < part.lengthBytes()) {
                    into.position(from);
                }
            } else if (part.isZero()) {
                Holes.zero(into);
            } else {
                readDelta(part, into);
            }
            into.limit(end);
        }
    }

    /// Where the base may differ from what it was at the pin's moment: what is saved of it, whole
    /// blocks. Where nothing lies here it does not, as long as it is not rolled on.
    ///
    /// @throws IllegalStateException if it is not kept any more
    List<Pins.Range> saved(long pin) {
        lookup.lock();
        try {
            List<Pins.Range> saved = new ArrayList<>();
            boolean begun = false;
            for (Slot slot : slots.values()) {
                begun |= slot.pin.id() == pin;
                if (begun && slot.file != null) {
                    for (JournalIndex.Run run : slot.file.log().index().all()) {
                        saved.add(new Pins.Range(run.offsetBytes(), run.endBytes()));
                    }
                }
            }
            if (!begun) {
                throw new IllegalStateException("pin %d is not kept".formatted(pin));
            }
            return saved;
        } finally {
            lookup.unlock();
        }
    }

    private void readDelta(Part part, ByteBuffer into) throws DeviceException {
        try {
            part.log().read(part.dataAddress(), into);
        } catch (DeviceException e) {
            throw e;
        } catch (IOException e) {
            throw new DeviceException(0, "%s: %s".formatted(directory, e.getMessage()), e);
        }
    }

    /// Where of that data and holes are, as far as one piece tells.
    List<Extent> extents(
            long pin, long offsetBytes, long lengthBytes, int maxExtents, BlockDevice base)
            throws ExportException {
        try {
            return extentsOf(pin, offsetBytes, lengthBytes, maxExtents, base);
        } catch (DeviceException e) {
            throw new ExportException(e.errno(), e.getMessage(), e);
        }
    }

    private List<Extent> extentsOf(
            long pin, long offsetBytes, long lengthBytes, int maxExtents, BlockDevice base)
            throws DeviceException, ExportException {
        while (true) {
            Part part = partAt(pin, offsetBytes, lengthBytes);
            if (!part.isBase()) {
                return List.of(
                        part.isZero()
                                ? Extent.hole(part.lengthBytes())
                                : Extent.data(part.lengthBytes()));
            }
            List<Extent> found = Holes.extents(base, offsetBytes, part.lengthBytes(), maxExtents);
            Part now = partAt(pin, offsetBytes, part.lengthBytes());
            if (now.isBase() && now.lengthBytes() == part.lengthBytes()) {
                return found;
            }
        }
    }

    @Override
    public void close() {
        for (Slot each : slots.values()) {
            if (each.file != null) {
                each.file.close();
            }
        }
    }

    /// Takes all of it away; after [#close].
    static void delete(Path journal) {
        ResourceDir.delete(directoryBeside(journal));
    }
}
