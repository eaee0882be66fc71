package holdfast.replicator.device;

import holdfast.replicator.metadata.CorruptFormatException;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.BooleanSupplier;
import java.util.stream.Stream;

/// Where one journal lies: a row of bytes with 64-bit offsets that never wrap, cut into segment
/// files of equal size. What the bytes mean is not known here.
///
/// ```
/// offset   0                         n·s       (n+1)·s     (n+2)·s
///          │ freed                    │ segment n │ n+1       │          s = segmentBytes
///                                       firstOffset             endOffset      spare-…: taken, not in use
/// ```
///
/// A segment takes all its space before it is used, and a freed one becomes a spare with its old
/// bytes in it, so what stands beyond the last write means nothing; records tell by their address.
/// One that is whole and durable can be packed ([#packing]): then it reads as before and takes
/// less.
///
/// Threads: one writer ([#write], [#sync], [#prepare]), any number of readers, [#free] from any one
/// thread and [#packing] from any one. Nobody may read below what was freed; such a read finds
/// nothing.
public final class JournalFiles implements AutoCloseable {
    /// Readers' open segments; a view walks in few places at once.
    private static final int OPEN_FOR_READING = 32;

    private static final String SPARE = "spare-";

    /// Takes space that packing has set free, until it is enough for a spare.
    private static final String FILLER = "filler";

    private static final String UNFINISHED = ".tmp";

    /// Beside a segment, what its owner noted of it.
    private static final String NOTE = ".index";

    /// What its owner noted of damage, by where that is.
    private static final String DAMAGE = ".damage";

    private static final int MAX_NOTE_BYTES = 256 << 20;

    private static final long GROWTH_PAUSE_NANOS = 1_000_000;

    private final Path directory;
    private final long segmentBytes;

    /// Grows. Changed under `names`.
    private volatile long maxBytes;

    /// Guards the names in the directory: `segments`, `spares`, `namesChanged`, and every create,
    /// rename and delete. Held over those calls but never while records are written or synced.
    private final ReentrantLock names = new ReentrantLock();

    private final TreeSet<Long> segments = new TreeSet<>();

    /// Offsets that there is a note of damage of.
    private final TreeSet<Long> damages = new TreeSet<>();

    /// Bytes that each packed segment takes.
    private final TreeMap<Long, Long> packed = new TreeMap<>();

    private final ArrayDeque<Path> spares = new ArrayDeque<>();
    private long nextSpare;

    /// What [#reserve] was asked for.
    private long reservedBytes;

    private long fillerBytes;
    private boolean closed;

    private boolean namesChanged;

    /// Guards itself; nothing is read under it.
    private final LinkedHashMap<Long, Open> reading = new LinkedHashMap<>(16, 0.75f, true);

    /// Of a packed segment: one that ends too early is damaged as well.
    private static boolean tryRead(RawFile file, long at, ByteBuffer into) throws DeviceException {
        try {
            return file.tryRead(at, into);
        } catch (DeviceException e) {
            throw e.errno() == 0 ? new PackedSegment.DamagedException(e.getMessage()) : e;
        }
    }

    /// A segment that is read.
    ///
    /// @param packed null if it is not
    private record Open(
            RawFile file, PackedSegment packed, PackedSegment.DamagedException damaged) {
        /// False: it was closed meanwhile.
        boolean read(long inSegment, ByteBuffer into, boolean zeroes) throws DeviceException {
            if (packed != null) {
                return packed.read(
                        (at, stored) -> tryRead(file, at, stored), inSegment, into, zeroes);
            }
            if (damaged == null) {
                return file.tryRead(inSegment, into);
            }
            if (!zeroes) {
                throw damaged;
            }
            while (into.hasRemaining()) {
                into.put((byte) 0);
            }
            return true;
        }
    }

    /// The writer's: segments written since the last sync, and the newest.
    private final TreeMap<Long, RawFile> writing = new TreeMap<>();

    /// The first sync that failed, of a segment or of the names. Any thread may set it.
    private volatile DeviceException syncFailure;

    private JournalFiles(Path directory, long segmentBytes, long maxBytes) {
        if (segmentBytes < 4096 || segmentBytes % 4096 != 0 || maxBytes < 2 * segmentBytes) {
            throw new IllegalArgumentException(
                    "a journal of %d bytes in segments of %d".formatted(maxBytes, segmentBytes));
        }
        this.directory = directory;
        this.segmentBytes = segmentBytes;
        this.maxBytes = maxBytes;
    }

