package holdfast.replicator.journal;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;

/// Where the newest content of each byte range lies that the journal holds above the base. Runs
/// never overlap; a newer record cuts what it covers out of older runs.
///
/// A journal of 10 GiB may have millions of runs, so they are not objects: chunks of up to
/// [#CHUNK_RUNS] lie in device order, each four arrays, 32 bytes a run and 48 where chunks are as
/// empty as they become. A copy shares them until one of the two changes something there.
///
/// One caller at a time, but for reading what nobody changes any more.
public final class JournalIndex {
    /// A run of device bytes.
    ///
    /// @param lengthBytes 1 or more
    /// @param dataAddress journal offset of the first byte; [#ZEROES] when the run reads zero
    /// @param recordAddress journal offset of the record it came with, a multiple of 8
    public record Run(
            long offsetBytes,
            long lengthBytes,
            long dataAddress,
            long recordAddress,
            boolean punch) {
        public static final long ZEROES = -1;

        public long endBytes() {
            return offsetBytes + lengthBytes;
        }

        public boolean isZero() {
            return dataAddress == ZEROES;
        }

        /// The part of this run from `from` to `to`.
        Run part(long from, long to) {
            long data = isZero() ? ZEROES : dataAddress + (from - offsetBytes);
            return new Run(from, to - from, data, recordAddress, punch);
        }
    }

    private static final int CHUNK_RUNS = 128;

    private static final class Chunk {
        /// Of the index that may change it.
        private Object owner;

        private int count;
        private final long[] offset;
        private final long[] length;
        private final long[] data;

        /// Address of the record; records begin at multiples of 8, so bit 0 is free for punch.
        private final long[] record;

        private Chunk(Object owner) {
            this.owner = owner;
            offset = new long[CHUNK_RUNS];
            length = new long[CHUNK_RUNS];
            data = new long[CHUNK_RUNS];
            record = new long[CHUNK_RUNS];
        }

        private Chunk(Object owner, Chunk of, int from, int to) {
            this(owner);
            count = to - from;
            System.arraycopy(of.offset, from, offset, 0, count);
            System.arraycopy(of.length, from, length, 0, count);
            System.arraycopy(of.data, from, data, 0, count);
            System.arraycopy(of.record, from, record, 0, count);
        }

        private long end(int i) {
            return offset[i] + length[i];
        }

        private Run run(int i) {
            return new Run(offset[i], length[i], data[i], record[i] & ~1L, (record[i] & 1) != 0);
        }

        private void set(int i, Run run) {
            offset[i] = run.offsetBytes();
            length[i] = run.lengthBytes();
            data[i] = run.dataAddress();
            record[i] = run.recordAddress() | (run.punch() ? 1 : 0);
        }

        /// What stood from `from` on stands from `to` on.
        private void move(int from, int to) {
            System.arraycopy(offset, from, offset, to, count - from);
            System.arraycopy(length, from, length, to, count - from);
            System.arraycopy(data, from, data, to, count - from);
            System.arraycopy(record, from, record, to, count - from);
            count += to - from;
        }

        /// The last run that begins at or before this, -1 if there is none.
        private int floor(long at) {
            int found = Arrays.binarySearch(offset, 0, count, at);
            return found >= 0 ? found : -found - 2;
        }
    }

    private ArrayList<Chunk> chunks;
    private Object owner = new Object();
    private int size;

    public JournalIndex() {
        this(new ArrayList<>(), 0);
    }

    private JournalIndex(ArrayList<Chunk> chunks, int size) {
        this.chunks = chunks;
        this.size = size;
    }

    /// The same runs, independent of what comes later.
    public JournalIndex copy() {
        owner = new Object(); // What there is belongs to neither of them from now on.
        return new JournalIndex(new ArrayList<>(chunks), size);
    }

    /// All of these in one, of which a later one is newer than those before.
    public static JournalIndex merged(List<JournalIndex> oldestFirst) {
        List<JournalIndex> left = oldestFirst;
        while (left.size() > 1) {
            List<JournalIndex> halved = new ArrayList<>();
            for (int i = 0; i + 1 < left.size(); i += 2) {
                halved.add(over(left.get(i), left.get(i + 1)));
            }
            if (left.size() % 2 == 1) {
                halved.add(left.getLast());
            }
            left = halved;
        }
        return left.isEmpty() ? new JournalIndex() : left.getFirst().copy();
    }

