package holdfast.replicator.state;

import holdfast.replicator.device.FileBlockDevice;
import holdfast.replicator.device.JournalFiles;
import holdfast.replicator.journal.JournalIndex;
import holdfast.replicator.journal.JournalScan;
import holdfast.replicator.journal.SegmentIndex;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.PeerClock;
import holdfast.tunnel.wire.Position;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.UUID;

/// A [Backup] over a real journal and base, one step at a time: what is appended is durable at
/// once, unless told otherwise, and nothing is rolled unless told.
final class CopyOnFiles implements BackupEffects, AutoCloseable {
    static final int BLOCK = BlockSet.BLOCK_BYTES;
    static final int BLOCKS = 64;
    static final long SEGMENT = 256 << 10;
    static final long JOURNAL = 8 * SEGMENT;
    private static final int SECTOR = 512;
    private static final UUID ID = new UUID(3, 4);
    private static final long SESSION = 9;
    private static final long GENERATION = 1;
    static final Ancestry ANCESTRY =
            Ancestry.EMPTY.plus(
                    new Ancestry.Entry(GENERATION, Position.NONE, Ancestry.Reason.CREATE, ID, 0));

    final Path journalDirectory;
    final List<Frame> sent = new ArrayList<>();
    final List<String> events = new ArrayList<>();
    Backup backup;
    String damage;
    int rollerWoken;

    /// Of the primary's device.
    long deviceBlocks = BLOCKS;

    /// The backup's own clock.
    long clockMillis = 5;

    /// What the primary's clock shows, 0 while that is not known.
    long peerMillis;

    /// The primary's, when an epoch is committed.
    long epochMillis = 5;

    /// What packed segments take, by where they begin.
    Map<Long, Long> packedAtStart = Map.of();

    /// What is appended is not durable for the time being.
    boolean syncsLater;

    /// Why the list of what is kept cannot be written; null: it can.
    String pinsTrouble;

    /// What it says; a start does not find it by itself.
    List<Pins.Pin> keptPins = List.of();

    /// Why no damage can be noted; null: it can.
    String noteTrouble;

    /// What a start goes by instead of reading whole segments.
    JournalScan.Indexes indexes = JournalScan.Indexes.NONE;

    /// What the superblock holds.
    Backup.Base durable = new Backup.Base(0, Position.NONE, false, Ancestry.EMPTY);

    private final FileBlockDevice base;
    private JournalFiles journal;
    private long incarnation;
    private long epoch;
    private long lastAddress;

    CopyOnFiles(Path directory) throws Exception {
        journalDirectory = directory.resolve("journal");
        base = FileBlockDevice.create(directory.resolve("base"), (long) BLOCKS * BLOCK);
        JournalFiles.create(journalDirectory, SEGMENT, JOURNAL);
        open();
    }

    /// As after a crash: whatever is not in the files is forgotten. What is damaged is given up.
    void open() throws Exception {
        openAsItIs();
        cut();
    }

    /// The same, and a damaged journal stays as it is.
    void openAsItIs() throws Exception {
        if (journal != null) {
            journal.close();
        }
        journal = JournalFiles.open(journalDirectory, SEGMENT, JOURNAL, durable.watermark());
        backup =
                new Backup(
                        new Backup.Config(ID, base.sizeBytes(), JOURNAL, SEGMENT, SEGMENT, true),
                        durable,
                        ++incarnation,
                        this);
        sent.clear();
        packedAtStart.forEach(backup::packed);
        List<SegmentIndex> damages = new ArrayList<>();
        for (long address : journal.damages()) {
            damages.add(SegmentIndex.decode(journal.damage(address), ID, address));
        }
        damage = backup.recover(journal::readDamaged, indexes, damages, journal.endOffset());
    }

    /// The journal goes on where it is damaged, if it is.
    void cut() throws IOException {
        if (backup.isToBeCut()) {
            journal.cut(backup.end());
            backup.cut();
        }
    }