    /// Makes an empty journal, durably: its directory, which must not exist, and its first segment.
    /// From then on it is never without a segment, so one that has none was lost.
    ///
    /// A crash before this returns leaves a directory that nobody refers to.
    public static void create(Path directory, long segmentBytes, long maxBytes)
            throws DeviceException {
        var files = new JournalFiles(directory.toAbsolutePath(), segmentBytes, maxBytes);
        int result = Native.mkdir(files.directory.toString(), 0700);
        if (result < 0) {
            throw new DeviceException(-result, directory + " cannot be made");
        }
        RawFile.syncDirectory(files.directory.getParent().toString());
        files.names.lock();
        try {
            files.makeSpare();
            RawFile.rename(files.spares.removeFirst().toString(), files.segment(0).toString());
            files.syncNames();
        } finally {
            files.names.unlock();
        }
    }

    /// What a directory holds of a journal, in words; empty when no record is in it. A segment that
    /// was written to begins with a record.
    public static Optional<String> heldAt(Path directory) throws IOException {
        if (!Files.isDirectory(directory)) {
            return Optional.empty();
        }
        try (Stream<Path> files = Files.list(directory)) {
            for (Path each : files.toList()) {
                try (InputStream in = Files.newInputStream(each)) {
                    for (byte b : in.readNBytes(4)) {
                        if (b != 0) {
                            return Optional.of("the journal of an earlier copy in " + directory);
                        }
                    }
                }
            }
        }
        return Optional.empty();
    }

    /// Whether all that a directory holds is what a journal without a record consists of.
    public static boolean isNothingElse(Path directory) throws IOException {
        try (Stream<Path> files = Files.list(directory)) {
            return files.allMatch(
                    each ->
                            Files.isRegularFile(each, LinkOption.NOFOLLOW_LINKS)
                                    && isOwnName(each.getFileName().toString()));
        }
    }

    private static boolean isOwnName(String name) {
        return name.equals(FILLER) || name.matches("(" + SPARE + ")?[0-9a-f]{16}(\\.tmp)?");
    }

    /// Opens a journal that [#create] made.
    ///
    /// @param segmentBytes size of a segment file, the same for the life of the journal
    /// @param maxBytes most that segments and spares take together
    /// @param neededFrom the oldest offset that is still needed: segments wholly below go
    /// @throws CorruptFormatException if the journal is not there, or not as far as to that offset;
    ///   if a segment is missing in between or has another size. Nothing was changed
    public static JournalFiles open(
            Path directory, long segmentBytes, long maxBytes, long neededFrom)
            throws DeviceException, CorruptFormatException {
        var files = new JournalFiles(directory.toAbsolutePath(), segmentBytes, maxBytes);
        files.findSegments();
        files.requireWhole(neededFrom);
        files.free(neededFrom);
        files.syncAll();
        return files;
    }

    /// What a killed process had written and not synced reads back, and recovery would take it for
    /// durable: so it is made durable first. What an earlier sync could not write reads back too,
    /// from pages that the kernel counts as clean since, and no later sync fails for it: so what is
    /// read comes from the disk and not from memory.
    private void syncAll() throws DeviceException {
        for (long number : segments) {
            try (RawFile file = RawFile.open(fileOf(number).toString(), Native.O_RDWR, 0)) {
                file.sync();
                file.dropCache();
            }
        }
        namesChanged = true;
        syncNames();
    }

    private void findSegments() throws DeviceException, CorruptFormatException {
        if (!Files.isDirectory(directory)) {
            throw new CorruptFormatException(
                    directory.toString(), 0, "the directory of a journal", "nothing");
        }
        List<Path> found;
        try (Stream<Path> entries = Files.list(directory)) {
            found = entries.sorted().toList();
        } catch (IOException e) {
            throw new DeviceException(Errno.EIO, directory + " cannot be listed", e);
        }
        for (Path path : found) {
            String name = path.getFileName().toString();
            if (name.endsWith(UNFINISHED) || name.equals(FILLER)) {
                RawFile.delete(path.toString());
            } else if (name.startsWith(SPARE)) {
                // Numbered anew from 0 on, so an old name must not stand in the way.
                takeInSpare(path);
            } else if (name.matches("[0-9a-f]{16}")) {
                segments.add(Long.parseUnsignedLong(name, 16));
            } else if (name.matches("[0-9a-f]{16}\\" + PackedSegment.SUFFIX)) {
                takeInPacked(path);
            } else if (name.matches("[0-9a-f]{16}\\" + DAMAGE)) {
                damages.add(Long.parseUnsignedLong(name.substring(0, 16), 16));
            }
        }
        for (Path path : found) {
            String name = path.getFileName().toString();
            if (name.endsWith(NOTE)
                    && !segments.contains(
                            Long.parseUnsignedLong(
                                    name.substring(0, name.length() - NOTE.length()), 16))) {
                RawFile.delete(path.toString());
            }
        }
    }