    /// Both in one. It may be one of the two.
    static JournalIndex over(JournalIndex older, JournalIndex newer) {
        if (older.size == 0 || newer.size == 0) {
            return older.size == 0 ? newer : older;
        }
        JournalIndex both = new JournalIndex();
        Cursor old = new Cursor(older);
        for (Cursor run = new Cursor(newer); run.isThere; run.next()) {
            while (old.isThere && old.offset < run.offset) {
                if (old.end() <= run.offset) {
                    both.append(old.offset, old.length, old.data, old.record);
                    old.next();
                } else {
                    both.append(old.offset, run.offset - old.offset, old.data, old.record);
                    old.cutTo(run.offset);
                }
            }
            while (old.isThere && old.offset < run.end()) {
                if (old.end() <= run.end()) {
                    old.next();
                } else {
                    old.cutTo(run.end());
                }
            }
            both.append(run.offset, run.length, run.data, run.record);
        }
        for (; old.isThere; old.next()) {
            both.append(old.offset, old.length, old.data, old.record);
        }
        return both;
    }

    /// Walks along the runs without making objects of them: millions are merged when a moment is
    /// opened.
    private static final class Cursor {
        private final List<Chunk> chunks;
        private int chunk;
        private int place;
        private boolean isThere;
        private long offset;
        private long length;
        private long data;
        private long record;

        private Cursor(JournalIndex of) {
            chunks = of.chunks;
            load();
        }

        private void next() {
            if (++place == chunks.get(chunk).count) {
                place = 0;
                chunk++;
            }
            load();
        }

        private void load() {
            isThere = chunk < chunks.size();
            if (isThere) {
                Chunk now = chunks.get(chunk);
                offset = now.offset[place];
                length = now.length[place];
                data = now.data[place];
                record = now.record[place];
            }
        }

        private long end() {
            return offset + length;
        }

        /// Only the rest of it from there on.
        private void cutTo(long at) {
            length -= at - offset;
            data = data == Run.ZEROES ? Run.ZEROES : data + (at - offset);
            offset = at;
        }
    }

    /// Takes in a record that is newer than all before.
    public void put(Run run) {
        long from = run.offsetBytes();
        long to = run.endBytes();
        int c = chunkAt(from);
        int i = c < chunks.size() ? chunks.get(c).floor(from) : -1;
        if (i >= 0 && chunks.get(c).end(i) > from) {
            Run old = chunks.get(c).run(i);
            if (old.offsetBytes() < from) {
                own(c).length[i] = from - old.offsetBytes();
                if (old.endBytes() > to) {
                    insert(c, i + 1, old.part(to, old.endBytes()));
                    // The chunk may have been cut in two before the place.
                    c = chunkAt(from);
                    insert(c, chunks.get(c).floor(from) + 1, run);
                    return;
                }
                i++;
            }
        } else {
            i++;
        }
        remove(c, i, to);
        insert(c, i, run);
    }

    /// Takes out what begins from this place on and before `to`; of the last of it, what lies
    /// behind `to` stays.
    private void remove(int c, int i, long to) {
        int at = c;
        int from = i;
        while (at < chunks.size()) {
            Chunk chunk = chunks.get(at);
            int end = chunk.floor(to - 1) + 1;
            if (end <= from && from < chunk.count) {
                return;
            }
            if (end > from) {
                chunk = own(at);
                if (chunk.end(end - 1) > to) {
                    end--;
                    chunk.set(end, chunk.run(end).part(to, chunk.end(end)));
                }
                size -= end - from;
                chunk.move(end, from);
                if (from < chunk.count) {
                    return;
                }
            }
            if (chunk.count == 0 && at > c) {
                chunks.remove(at);
            } else {
                at++;
            }
            from = 0;
        }
    }