    /// As an operator who raises `journal.size`.
    void growJournal(long bytes) throws IOException {
        journal.grow(bytes);
        backup.growJournal(bytes);
    }

    /// A session, on which the primary goes on from what the copy says it has.
    void connect(Position from) {
        backup.sessionUp(primary());
        backup.on(new Frame.StreamStart(ID, SESSION, 1, from));
    }

    /// The primary's buffer is closed: it leaves out what it writes behind that number.
    void leavesOutBehind(long number) {
        backup.on(new Frame.Behind(ID, SESSION, at(number)));
    }

    /// What the primary says of itself.
    Frame.ResourceHello primary() {
        return new Frame.ResourceHello(
                ID,
                Role.PRIMARY.ordinal() + 1,
                DiskState.UP_TO_DATE.ordinal(),
                deviceBlocks * BLOCK,
                at(1000),
                at(1000),
                0,
                true,
                0,
                false,
                0,
                ANCESTRY);
    }

    /// One epoch in which each of these blocks is filled with `with`.
    void commit(long number, int with, int... blocks) {
        stage(with, blocks);
        commitStaged(number, with, blocks);
    }

    /// The same without its commit.
    void stage(int with, int... blocks) {
        on(new Frame.EpochBegin(++epoch, blocks.length, 0));
        for (int block : blocks) {
            on(new Frame.EpochBlocks(0, epoch, (long) block * BLOCK, filled(with)));
        }
    }

    /// And its commit.
    void commitStaged(long number, int with, int... blocks) {
        EpochDigest digest = new EpochDigest();
        for (int block : blocks) {
            digest.blocks((long) block * BLOCK, filled(with));
        }
        on(
                new Frame.EpochCommit(
                        epoch, at(number), epochMillis, blocks.length, digest.finish(), ANCESTRY));
    }

    /// What a whole segment holds.
    SegmentIndex indexOf(long segment) throws IOException {
        SegmentIndex.Builder builder =
                new SegmentIndex.Builder(SEGMENT / Backup.MOMENTS_IN_SEGMENT);
        JournalScan.End end =
                new JournalScan(ID, SEGMENT, journal::read)
                        .run(segment, segment + SEGMENT, 0, JournalScan.Indexes.NONE, builder);
        return builder.finish(ID, segment, end.lastIncarnation());
    }

    /// Fills one block.
    ///
    /// @return where the record begins
    long write(long number, int block, int with) {
        return write(number, block, with, 5);
    }

    /// @param wallMillis of the primary
    long write(long number, int block, int with, long wallMillis) {
        on(new Frame.Write(0, at(number), wallMillis, (long) block * BLOCK, filled(with)));
        return lastAddress;
    }

    /// Where the newest record begins.
    long lastAddress() {
        return lastAddress;
    }

    void on(Frame.Data frame) {
        backup.on(frame, 1, now());
    }

    /// The monotonic clock goes on as this host's on the wall.
    Now now() {
        return new Now(
                clockMillis * 1_000_000,
                clockMillis,
                peerMillis == 0 ? null : new PeerClock.Reading(peerMillis, peerMillis));
    }

    /// Monotonic clock and wall agree, and nothing is known of the peer's.
    static Now now(long millis) {
        return new Now(millis * 1_000_000, millis, null);
    }

    static Position at(long number) {
        return new Position(GENERATION, number);
    }

    private static ByteBuffer filled(int with) {
        byte[] bytes = new byte[BLOCK];
        Arrays.fill(bytes, (byte) with);
        return ByteBuffer.wrap(bytes);
    }

    /// Rolls forward for as long as something is due; what an operator orders is not.
    void rollWhatIsDue() throws Exception {
        for (Backup.Roll roll = backup.startRoll(false);
                roll != null;
                roll = backup.startRoll(false)) {
            roll(roll, Integer.MAX_VALUE);
        }
    }

    /// Carries out a roll-forward up to `runs` runs; all of it when there are no more.
    void roll(int runs) throws Exception {
        roll(backup.startRoll(true), runs);
    }