    /// Packed beside the segment itself, which sorts in front of it: packing was cut off.
    private void takeInPacked(Path path) throws DeviceException {
        long number = Long.parseUnsignedLong(path.getFileName().toString().substring(0, 16), 16);
        if (segments.add(number)) {
            packed.put(number, rounded(path.toFile().length()));
        } else {
            RawFile.delete(path.toString());
        }
    }

    private void takeInSpare(Path path) throws DeviceException {
        if (path.toFile().length() == segmentBytes) {
            spares.add(path);
            String number = path.getFileName().toString().substring(SPARE.length());
            nextSpare = Math.max(nextSpare, Long.parseUnsignedLong(number, 16) + 1);
        } else {
            RawFile.delete(path.toString());
        }
    }

    /// What is there must reach as far as is needed. The segment in which the needed part begins
    /// may be missing only when the one before it ends just there.
    private void requireWhole(long neededFrom) throws CorruptFormatException {
        if (segments.isEmpty() || endOffset() < neededFrom) {
            throw new CorruptFormatException(
                    directory.toString(),
                    0,
                    "segments as far as offset " + neededFrom,
                    segments.isEmpty() ? "no segment" : "segments as far as " + endOffset());
        }
        for (long number = Math.min(neededFrom / segmentBytes, segments.last());
                number <= segments.last();
                number++) {
            long size = segments.contains(number) ? segment(number).toFile().length() : 0;
            if (size != segmentBytes && !packed.containsKey(number)) {
                throw new CorruptFormatException(
                        segment(number).toString(),
                        0,
                        "a segment of %d bytes".formatted(segmentBytes),
                        segments.contains(number) ? size + " bytes" : "no file");
            }
        }
    }

    /// Where the first segment begins; [#endOffset] when there is none.
    public long firstOffset() {
        names.lock();
        try {
            return segments.isEmpty() ? 0 : segments.first() * segmentBytes;
        } finally {
            names.unlock();
        }
    }

    /// Where the last segment ends, 0 when there is none. What is written ends before it.
    public long endOffset() {
        names.lock();
        try {
            return segments.isEmpty() ? 0 : (segments.last() + 1) * segmentBytes;
        } finally {
            names.unlock();
        }
    }

    /// Bytes of the filesystem that are taken, spares included.
    public long takenBytes() {
        names.lock();
        try {
            long bytes =
                    (segments.size() - packed.size() + spares.size()) * segmentBytes + fillerBytes;
            for (long each : packed.values()) {
                bytes += each;
            }
            return bytes;
        } finally {
            names.unlock();
        }
    }

    /// Bytes that each packed segment takes, by the offset where it begins.
    public Map<Long, Long> packed() {
        names.lock();
        try {
            Map<Long, Long> bytes = new TreeMap<>();
            packed.forEach((number, each) -> bytes.put(number * segmentBytes, each));
            return bytes;
        } finally {
            names.unlock();
        }
    }

    /// Whether what is read at this offset is of a packed segment, so that its checksum is looked
    /// at here. It is opened for reading if it is not, for who asks reads there next.
    public boolean isPacked(long atOffset) throws DeviceException {
        Open open = openForReading(atOffset / segmentBytes);
        return open != null && (open.packed != null || open.damaged != null);
    }

    public long segmentBytes() {
        return segmentBytes;
    }

    /// Writes all parts, one after the other. Not durable before [#sync].
    ///
    /// The range lies in one segment; the first write into a segment makes it. Segments come in
    /// order, none is left out.
    ///
    /// @throws DeviceException out of space ([DeviceException#isOutOfSpace]): nothing has changed
    ///   and the same call may be made again later; any other error: the journal has a hole, stop
    public void write(long atOffset, ByteBuffer... parts) throws DeviceException {
        requireSynced();
        long length = 0;
        for (ByteBuffer part : parts) {
            length += part.remaining();
        }
        long number = atOffset / segmentBytes;
        long inSegment = atOffset % segmentBytes;
        if (atOffset < 0 || inSegment + length > segmentBytes) {
            throw new IllegalArgumentException(
                    "%d bytes at %d cross the end of a segment".formatted(length, atOffset));
        }
        RawFile file = writing.get(number);
        if (file == null) {
            file = openForWriting(number);
            writing.put(number, file);
        }
        file.write(inSegment, parts);
    }

