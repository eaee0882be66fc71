package holdfast.replicator.daemon;

import holdfast.replicator.control.Extract;
import holdfast.replicator.control.NodePaths;
import holdfast.replicator.device.AtomicFile;
import holdfast.replicator.device.DeltaFile;
import holdfast.replicator.device.DeviceException;
import holdfast.replicator.device.DeviceNode;
import holdfast.replicator.device.FileBlockDevice;
import holdfast.replicator.device.TwoSlotFile;
import holdfast.replicator.journal.AncestryCodec;
import holdfast.replicator.journal.BridgedScan;
import holdfast.replicator.journal.DeltaLog;
import holdfast.replicator.journal.JournalIndex;
import holdfast.replicator.journal.JournalRecord;
import holdfast.replicator.journal.JournalScan;
import holdfast.replicator.journal.SegmentIndex;
import holdfast.replicator.metadata.CorruptFormatException;
import holdfast.replicator.metadata.PinList;
import holdfast.replicator.metadata.Superblock;
import holdfast.replicator.state.BlockSet;
import holdfast.replicator.state.Marks;
import holdfast.replicator.state.Pins;
import holdfast.replicator.state.Role;
import holdfast.tunnel.wire.AddressSpace;
import holdfast.tunnel.wire.AddressSpace.Place;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Position;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.time.Instant;
import java.time.ZoneId;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// Joins the base of one volume and the journal to the image of a moment, in a new file. Nothing of
/// the copy is changed, and nothing is needed but its files (docs/on-disk-format.md has all that
/// this knows).
///
/// The journal is read as a start of the daemon reads it: from the watermark, over bridges, up to
/// its end or to damage. Where that is in front of what was brought into the base, or it cannot be
/// known that it is not, nothing is written.
///
/// Without the superblock all records that are there are laid over the base, also those that it
/// holds already: the newest of each block counts, and so the watermark need not be known as long
/// as nothing is missing at the end.
final class Extraction {
    private static final int COPY_BYTES = 1 << 20;

    /// What the copies of several volumes are called at a backup: `db.img`, `db.1.img`.
    private static final Pattern NUMBERED = Pattern.compile(".*\\.(\\d{1,2})\\.[^.]+");

    private final Extract.Request request;
    private final Extract.Progress progress;

    /// Something more is wanted, and what to type.
    static final class WantedException extends IOException {
        private static final long serialVersionUID = 1;

        private final String next;

        private WantedException(String message, String next) {
            super(message);
            this.next = next;
        }

        String next() {
            return next;
        }
    }

    /// Of the superblock, how often it had been written when it was read.
    private long seenCounter;

    Extraction(Extract.Request request, Extract.Progress progress) {
        this.request = request;
        this.progress = progress;
    }

    /// @throws IOException if the files are not what they should be, or the moment is not in them;
    ///   nothing is left of the new file then
    Extract.Reply run() throws IOException {
        try (Segments segments = Segments.of(request.journal());
                FileBlockDevice base = FileBlockDevice.openReadOnly(request.base())) {
            Copy copy = copy(segments, base);
            int volume = volume(copy.space());
            return request.at().filter(Pins::isName).isPresent() && isKept(request.at().get())
                    ? runKept(copy, volume, segments, base, request.at().get())
                    : runMoment(copy, volume, segments, base);
        }
    }

    /// A daemon that runs meanwhile may have rolled what came later into the base that was copied.
    private void requireStill() throws IOException {
        if (request.superblock().isEmpty()) {
            return;
        }
        long counter;
        try {
            counter = TwoSlotFile.look(request.superblock().get(), Superblock.CODEC).counter();
        } catch (CorruptFormatException e) {
            throw new IOException(e.getMessage(), e);
        }
        if (counter != seenCounter) {
            throw new WantedException(
                    "%s changed while the base was read: a daemon runs on these files, and what was copied is perhaps the image of no moment. Stop it first"
                            .formatted(request.superblock().get()),
                    command("--superblock", request.superblock().get().toString()));
        }
    }

