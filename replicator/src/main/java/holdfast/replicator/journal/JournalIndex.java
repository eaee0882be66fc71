package holdfast.replicator.journal;

import java.util.Map;
import java.util.NavigableMap;
import java.util.TreeMap;

/// Where the newest content of each byte range lies that the journal holds above the base. Runs
/// never overlap; a newer record cuts what it covers out of older runs.
public final class JournalIndex {
    /// A run of device bytes.
    ///
    /// @param lengthBytes 1 or more
    /// @param dataAddress journal offset of the first byte; [#ZEROES] when the run reads zero
    /// @param recordAddress journal offset of the record it came with
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

    private final TreeMap<Long, Run> runs;

    public JournalIndex() {
        runs = new TreeMap<>();
    }

    private JournalIndex(TreeMap<Long, Run> runs) {
        this.runs = runs;
    }

    /// The same runs, independent of what comes later. Linear in their number.
    public JournalIndex copy() {
        return new JournalIndex(new TreeMap<>(runs));
    }

    /// Takes in a record that is newer than all before.
    public void put(Run run) {
        long from = run.offsetBytes();
        long to = run.endBytes();
        Map.Entry<Long, Run> before = runs.lowerEntry(from);
        if (before != null && before.getValue().endBytes() > from) {
            Run old = before.getValue();
            runs.put(old.offsetBytes(), old.part(old.offsetBytes(), from));
            if (old.endBytes() > to) {
                runs.put(to, old.part(to, old.endBytes()));
            }
        }
        NavigableMap<Long, Run> covered = runs.subMap(from, true, to, false);
        if (!covered.isEmpty()) {
            Run lastCovered = covered.lastEntry().getValue();
            covered.clear();
            if (lastCovered.endBytes() > to) {
                runs.put(to, lastCovered.part(to, lastCovered.endBytes()));
            }
        }
        runs.put(from, run);
    }

    /// Takes in everything of `newer`.
    public void putAll(JournalIndex newer) {
        newer.runs.values().forEach(this::put);
    }

    /// Drops every run whose record stands below this journal offset: the base holds them now.
    public void dropBelow(long recordAddress) {
        runs.values().removeIf(run -> run.recordAddress() < recordAddress);
    }

    public int size() {
        return runs.size();
    }

    /// All runs in device order.
    public Iterable<Run> all() {
        return runs.values();
    }

    /// The first run that ends behind `offsetBytes`, cut to begin there at the earliest; null when
    /// there is none.
    public Run at(long offsetBytes) {
        Map.Entry<Long, Run> before = runs.floorEntry(offsetBytes);
        if (before != null && before.getValue().endBytes() > offsetBytes) {
            return before.getValue().part(offsetBytes, before.getValue().endBytes());
        }
        Map.Entry<Long, Run> after = runs.higherEntry(offsetBytes);
        return after == null ? null : after.getValue();
    }
}