    private void insert(int c, int i, Run run) {
        size++;
        if (c == chunks.size()) {
            chunks.add(new Chunk(owner));
        }
        Chunk chunk = own(c);
        int place = i;
        if (chunk.count == CHUNK_RUNS) {
            boolean appends = c == chunks.size() - 1 && place == CHUNK_RUNS;
            int half = appends ? CHUNK_RUNS : CHUNK_RUNS / 2;
            Chunk behind = new Chunk(owner, chunk, half, CHUNK_RUNS);
            chunks.add(c + 1, behind);
            chunk.count = half;
            if (place >= half) {
                chunk = behind;
                place -= half;
            }
        }
        if (place < chunk.count) {
            chunk.move(place, place + 1);
        } else {
            chunk.count++;
        }
        chunk.set(place, run);
    }

    /// Behind all there are.
    void append(Run run) {
        append(
                run.offsetBytes(),
                run.lengthBytes(),
                run.dataAddress(),
                run.recordAddress() | (run.punch() ? 1 : 0));
    }

    /// The same.
    ///
    /// @param record with punch in bit 0
    void append(long offset, long length, long data, long record) {
        Chunk last = chunks.isEmpty() ? null : own(chunks.size() - 1);
        if (last == null || last.count == CHUNK_RUNS) {
            last = new Chunk(owner);
            chunks.add(last);
        }
        int place = last.count++;
        last.offset[place] = offset;
        last.length[place] = length;
        last.data[place] = data;
        last.record[place] = record;
        size++;
    }

    /// The last chunk that begins at or before this offset, else the first.
    private int chunkAt(long offset) {
        int low = 0;
        int high = chunks.size() - 1;
        while (low < high) {
            int middle = (low + high + 1) >>> 1;
            if (chunks.get(middle).offset[0] <= offset) {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        return low;
    }

    private Chunk own(int c) {
        Chunk chunk = chunks.get(c);
        if (chunk.owner != owner) {
            chunk = new Chunk(owner, chunk, 0, chunk.count);
            chunks.set(c, chunk);
        }
        return chunk;
    }

    /// Takes in everything of `newer`.
    public void putAll(JournalIndex newer) {
        if (newer.size < size / 16) {
            newer.all().forEach(this::put);
            return;
        }
        JournalIndex both = over(this, newer).copy();
        chunks = both.chunks;
        size = both.size;
        owner = both.owner;
    }

    /// Takes in what `newer` has from `from` to `to`.
    public void putAll(JournalIndex newer, long from, long to) {
        for (Run run = newer.at(from); run != null && run.offsetBytes() < to; ) {
            long end = Math.min(run.endBytes(), to);
            put(run.part(run.offsetBytes(), end));
            run = newer.at(end);
        }
    }

    /// Drops every run whose record stands below this journal offset: the base holds them now.
    public void dropBelow(long recordAddress) {
        JournalIndex kept = new JournalIndex();
        for (Cursor run = new Cursor(this); run.isThere; run.next()) {
            if (run.record >= recordAddress) {
                kept.append(run.offset, run.length, run.data, run.record);
            }
        }
        chunks = kept.chunks;
        size = kept.size;
        owner = kept.owner;
    }

    public int size() {
        return size;
    }

    /// Memory that the runs take, for tests: the arrays with their headers.
    long chunkBytes() {
        return chunks.size() * (4L * (16 + 8 * CHUNK_RUNS) + 40);
    }

    /// All runs in device order.
    public Iterable<Run> all() {
        return () ->
                new Iterator<>() {
                    private int chunk;
                    private int place;

                    @Override
                    public boolean hasNext() {
                        return chunk < chunks.size();
                    }

                    @Override
                    public Run next() {
                        if (!hasNext()) {
                            throw new NoSuchElementException();
                        }
                        Run run = chunks.get(chunk).run(place);
                        if (++place == chunks.get(chunk).count) {
                            place = 0;
                            chunk++;
                        }
                        return run;
                    }
                };
    }

    /// The first run that ends behind `offsetBytes`, cut to begin there at the earliest; null when
    /// there is none.
    public Run at(long offsetBytes) {
        if (size == 0) {
            return null;
        }
        int c = chunkAt(offsetBytes);
        int i = chunks.get(c).floor(offsetBytes);
        if (i >= 0 && chunks.get(c).end(i) > offsetBytes) {
            Run run = chunks.get(c).run(i);
            return run.part(offsetBytes, run.endBytes());
        }
        i++;
        if (i == chunks.get(c).count) {
            c++;
            i = 0;
        }
        return c < chunks.size() ? chunks.get(c).run(i) : null;
    }
}