    // ---- what the copy is --------------------------------------------------------------------

    /// What is known of the copy beside base and journal.
    ///
    /// @param superblock null where it is lost
    /// @param doubt why the superblock may be the one before the last, or null
    /// @param watermark where reading begins
    private record Copy(
            UUID resource,
            AddressSpace space,
            Superblock superblock,
            String doubt,
            long watermark) {
        boolean isLost() {
            return superblock == null;
        }

        long rollingTo() {
            return isLost() ? watermark : superblock.rollingTo();
        }
    }

    private Copy copy(Segments segments, FileBlockDevice base) throws IOException {
        if (request.superblock().isPresent()) {
            return copy(segments, request.superblock().get());
        }
        if (request.sizes().isEmpty()) {
            throw new WantedException(
                    "the superblock of the copy is wanted: it says how far the base was rolled forward, and which volumes there are."
                            + " Where it is lost, say in its place how large the volume is: --sizes %d if this is the only one, else --sizes \"0:BYTES 1:BYTES\" with all of them"
                                    .formatted(base.sizeBytes()),
                    command("--superblock", usualSuperblock().toString()));
        }
        if (request.at().isPresent()) {
            throw new WantedException(
                    "an older moment can be told from what the base holds by the superblock alone: name it",
                    command("--superblock", usualSuperblock().toString()));
        }
        AddressSpace space;
        try {
            space = AddressSpace.parse(request.sizes().get().strip());
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException(
                    "--sizes is \"%s\", should be the bytes of the only volume, or like \"0:10737418240 1:2147483648\": %s"
                            .formatted(request.sizes().get(), e.getMessage()),
                    e);
        }
        JournalRecord first =
                segments.firstRecord()
                        .orElseThrow(
                                () ->
                                        wantsSuperblock(
                                                "%s does not begin with a record: it is empty or damaged"
                                                        .formatted(request.journal())));
        return new Copy(first.resource(), space, null, null, segments.begin());
    }

    private Copy copy(Segments segments, Path file) throws IOException {
        if (request.sizes().isPresent()) {
            throw new IllegalArgumentException("--sizes is for a superblock that is lost");
        }
        TwoSlotFile.Seen<Superblock> seen;
        try {
            seen = TwoSlotFile.look(file, Superblock.CODEC);
        } catch (CorruptFormatException e) {
            throw new IOException(e.getMessage(), e);
        }
        seenCounter = seen.counter();
        Superblock found = seen.value();
        if (found.role() != Role.SECONDARY) {
            Path before = ResourceDir.roleBefore(file.toAbsolutePath().getParent());
            throw new WantedException(
                    "%s is that of a primary. A copy that was promoted has another one, in the directory of its own"
                            .formatted(file),
                    command("--superblock", before.resolve(ResourceDir.SUPERBLOCK).toString()));
        }
        Optional<JournalRecord> first = segments.firstRecord();
        if (first.isPresent() && !first.get().resource().equals(found.resource())) {
            throw new IOException(
                    "%s is of resource %s, %s of %s"
                            .formatted(
                                    file,
                                    found.resource(),
                                    request.journal(),
                                    first.get().resource()));
        }
        if (segments.begin() > found.watermark() || segments.end() < found.watermark()) {
            throw new IOException(
                    "%s has offsets %d to %d, and the base holds what is in front of %d: the journal is not whole, or the superblock an old one"
                            .formatted(
                                    request.journal(),
                                    segments.begin(),
                                    segments.end(),
                                    found.watermark()));
        }
        return new Copy(found.resource(), found.space(), found, seen.damage(), found.watermark());
    }

    private WantedException wantsSuperblock(String why) {
        return new WantedException(
                why
                        + ". How far the base was rolled forward is not known without the superblock of the copy, and so not whether the two are the image of a moment",
                command("--superblock", usualSuperblock().toString()));
    }