    private RawFile openForWriting(long number) throws DeviceException {
        names.lock();
        try {
            if (!segments.contains(number)) {
                if (!segments.isEmpty() && number != segments.last() + 1) {
                    throw new IllegalArgumentException(
                            "segment %d after %d".formatted(number, segments.last()));
                }
                if (spares.isEmpty() && !fillerToSpare()) {
                    makeSpare();
                }
                // Many segments may be written before the next sync, and names need not become
                // durable in their order: without this a power cut could take one from the middle.
                syncNames();
                RawFile.rename(spares.getFirst().toString(), segment(number).toString());
                spares.removeFirst();
                segments.add(number);
                namesChanged = true;
            }
            return RawFile.open(segment(number).toString(), Native.O_RDWR, 0);
        } finally {
            names.unlock();
        }
    }

    /// Takes space for one segment more. Nothing half-made stays when it fails.
    private void makeSpare() throws DeviceException {
        if (takenBytes() + segmentBytes > maxBytes) {
            throw new DeviceException(
                    Errno.EDQUOT, "the journal %s has its %d bytes".formatted(directory, maxBytes));
        }
        Path spare = spare(nextSpare);
        String unfinished = spare + UNFINISHED;
        try (RawFile file =
                RawFile.open(unfinished, Native.O_RDWR | Native.O_CREAT | Native.O_EXCL, 0600)) {
            if (!file.fallocate(0, 0, segmentBytes)) {
                file.writeZeroes(0, segmentBytes);
            }
            file.sync();
            RawFile.rename(unfinished, spare.toString());
        } catch (DeviceException e) {
            Native.unlink(unfinished);
            throw new DeviceException(
                    e.errno(),
                    "no room for a journal segment of %d bytes in %s"
                            .formatted(segmentBytes, directory),
                    e);
        }
        nextSpare++;
        spares.addLast(spare);
        namesChanged = true;
    }

    /// Makes one spare if there is none and the journal may still grow, so that the next segment
    /// costs the writer a rename. For when nothing waits; a full disk is no error yet.
    public void prepare() {
        names.lock();
        try {
            if (spares.isEmpty() && !fillerToSpare() && takenBytes() + segmentBytes <= maxBytes) {
                makeSpare();
            }
            fill();
        } catch (DeviceException e) {
            // The write that needs the segment meets the same error and reports it.
        } finally {
            names.unlock();
        }
    }

    /// Takes space for `bytes` in all, segments in use included, so that no write within them meets
    /// a full disk. Space taken stays so until [#close], whatever is freed.
    ///
    /// @throws DeviceException if it does not fit; what was taken so far stays taken
    public void reserve(long bytes) throws DeviceException {
        if (bytes > maxBytes) {
            throw new IllegalArgumentException(bytes + " of at most " + maxBytes);
        }
        names.lock();
        try {
            reservedBytes = bytes;
            while (takenBytes() + segmentBytes <= bytes) {
                makeSpare();
            }
            fill();
            syncNames();
        } finally {
            names.unlock();
        }
    }

    /// The journal may take so many bytes from now on, and has them, as by [#reserve].
    ///
    /// @throws DeviceException if it does not fit; it is as it was then
    public void grow(long bytes) throws DeviceException {
        long maxBefore;
        long reservedBefore;
        names.lock();
        try {
            maxBefore = maxBytes;
            reservedBefore = reservedBytes;
            maxBytes = Math.max(bytes, maxBefore);
        } finally {
            names.unlock();
        }
        try {
            while (takeSegment()) {
                // Whoever syncs the journal, or those beside it, waits for one segment at most.
                LockSupport.parkNanos(GROWTH_PAUSE_NANOS);
            }
            reserve(maxBytes);
        } catch (DeviceException | RuntimeException e) {
            giveBack(maxBefore, reservedBefore);
            throw e;
        }
    }

    /// As before a [#grow], of which nothing was used.
    ///
    /// @param bytes that it might take then
    public void shrink(long bytes) throws DeviceException {
        giveBack(bytes, bytes);
    }

    private void giveBack(long max, long reserved) throws DeviceException {
        names.lock();
        try {
            maxBytes = max;
            reservedBytes = Math.min(reservedBytes, reserved);
            trim(max);
        } finally {
            names.unlock();
        }
    }

    /// @return false when there is room for no more
    private boolean takeSegment() throws DeviceException {
        names.lock();
        try {
            if (takenBytes() + segmentBytes > maxBytes) {
                return false;
            }
            makeSpare();
            return true;
        } finally {
            names.unlock();
        }
    }