    /// Rolls everything forward that can be, and looks at what is damaged on the way.
    void rollAndLook() throws Exception {
        for (int rounds = 0; ; rounds++) {
            if (rounds > 100) {
                throw new AssertionError("it rolls and looks without end");
            }
            look();
            Backup.Roll roll = backup.startRoll(true);
            if (roll == null) {
                return;
            }
            long begin = roll.over() == null ? roll.from() : roll.over().address();
            long whole = begin < roll.to() ? wholeUpTo(begin, roll.to()) : roll.to();
            if (roll.over() != null) {
                for (long bad : unreadable(roll.over().index())) {
                    whole = Math.min(whole, bad);
                }
            }
            if (whole < roll.to()) {
                backup.rollMeetsDamage(whole);
            } else {
                roll(roll, Integer.MAX_VALUE);
            }
        }
    }

    /// Looks at the newest moment, as long as that is due.
    void look() throws IOException {
        for (JournalIndex doubted = backup.startCheck();
                doubted != null;
                doubted = backup.startCheck()) {
            backup.checked(unreadable(doubted));
        }
    }

    private long wholeUpTo(long from, long to) throws IOException {
        return new JournalScan(ID, SEGMENT, journal::read)
                .run(from, to, 0, JournalScan.Indexes.NONE, (_, _) -> {})
                .end();
    }

    private SortedSet<Long> unreadable(JournalIndex index) throws IOException {
        JournalScan scan = new JournalScan(ID, SEGMENT, journal::read);
        SortedSet<Long> bad = new TreeSet<>();
        for (JournalIndex.Run run : index.all()) {
            if (!run.isZero() && !scan.isWhole(run.recordAddress())) {
                bad.add(run.recordAddress());
            }
        }
        return bad;
    }

    void roll(Backup.Roll roll, int runs) throws Exception {
        durable = roll.begun();
        int done = 0;
        for (JournalIndex.Run run : image(roll.from(), roll.to(), roll.over()).all()) {
            if (done++ == runs) {
                return;
            }
            if (run.isZero()) {
                base.zero(run.offsetBytes(), run.lengthBytes(), run.punch());
                continue;
            }
            ByteBuffer data = ByteBuffer.allocate((int) run.lengthBytes());
            journal.read(run.dataAddress(), data);
            base.write(run.offsetBytes(), data.flip());
        }
        base.sync();
        durable = roll.reached();
        backup.rolled(roll);
    }