    /// Where it lies as a rule.
    private Path usualSuperblock() {
        String journal = request.journal().toAbsolutePath().normalize().getFileName().toString();
        String name = journal.endsWith(".journal") ? journal.replace(".journal", "") : "NAME";
        return NodePaths.ofHost().state().resolve("resources/" + name + "/superblock");
    }

    /// The same command with something more.
    private String command(String option, String value) {
        List<String> words = new ArrayList<>(List.of("holdfast", "extract"));
        words.addAll(List.of("--base", request.base().toString()));
        words.addAll(List.of("--journal", request.journal().toString()));
        if (!option.equals("--superblock")) {
            request.superblock()
                    .ifPresent(each -> words.addAll(List.of("--superblock", each.toString())));
            request.sizes().ifPresent(each -> words.addAll(List.of("--sizes", quoted(each))));
        }
        words.addAll(List.of(option, value));
        if (!option.equals("--volume")) {
            request.volume().ifPresent(each -> words.addAll(List.of("--volume", each.toString())));
        }
        request.pins().ifPresent(each -> words.addAll(List.of("--pins", each.toString())));
        request.at().ifPresent(each -> words.addAll(List.of("--at", quoted(each))));
        words.add(request.to() + " cannot be made");
        return String.join(" ", words);
    }

    private static String quoted(String text) {
        return text.contains(" ") ? "\"" + text + "\"" : text;
    }

    /// Which volume the base is of.
    private int volume(AddressSpace space) throws IOException {
        int noted = notedVolume(space);
        if (request.volume().isEmpty()) {
            if (noted < 0 && space.volumes() > 1) {
                Matcher number = NUMBERED.matcher(request.base().getFileName().toString());
                int guess = number.matches() ? Integer.parseInt(number.group(1)) : 0;
                throw new WantedException(
                        "the copy has %d volumes, of %s bytes: say which of them %s is, and give the command once for each"
                                .formatted(space.volumes(), space.volumeSizes(), request.base()),
                        command("--volume", Integer.toString(guess)));
            }
            return Math.max(0, noted);
        }
        int volume = request.volume().get();
        if (volume < 0 || volume >= space.volumes()) {
            throw new IllegalArgumentException(
                    "--volume is %d, and the copy has %d: 0 to %d"
                            .formatted(volume, space.volumes(), space.volumes() - 1));
        }
        if (noted >= 0 && noted != volume) {
            throw new WantedException(
                    "%s is volume %d of the copy, and not volume %d"
                            .formatted(request.base(), noted, volume),
                    command("--volume", Integer.toString(noted)));
        }
        return volume;
    }

    /// Which one it is by what is noted beside the superblock; -1 where nothing says that.
    private int notedVolume(AddressSpace space) throws IOException {
        if (request.superblock().isEmpty()) {
            return -1;
        }
        Path dir = request.superblock().get().toAbsolutePath().getParent();
        String identity = DeviceNode.of(request.base()).identity();
        List<String> lines = ResourceDir.baseIdentity(dir).strip().lines().toList();
        return lines.size() != space.volumes() || DeviceNode.mayBeAnother(identity)
                ? -1
                : lines.indexOf(identity);
    }

    // ---- a moment of the history -------------------------------------------------------------

    private Extract.Reply runMoment(Copy copy, int volume, Segments segments, FileBlockDevice base)
            throws IOException {
        if (!copy.isLost() && copy.superblock().mixture()) {
            throw new IOException(
                    "the copy is the image of no moment: its journal was damaged while it was"
                            + " rolled into the base, and its primary has not mended it");
        }
        Moment moment = moment(segments, copy);
        requireInside(copy, moment.index());
        AddressSpace space =
                copy.isLost()
                        ? copy.space()
                        : copy.space()
                                .upTo(
                                        ResourceDir.pointBytes(
                                                request.superblock()
                                                        .get()
                                                        .toAbsolutePath()
                                                        .getParent(),
                                                copy.space().sizeBytes(),
                                                moment.ancestry()));
        write(base, segments, moment.index(), space, volume, List.of());
        return new Extract.Reply(
                request.to().toString(),
                volume,
                space.volumes(),
                moment.position().toString(),
                moment.labelMillis() == 0
                        ? Optional.empty()
                        : Optional.of(Instant.ofEpochMilli(moment.labelMillis())),
                space.volumeBytes(volume),
                moment.end() - copy.watermark(),
                moment.damage());
    }