    /// Takes again what of the reserved space is free, without a sync.
    ///
    /// @return false if somebody else has it
    private boolean fill() {
        while (takenBytes() < reservedBytes) {
            long more = Math.min(reservedBytes - takenBytes(), segmentBytes - fillerBytes);
            try {
                if (more == 0) {
                    fillerToSpare();
                } else if (!growFiller(more)) {
                    return true; // Such a filesystem promises nothing.
                }
            } catch (DeviceException e) {
                return false;
            }
        }
        return true;
    }

    private boolean growFiller(long more) throws DeviceException {
        try (RawFile file =
                RawFile.open(filler().toString(), Native.O_RDWR | Native.O_CREAT, 0600)) {
            boolean grown = file.fallocate(0, fillerBytes, more);
            fillerBytes += grown ? more : 0;
            return grown;
        }
    }

    private boolean fillerToSpare() throws DeviceException {
        if (fillerBytes < segmentBytes) {
            return false;
        }
        try (RawFile file = RawFile.open(filler().toString(), Native.O_RDWR, 0)) {
            file.sync();
        }
        Path spare = spare(nextSpare++);
        RawFile.rename(filler().toString(), spare.toString());
        spares.addLast(spare);
        fillerBytes = 0;
        namesChanged = true;
        return true;
    }

    private Path filler() {
        return directory.resolve(FILLER);
    }

    /// Makes durable whatever was written before, and the names of new segments.
    ///
    /// A failure is final (R11 has the reason): every later write and sync throws it too. Nothing
    /// written since the last sync may be acknowledged, ever; open it anew and look what is there.
    public void sync() throws DeviceException {
        requireSynced();
        try {
            names.lock();
            try {
                syncNames();
            } finally {
                names.unlock();
            }
            for (RawFile file : writing.values()) {
                file.sync();
            }
        } catch (DeviceException e) {
            syncFailure = e;
            throw e;
        }
        while (writing.size() > 1) {
            writing.pollFirstEntry().getValue().close();
        }
    }

    private void syncNames() throws DeviceException {
        if (namesChanged) {
            try {
                RawFile.syncDirectory(directory.toString());
            } catch (DeviceException e) {
                // Whoever asked: the kernel says it once, so the writer would not hear of it.
                syncFailure = e;
                throw e;
            }
            namesChanged = false;
        }
    }

    private void requireSynced() throws DeviceException {
        if (syncFailure != null) {
            throw new DeviceException(
                    syncFailure.errno(),
                    "the journal %s takes no more since it could not be made durable"
                            .formatted(directory),
                    syncFailure);
        }
    }

    /// Ends the journal at this offset: from there on it has nothing any more, durably. Before
    /// anything is written to it, and while nobody reads.
    ///
    /// A crash leaves something of what stood behind; nothing in front of it is touched.
    public void cut(long atOffset) throws DeviceException {
        long number = atOffset / segmentBytes;
        names.lock();
        try {
            // Other records come there: what was noted of these must not be taken for theirs.
            dropDamages(atOffset, Long.MAX_VALUE);
            while (segments.size() > 1 && segments.last() > number) {
                long last = segments.last();
                closeReading(last);
                Native.unlink(noteOf(last).toString());
                RawFile.delete(fileOf(last).toString());
                segments.remove(last);
                packed.remove(last);
                namesChanged = true;
                syncNames(); // From behind: what is left has no gap.
            }
            if (segments.contains(number)) {
                // First, and durably: a start believes the note where the segment is damaged.
                Native.unlink(noteOf(number).toString());
                namesChanged = true;
                syncNames();
                closeReading(number);
                zeroFrom(number, atOffset % segmentBytes);
            }
            fill();
            syncNames();
        } finally {
            names.unlock();
        }
    }

    /// A packed segment becomes one as others again: in a spare, which takes its place when it is
    /// durable.
    private void zeroFrom(long number, long inSegment) throws DeviceException {
        boolean unpacks = packed.containsKey(number);
        if (unpacks && spares.isEmpty() && !fillerToSpare()) {
            makeSpare();
        }
        Path path = unpacks ? spares.getFirst() : segment(number);
        try (RawFile file = RawFile.open(path.toString(), Native.O_RDWR, 0)) {
            ByteBuffer buffer = ByteBuffer.allocateDirect(1 << 20);
            for (long at = 0; unpacks && at < inSegment; at += buffer.limit()) {
                buffer.clear().limit((int) Math.min(buffer.capacity(), inSegment - at));
                read(number, at, buffer, true);
                file.write(at, buffer.flip());
            }
            file.writeZeroes(inSegment, segmentBytes - inSegment);
            file.sync();
        }
        if (unpacks) {
            RawFile.rename(path.toString(), segment(number).toString());
            spares.removeFirst();
            namesChanged = true;
            syncNames();
            closeReading(number);
            RawFile.delete(packedOf(number).toString());
            packed.remove(number);
            namesChanged = true;
        }
        if (takenBytes() > maxBytes && fillerBytes > 0) {
            RawFile.delete(filler().toString());
            fillerBytes = 0;
        }
    }