    /// Turns a bit of the journal over.
    void damage(long address) throws IOException {
        Path segment = journalDirectory.resolve("%016x".formatted(address / SEGMENT));
        try (FileChannel file =
                FileChannel.open(segment, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            ByteBuffer one = ByteBuffer.allocate(1);
            file.read(one, address % SEGMENT);
            one.put(0, (byte) (one.get(0) ^ 1));
            file.write(one.flip(), address % SEGMENT);
        }
    }

    private JournalIndex image(long from, long to, Backup.Bridge over) throws IOException {
        SegmentIndex.Builder builder = new SegmentIndex.Builder(SEGMENT);
        long begin = over == null ? from : over.address();
        if (begin < to) {
            new JournalScan(ID, SEGMENT, journal::read)
                    .run(begin, to, 0, JournalScan.Indexes.NONE, builder);
        }
        JournalIndex image = over == null ? new JournalIndex() : over.index().copy();
        image.putAll(SegmentIndex.image(builder.parts()));
        return image;
    }

    byte journalByte(long address) throws IOException {
        ByteBuffer one = ByteBuffer.allocate(1);
        journal.read(address, one);
        return one.get(0);
    }

    /// The first byte of a block as a view shows it.
    int seen(Backup.View view, int block) throws IOException {
        long to = view.moment().address();
        JournalIndex.Run run =
                image(view.watermark(), to, backup.bridge(view.watermark(), to))
                        .at((long) block * BLOCK);
        ByteBuffer one = ByteBuffer.allocate(1);
        if (run == null || run.offsetBytes() > (long) block * BLOCK) {
            base.read((long) block * BLOCK, one);
        } else if (!run.isZero()) {
            journal.read(run.dataAddress(), one);
        }
        return one.get(0);
    }

    Frame.ResourceHello lastHello() {
        return sent.stream()
                .filter(each -> each instanceof Frame.ResourceHello)
                .map(each -> (Frame.ResourceHello) each)
                .reduce((_, last) -> last)
                .orElse(null);
    }

    @Override
    public void append(long address, ByteBuffer header, ByteBuffer data) {
        lastAddress = address;
        try {
            remember(address, 128 + (data == null ? 0 : data.remaining()));
            journal.write(address, header);
            long end = address + 128;
            if (data != null) {
                journal.write(end, data);
                end = (end + data.limit() + 7) & ~7L;
            }
            journal.sync();
            appended = end;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private long appended;
    private long settled;

    /// What each sector held that was written since the last [#settle], by where it begins.
    private final TreeMap<Long, byte[]> before = new TreeMap<>();

    private void remember(long address, long bytes) throws IOException {
        // Makes the segment, if need be of one that was used before: what is in it is old records.
        journal.write(address, ByteBuffer.allocate(0));
        for (long at = address / SECTOR * SECTOR; at < address + bytes; at += SECTOR) {
            if (!before.containsKey(at)) {
                ByteBuffer sector = ByteBuffer.allocate(SECTOR);
                journal.read(at, sector);
                before.put(at, sector.array());
            }
        }
    }

    /// What was appended is durable.
    void settle() {
        backup.durable(appended);
        settled = appended;
        before.clear();
    }

    /// The power is cut: of what was appended since [#settle] sectors are, in whichever order, what
    /// they were before.
    void powerCut(Random random) throws IOException {
        int fate = random.nextInt(5);
        for (Map.Entry<Long, byte[]> each : before.entrySet()) {
            if (fate == 0 || fate > 1 && random.nextInt(1 << fate) == 0) {
                Path segment = journalDirectory.resolve("%016x".formatted(each.getKey() / SEGMENT));
                try (FileChannel file = FileChannel.open(segment, StandardOpenOption.WRITE)) {
                    file.write(ByteBuffer.wrap(each.getValue()), each.getKey() % SEGMENT);
                }
            }
        }
        before.clear();
        appended = settled;
    }

    @Override
    public void grant(long bytes) {
        if (!syncsLater) {
            settle();
        }
    }

    @Override
    public void send(Frame.OfResource frame) {
        sent.add(frame);
    }

    @Override
    public void free(long beforeAddress) {
        try {
            journal.free(beforeAddress);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public void checked(ClockCheck check) {
        durable = durable.checked(check);
    }

    @Override
    public void event(String kind, String text) {
        events.add(kind + " " + text);
    }

    @Override
    public boolean writeBase(
            long session,
            long sequence,
            long offsetBytes,
            long lengthBytes,
            ByteBuffer data,
            long tracked) {
        throw new AssertionError("no first sync here");
    }

    @Override
    public String damaged(SegmentIndex note) {
        if (noteTrouble != null) {
            return noteTrouble;
        }
        try {
            journal.damage(note.address(), note.encode());
            return null;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public void damagePassed(long from, long before) {
        try {
            journal.dropDamages(from, before);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public String pins(List<Pins.Pin> pins, long lastId) {
        keptPins = pinsTrouble == null ? pins : keptPins;
        return pinsTrouble;
    }

    @Override
    public void wakeDigester() {} // A test that wants one asks for it.

    @Override
    public boolean readCommitted(long offsetBytes, ByteBuffer into) {
        throw new AssertionError("nobody verifies");
    }

    @Override
    public void wakeRoller() {
        rollerWoken++;
    }

    @Override
    public void close() {
        journal.close();
        base.close();
    }
}