    /// @param end journal offset behind its last record
    /// @param damage what ends the journal behind it, or empty
    private record Moment(
            JournalIndex index,
            Position position,
            Ancestry ancestry,
            long labelMillis,
            long end,
            String damage) {}

    private Moment moment(Segments segments, Copy copy) throws IOException {
        Finder all = new Finder(copy, Long.MAX_VALUE, Long.MAX_VALUE);
        JournalScan.End end = scan(segments, copy, all);
        String damage = end.damage() == null ? "" : end.damage();
        requireKnown(segments, copy, all, end);
        if (request.at().isEmpty()) {
            return whole(segments, copy, all, damage);
        }
        Finder asked = asked(request.at().get(), copy, all);
        scan(segments, copy, asked);
        if (asked.end < copy.rollingTo()
                || asked.position.isNone()
                || asked.until < copy.superblock().labelMillis()) {
            throw new IOException(
                    "the moment is older than what the base holds, which is of %s"
                            .formatted(Instant.ofEpochMilli(copy.superblock().labelMillis())));
        }
        return whole(segments, copy, asked, asked.end == all.end ? damage : "");
    }

    /// Whether base and journal up to there are the image of a moment.
    private void requireKnown(Segments segments, Copy copy, Finder all, JournalScan.End end)
            throws IOException {
        if (copy.isLost() && end.damage() != null) {
            throw wantsSuperblock("%s is damaged, %s".formatted(request.journal(), end.damage()));
        }
        if (copy.isLost() && reader(segments, copy).isBegun(end.end(), end.lastIncarnation())) {
            throw wantsSuperblock(
                    "the record at offset %d of %s is not whole, and the last: it was torn by a power cut, or was damaged since"
                            .formatted(end.end(), request.journal()));
        }
        if (end.end() < copy.rollingTo()) {
            throw new IOException(
                    "%s: it ends at offset %d, and the base was rolled on to %d: the two are the image of no moment"
                            .formatted(request.journal(), end.end(), copy.rollingTo()));
        }
        if (copy.doubt() != null && (end.damage() != null || request.at().isPresent())) {
            throw new IOException(
                    "the superblock may be the one before the last, %s: %s"
                            .formatted(
                                    copy.doubt(),
                                    end.damage() == null
                                            ? "the base may hold more than it says, and only the newest moment can be told"
                                            : "and the journal is damaged, %s: the two may be the image of no moment"
                                                    .formatted(end.damage())));
        }
        if (!all.hasPoint && copy.isLost()) {
            throw wantsSuperblock(
                    "%s holds no commit: it may be that the first sync has not ended"
                            .formatted(request.journal()));
        }
        if (!all.hasPoint) {
            throw new IOException("there is no copy yet: its first sync has not ended");
        }
    }

    private JournalScan reader(Segments segments, Copy copy) {
        return new JournalScan(copy.resource(), segments.segmentBytes(), segments::read);
    }

    private JournalScan.End scan(Segments segments, Copy copy, Finder finder) throws IOException {
        return BridgedScan.run(
                reader(segments, copy),
                JournalScan.Indexes.NONE,
                copy.watermark(),
                copy.isLost() ? 0 : copy.superblock().movedBy(),
                segments.notes(copy.resource()),
                segments.end(),
                finder);
    }