    /// Begins to replace a segment by one that holds the same in less space, for as long as it is
    /// kept. Nothing is lost at any moment: the packed one is durable before the other goes, and a
    /// crash in between leaves both, of which the next opening takes the one that was there before.
    ///
    /// The segment is durable, and nobody writes to it any more.
    ///
    /// @return empty if it has been freed, or is packed, or is the newest
    public Optional<Packing> packing(long segmentOffset) throws DeviceException {
        long number = segmentOffset / segmentBytes;
        names.lock();
        try {
            // Not the newest, so that a cut always sets a segment free to unpack another into.
            if (closed
                    || !segments.contains(number)
                    || number == segments.last()
                    || packed.containsKey(number)) {
                return Optional.empty();
            }
            String unfinished = packedOf(number) + UNFINISHED;
            Native.unlink(unfinished);
            RawFile from = RawFile.open(segment(number).toString(), Native.O_RDONLY, 0);
            try {
                return Optional.of(
                        new Packing(
                                number,
                                from,
                                unfinished,
                                RawFile.open(
                                        unfinished,
                                        Native.O_RDWR | Native.O_CREAT | Native.O_EXCL,
                                        0600)));
            } catch (DeviceException e) {
                from.close();
                throw e;
            }
        } finally {
            names.unlock();
        }
    }

    /// A segment that is being packed, by one thread at a time.
    public final class Packing implements AutoCloseable {
        private final long number;
        private final RawFile from;
        private final String unfinished;
        private final RawFile to;
        private Optional<Long> bytes = Optional.empty();
        private boolean replaced;

        private Packing(long number, RawFile from, String unfinished, RawFile to) {
            this.number = number;
            this.from = from;
            this.unfinished = unfinished;
            this.to = to;
        }

        /// The long part. It takes no lock, so it may be done by a thread that gives way to all.
        ///
        /// @param stopped asked often; then it ends, and nothing comes of it
        public void compress(BooleanSupplier stopped) throws DeviceException {
            PackedSegment.Source<DeviceException> source =
                    (at, into) -> {
                        from.read(at, into);
                        return !stopped.getAsBoolean();
                    };
            bytes = PackedSegment.pack(source, number, segmentBytes, to::write);
        }

        /// The other part.
        ///
        /// @return bytes that the segment takes now; empty if there is no more room than before:
        ///   packing saves little, or it has been freed, or somebody else has taken what was saved
        /// @throws DeviceException if it cannot be written: the segment can be read as before
        public Optional<Long> finish() throws DeviceException {
            if (bytes.isEmpty()) {
                return bytes;
            }
            to.sync();
            replaced = replace(number, unfinished, rounded(bytes.get()));
            from.close();
            return replaced && takenAgain() ? Optional.of(rounded(bytes.get())) : Optional.empty();
        }

        @Override
        public void close() {
            from.close();
            to.close();
            if (!replaced) {
                Native.unlink(unfinished);
            }
        }
    }

    private boolean takenAgain() {
        names.lock();
        try {
            return fill();
        } finally {
            names.unlock();
        }
    }

    private boolean replace(long number, String by, long bytes) throws DeviceException {
        names.lock();
        try {
            if (closed || !segments.contains(number) || packed.containsKey(number)) {
                return false;
            }
            RawFile.rename(by, packedOf(number).toString());
            namesChanged = true;
            syncNames();
            packed.put(number, bytes);
            closeReading(number);
            // Not a spare: somebody may be reading from it at this moment.
            RawFile.delete(segment(number).toString());
            namesChanged = true;
            return true;
        } finally {
            names.unlock();
        }
    }

    private void closeReading(long number) {
        synchronized (reading) {
            Open open = reading.remove(number);
            if (open != null) {
                open.file.close();
            }
        }
    }

    /// Keeps a note on a segment, which goes with it: never needed, so not more than durable when
    /// it happens to be, and whole or not there. None for a segment that is gone.
    ///
    /// @throws DeviceException if it cannot be written: nothing is left of it
    public void note(long segmentOffset, ByteBuffer note) throws DeviceException {
        long number = segmentOffset / segmentBytes;
        String unfinished = writeUnfinished(noteOf(number), note);
        names.lock();
        try {
            if (segments.contains(number)) {
                RawFile.rename(unfinished, noteOf(number).toString());
            } else {
                RawFile.delete(unfinished);
            }
        } finally {
            names.unlock();
        }
    }

