package holdfast.replicator.journal;

import holdfast.replicator.journal.JournalScan.End;
import holdfast.replicator.journal.JournalScan.Indexes;

import java.io.IOException;
import java.util.List;

/// Reads a journal from its watermark to its end, also over what is damaged, where a note says what
/// leads over that (docs/on-disk-format.md, Note of damage).
///
/// ```
///   watermark        note's address            `end` of its COMMIT
///   ├── read ────────┤ damaged, never read     ├── read ──── …
///                    └── the note's parts ─────┘
/// ```
public final class BridgedScan {
    private BridgedScan() {}

    /// Takes what is read, and what becomes of each note.
    public interface Visitor extends JournalScan.Visitor {
        /// The base, or a bridge in front of it, has passed the note: it means nothing any more.
        void passed(SegmentIndex note);

        /// The journal is damaged at this offset, and nothing leads over it.
        void unmended(long address);

        /// [#segment] has shown the parts of this bridge.
        ///
        /// @param end as far as there the journal was read in front of it
        void bridged(SegmentIndex bridge, long end);
    }

    /// @param watermark in front of a record, or where none is yet
    /// @param oldestIncarnation as in [JournalScan#run]
    /// @param notes in the order of the journal
    /// @param journalEnd where the last segment ends
    /// @return where what lies behind the last bridge ends
    public static End run(
            JournalScan scan,
            Indexes indexes,
            long watermark,
            long oldestIncarnation,
            List<SegmentIndex> notes,
            long journalEnd,
            Visitor visitor)
            throws IOException {
        long from = watermark;
        long opening = oldestIncarnation;
        for (SegmentIndex each : notes) {
            boolean isBridge = !each.parts().isEmpty();
            long behind = isBridge ? each.parts().getLast().endAddress() : 0;
            if (each.address() < (isBridge ? from : watermark) || behind > journalEnd) {
                visitor.passed(each);
            } else if (!isBridge) {
                visitor.unmended(each.address());
            } else {
                // Also one that something is damaged of: what it leads over is not to be read.
                End end = scan.run(from, each.address(), opening, indexes, visitor);
                from = behind;
                opening = each.incarnation();
                visitor.segment(each);
                visitor.bridged(each, end.end());
            }
        }
        return scan.run(from, Long.MAX_VALUE, opening, indexes, visitor);
    }
}