    /// The moment with all that its image needs. What was read has been looked at; what a bridge
    /// names has not.
    private Moment whole(Segments segments, Copy copy, Finder finder, String damage)
            throws IOException {
        JournalIndex index = SegmentIndex.image(finder.builder.parts());
        index.dropBelow(copy.watermark());
        if (finder.overBridge >= 0) {
            JournalScan scan = reader(segments, copy);
            long looked = -1;
            for (JournalIndex.Run run : index.all()) {
                if (!run.isZero() && run.recordAddress() != looked) {
                    looked = run.recordAddress();
                    if (!scan.isWhole(looked)) {
                        throw new IOException(
                                "%s: the record at offset %d is damaged, and so is every moment from where the journal was mended on. --at takes those in front of offset %d"
                                        .formatted(request.journal(), looked, finder.overBridge));
                    }
                }
            }
        }
        return new Moment(
                index, finder.position, finder.ancestry, finder.label, finder.end, damage);
    }

    /// A record that lies behind the device is of another copy, or of a larger one.
    private void requireInside(Copy copy, JournalIndex index) throws IOException {
        long size = copy.space().sizeBytes();
        long end = Math.ceilDiv(size, BlockSet.BLOCK_BYTES) * BlockSet.BLOCK_BYTES;
        for (JournalIndex.Run run : index.all()) {
            if (run.endBytes() > end) {
                String what =
                        "%s has data for byte %d of the copy, which ends at %d"
                                .formatted(request.journal(), run.endBytes() - 1, size);
                throw copy.isLost()
                        ? wantsSuperblock(
                                what + ": it has several volumes, or they are larger than --sizes")
                        : new IOException(what + ": the superblock is of before it became larger");
            }
        }
    }

    private static Finder asked(String at, Copy copy, Finder all) throws IOException {
        if (!Pins.isName(at)) {
            return new Finder(copy, labelOf(at, all.label), Long.MAX_VALUE);
        }
        Long markEnd = all.marks.get(at);
        if (markEnd == null) {
            throw new IOException(
                    "the journal has no mark of the name %s; a kept moment wants its directory as well, NAME.pins beside the journal"
                            .formatted(at));
        }
        return new Finder(copy, Long.MAX_VALUE, markEnd);
    }

    private static long labelOf(String at, long newest) {
        return switch (AskedPoint.parse(at, ZoneId.systemDefault(), Instant.now())) {
            case AskedPoint.Newest _ -> Long.MAX_VALUE;
            case AskedPoint.Named _ -> throw new IllegalStateException("a name has no time");
            case AskedPoint.At(Instant time) -> time.toEpochMilli();
            case AskedPoint.Before(java.time.Duration before) -> newest - before.toMillis();
        };
    }

    /// Takes records in up to the last moment with a label not after the one asked for, and in
    /// front of an address.
    private static final class Finder implements BridgedScan.Visitor {
        private final SegmentIndex.Builder builder = new SegmentIndex.Builder(Long.MAX_VALUE);
        private final long until;
        private final long untilAddress;
        private long label;
        private Position position;
        private Ancestry ancestry;
        private long end;
        private boolean hasPoint;
        private boolean over;

        /// Where the journal is damaged in front of the moment; -1 for nowhere.
        private long overBridge = -1;

        /// Behind the record of each, by its name; of two the later one.
        private final Map<String, Long> marks = new HashMap<>();

        private Finder(Copy copy, long until, long untilAddress) {
            this.until = until;
            this.untilAddress = untilAddress;
            this.end = copy.watermark();
            if (copy.isLost()) {
                position = Position.NONE;
                ancestry = Ancestry.EMPTY;
                // A journal that has let go of its beginning has been rolled into the base, which
                // begins when there is a point.
                hasPoint = copy.watermark() > 0;
            } else {
                label = copy.superblock().labelMillis();
                position = copy.superblock().position();
                ancestry = copy.superblock().ancestry();
                hasPoint = copy.superblock().everCommitted();
            }
        }