    private static String writeUnfinished(Path path, ByteBuffer content) throws DeviceException {
        String unfinished = path + UNFINISHED;
        Native.unlink(unfinished);
        try (RawFile file =
                RawFile.open(unfinished, Native.O_RDWR | Native.O_CREAT | Native.O_EXCL, 0600)) {
            file.write(0, content);
            file.sync();
        } catch (DeviceException e) {
            Native.unlink(unfinished);
            throw e;
        }
        return unfinished;
    }

    /// The note on a segment, or null.
    public ByteBuffer note(long segmentOffset) throws DeviceException {
        return read(noteOf(segmentOffset / segmentBytes));
    }

    private static ByteBuffer read(Path path) throws DeviceException {
        if (!Files.exists(path)) {
            return null;
        }
        try (RawFile file = RawFile.open(path.toString(), Native.O_RDONLY, 0)) {
            long bytes = file.sizeBytes();
            if (bytes > MAX_NOTE_BYTES) {
                return null;
            }
            ByteBuffer note = ByteBuffer.allocate((int) bytes);
            file.read(0, note);
            return note.flip();
        }
    }

    /// It is not to be trusted: the segment is read instead.
    public void dropNote(long segmentOffset) {
        Native.unlink(noteOf(segmentOffset / segmentBytes).toString());
    }

    /// Keeps a note on damage at this offset, durably when it returns, until [#dropDamages]. A
    /// crash before leaves the one that was there, or none.
    public void damage(long atOffset, ByteBuffer note) throws DeviceException {
        Path path = damageAt(atOffset);
        if (note.remaining() > MAX_NOTE_BYTES) {
            throw new DeviceException(
                    0, "%s: a note of %d bytes is too long".formatted(path, note.remaining()));
        }
        String unfinished = writeUnfinished(path, note);
        names.lock();
        try {
            RawFile.rename(unfinished, path.toString());
            damages.add(atOffset);
            namesChanged = true;
            syncNames();
        } finally {
            names.unlock();
        }
    }

    /// Offsets with a note on damage, ascending.
    public List<Long> damages() {
        names.lock();
        try {
            return List.copyOf(damages);
        } finally {
            names.unlock();
        }
    }

    /// The note on damage at one of these, or null.
    public ByteBuffer damage(long atOffset) throws DeviceException {
        return read(damageAt(atOffset));
    }

    /// There is no such note any more from one offset up to another, durably when it returns.
    public void dropDamages(long from, long before) throws DeviceException {
        names.lock();
        try {
            for (long each : List.copyOf(damages.subSet(from, before))) {
                deleteDamage(each);
                damages.remove(each);
                namesChanged = true;
            }
            syncNames();
        } finally {
            names.unlock();
        }
    }

    /// One that stays would be taken for what comes to that offset: nothing is to come there.
    private void deleteDamage(long atOffset) throws DeviceException {
        try {
            RawFile.delete(damageAt(atOffset).toString());
        } catch (DeviceException e) {
            syncFailure = e;
            throw e;
        }
    }

    /// Reads what the segments hold from this offset on, over their borders, until `into` is full
    /// or the segments end.
    ///
    /// @return bytes read; fewer than asked for when there is no segment further on
    /// @throws PackedSegment.DamagedException if a packed segment is not what was written there
    public int read(long atOffset, ByteBuffer into) throws DeviceException {
        return read(atOffset, into, false);
    }

    /// As [#read], for who looks for damage: what is damaged of a packed segment reads as zeroes,
    /// which are no record and no record's data.
    public int readDamaged(long atOffset, ByteBuffer into) throws DeviceException {
        return read(atOffset, into, true);
    }

    private int read(long atOffset, ByteBuffer into, boolean zeroes) throws DeviceException {
        int asked = into.remaining();
        int limit = into.limit();
        try {
            long at = atOffset;
            while (into.position() < limit) {
                long inSegment = at % segmentBytes;
                long now = Math.min(limit - into.position(), segmentBytes - inSegment);
                into.limit(into.position() + (int) now);
                if (!read(at / segmentBytes, inSegment, into, zeroes)) {
                    break;
                }
                at += now;
            }
        } finally {
            into.limit(limit);
        }
        return asked - into.remaining();
    }