        @Override
        public void record(JournalRecord record, ByteBuffer data) {
            boolean moves = !record.position().isNone();
            over |=
                    moves && Math.max(label, record.primaryMillis()) > until
                            || record.address() >= untilAddress;
            if (over) {
                return;
            }
            builder.record(record, data);
            switch (record.kind()) {
                case MARK -> marks.put(Marks.decode(data), record.address() + record.totalBytes());
                case EPOCH_COMMIT -> committed(data);
                case WRITE, ZERO, EPOCH_BEGIN, EPOCH_BLOCKS, EPOCH_ZERO, PAD -> {}
            }
            if (moves) {
                label = Math.max(label, record.primaryMillis());
                position = record.position();
                end = record.address() + record.totalBytes();
            }
        }

        /// A bridge: one moment.
        @Override
        public void segment(SegmentIndex whole) {
            SegmentIndex.Part commit = whole.parts().getLast();
            over |=
                    Math.max(label, commit.primaryMillis()) > until
                            || whole.address() >= untilAddress;
            if (over) {
                return;
            }
            builder.segment(whole);
            committed(commit.data());
            label = Math.max(label, commit.primaryMillis());
            position = commit.position();
            end = commit.endAddress();
            overBridge = whole.address();
        }

        private void committed(ByteBuffer past) {
            ancestry = AncestryCodec.decode(past.duplicate());
            hasPoint = true;
        }

        @Override
        public void passed(SegmentIndex note) {}

        /// Reading comes there, and ends.
        @Override
        public void unmended(long address) {}

        @Override
        public void bridged(SegmentIndex bridge, long readTo) {}
    }

    // ---- a kept moment -----------------------------------------------------------------------

    /// What is kept goes before what was marked; without the pins only that can be found.
    private boolean isKept(String name) throws IOException {
        return request.pins().isPresent()
                && PinStore.list(request.pins().get()).entries().stream()
                        .anyMatch(each -> each.pin().name().equals(name));
    }

    /// One that is kept under a name: the journal's up to it where the base is in front of it; else
    /// what was saved since lies over the base.
    private Extract.Reply runKept(
            Copy copy, int volume, Segments segments, FileBlockDevice base, String name)
            throws IOException {
        PinList list = PinStore.list(request.pins().get());
        if (!list.resource().equals(copy.resource())) {
            throw new IOException(
                    "%s is of resource %s, the copy of %s"
                            .formatted(request.pins().get(), list.resource(), copy.resource()));
        }
        int at = 0;
        while (!list.entries().get(at).pin().name().equals(name)) {
            at++;
        }
        Pins.Pin pin = list.entries().get(at).pin();
        if (pin.damaged()) {
            throw new IOException("what is kept under the name " + name + " is damaged");
        }
        JournalIndex index = indexUpTo(pin.moment().address(), copy, segments);
        AddressSpace space = copy.space().upTo(pin.sizeBytes());
        List<DeltaFile> files = new ArrayList<>();
        try {
            for (PinList.Entry each : list.entries().subList(at, list.entries().size())) {
                if (!each.delta().isEmpty()) {
                    long id = each.pin().id();
                    DeltaFile file =
                            DeltaFile.openReadOnly(
                                    PinStore.delta(request.pins().get(), id),
                                    list.resource(),
                                    id,
                                    each.delta());
                    files.addFirst(file);
                }
            }
            write(
                    base,
                    segments,
                    index,
                    space,
                    volume,
                    files.stream().map(DeltaFile::log).toList());
        } finally {
            files.forEach(DeltaFile::close);
        }
        return new Extract.Reply(
                request.to().toString(),
                volume,
                space.volumes(),
                pin.moment().position().toString(),
                Optional.of(Instant.ofEpochMilli(pin.moment().labelMillis())),
                space.volumeBytes(volume),
                0,
                "");
    }

    /// What lies between the base and a kept moment.
    private JournalIndex indexUpTo(long address, Copy copy, Segments segments) throws IOException {
        if (address <= copy.watermark()) {
            return new JournalIndex();
        }
        if (copy.superblock().mixture() || address < copy.rollingTo()) {
            throw new IOException(
                    "the base may hold more than the moment: it was being rolled on to offset %d"
                            .formatted(copy.rollingTo()));
        }
        Finder upTo = new Finder(copy, Long.MAX_VALUE, address);
        scan(segments, copy, upTo);
        if (upTo.end != address) {
            throw new IOException(
                    "%s: it does not reach offset %d".formatted(request.journal(), address));
        }
        return whole(segments, copy, upTo, "").index();
    }

    // ---- the image ---------------------------------------------------------------------------

    private interface Content {
        void read(long address, ByteBuffer into) throws IOException;
    }

    /// A file that was there already is not ours, and stays.
    ///
    /// @param deltas in the order in which they are laid over the base
    private void write(
            FileBlockDevice base,
            Segments segments,
            JournalIndex index,
            AddressSpace space,
            int volume,
            List<DeltaLog> deltas)
            throws IOException {
        long size = space.volumeBytes(volume);
        if (base.sizeBytes() < size) {
            throw new IOException(
                    "%s has %d bytes, volume %d of the copy has %d"
                            .formatted(request.base(), base.sizeBytes(), volume, size));
        }
        // Under its name it is whole: an end in between leaves a part that is called one.
        if (Files.exists(request.to(), LinkOption.NOFOLLOW_LINKS)) {
            throw new IOException(request.to() + " is there already, and stays as it is");
        }
        Path part = request.to().resolveSibling(request.to().getFileName() + ".part");
        if (Files.exists(part, LinkOption.NOFOLLOW_LINKS)) {
            throw new IOException(
                    "%s is there: one that was cut off may have left it. Next: see whether another one is writing it, else delete it"
                            .formatted(part));
        }
        FileBlockDevice to = FileBlockDevice.create(part, size);
        try (to) {
            copy(base, to);
            for (DeltaLog each : deltas) {
                overlay(each::read, each.index(), space, volume, to);
            }
            overlay(segments::read, index, space, volume, to);
            to.sync();
            requireStill();
            AtomicFile.rename(part, request.to());
        } catch (IOException | RuntimeException e) {
            Files.deleteIfExists(part);
            throw e;
        }
    }

    private void copy(FileBlockDevice base, FileBlockDevice to) throws DeviceException {
        ByteBuffer buffer = ByteBuffer.allocateDirect(COPY_BYTES);
        long size = to.sizeBytes();
        for (long at = base.nextData(0); at < size; ) {
            int part = (int) Math.min(COPY_BYTES, size - at);
            buffer.clear().limit(part);
            base.read(at, buffer);
            to.write(at, buffer.flip());
            progress.at(at + part, size);
            at = base.nextData(at + part);
        }
        progress.at(size, size);
    }

    /// What of it lies in this volume. The last block of a device may end behind it.
    private static void overlay(
            Content content, JournalIndex index, AddressSpace space, int volume, FileBlockDevice to)
            throws IOException {
        ByteBuffer buffer = ByteBuffer.allocateDirect(COPY_BYTES);
        for (JournalIndex.Run run : index.all()) {
            long end = Math.min(run.endBytes(), space.sizeBytes());
            for (long at = run.offsetBytes(); at < end; ) {
                Place place = space.at(at);
                long length = Math.min(end - at, place.leftBytes());
                if (place.volume() == volume && run.isZero()) {
                    to.zero(place.offsetBytes(), length, true);
                } else if (place.volume() == volume) {
                    length = Math.min(length, COPY_BYTES);
                    buffer.clear().limit((int) length);
                    content.read(run.dataAddress() + at - run.offsetBytes(), buffer);
                    to.write(place.offsetBytes(), buffer.flip());
                }
                at += length;
            }
        }
    }
}