    private boolean read(long number, long inSegment, ByteBuffer into, boolean zeroes)
            throws DeviceException {
        while (true) {
            Open open = openForReading(number);
            if (open == null) {
                return false;
            }
            // False: it was pushed out of the open ones at this very moment.
            if (open.read(inSegment, into, zeroes)) {
                return true;
            }
        }
    }

    private Open openForReading(long number) throws DeviceException {
        synchronized (reading) {
            Open open = reading.get(number);
            if (open != null) {
                return open;
            }
        }
        RawFile file;
        boolean isPacked;
        names.lock();
        try {
            // With the names held, so that nobody can rename it in between.
            if (!segments.contains(number)) {
                return null;
            }
            file = RawFile.open(fileOf(number).toString(), Native.O_RDONLY, 0);
            isPacked = packed.containsKey(number);
        } finally {
            names.unlock();
        }
        // Without them, since a table is read, and what is to be acknowledged waits for the names.
        Open opened = isPacked ? open(number, file) : new Open(file, null, null);
        names.lock();
        try {
            if (!segments.contains(number) || packed.containsKey(number) != isPacked) {
                file.close();
                return segments.contains(number) ? opened : null;
            }
            synchronized (reading) {
                Open other = reading.put(number, opened);
                if (other != null) {
                    other.file.close();
                }
                if (reading.size() > OPEN_FOR_READING) {
                    var oldest = reading.entrySet().iterator();
                    oldest.next().getValue().file.close();
                    oldest.remove();
                }
            }
            return opened;
        } finally {
            names.unlock();
        }
    }

    private Open open(long number, RawFile file) throws DeviceException {
        try {
            return new Open(
                    file,
                    PackedSegment.open(
                            (at, into) -> tryRead(file, at, into),
                            number,
                            segmentBytes,
                            file.name()),
                    null);
        } catch (PackedSegment.DamagedException e) {
            return new Open(file, null, e);
        } catch (DeviceException e) {
            file.close();
            throw e;
        }
    }

    /// Nothing below this offset is needed any more: segments that lie wholly below it become
    /// spares. The newest segment stays. Nobody reads there now or later.
    public void free(long beforeOffset) throws DeviceException {
        long keep = beforeOffset / segmentBytes;
        names.lock();
        try {
            boolean freed = false;
            while (segments.size() > 1 && segments.first() < keep) {
                long number = segments.first();
                closeReading(number);
                Native.unlink(noteOf(number).toString());
                if (packed.containsKey(number) || takenBytes() > maxBytes) {
                    RawFile.delete(fileOf(number).toString());
                } else {
                    Path spare = spare(nextSpare++);
                    RawFile.rename(segment(number).toString(), spare.toString());
                    spares.addLast(spare);
                }
                segments.remove(number);
                packed.remove(number);
                namesChanged = true;
                freed = true;
            }
            if (freed) {
                fill();
                // Before the space is counted as free: a segment must not come back after a crash
                // while
                // later ones are gone.
                syncNames();
            }
        } finally {
            names.unlock();
        }
    }

    /// Deletes spares until the files take no more than this, for when the journal is given less
    /// space.
    public void trim(long bytes) throws DeviceException {
        names.lock();
        try {
            while (!spares.isEmpty() && takenBytes() > bytes) {
                RawFile.delete(spares.getLast().toString());
                spares.removeLast();
                namesChanged = true;
            }
            syncNames();
        } finally {
            names.unlock();
        }
    }

    @Override
    public String toString() {
        return directory.toString();
    }

    private Path segment(long number) {
        return directory.resolve("%016x".formatted(number));
    }

    private Path packedOf(long number) {
        return directory.resolve("%016x".formatted(number) + PackedSegment.SUFFIX);
    }

    private Path fileOf(long number) {
        return packed.containsKey(number) ? packedOf(number) : segment(number);
    }

    /// As a filesystem takes it.
    private static long rounded(long bytes) {
        return (bytes + 4095) / 4096 * 4096;
    }

    private Path noteOf(long number) {
        return directory.resolve("%016x".formatted(number) + NOTE);
    }

    private Path damageAt(long offset) {
        return directory.resolve("%016x".formatted(offset) + DAMAGE);
    }

    private Path spare(long number) {
        return directory.resolve(SPARE + "%016x".formatted(number));
    }

    /// By the writer, when no reader is left. Does not sync.
    @Override
    public void close() {
        names.lock();
        try {
            closed = true;
        } finally {
            names.unlock();
        }
        writing.values().forEach(RawFile::close);
        writing.clear();
        synchronized (reading) {
            for (Open open : List.copyOf(reading.values())) {
                open.file.close();
            }
            reading.clear();
        }
    }
}
