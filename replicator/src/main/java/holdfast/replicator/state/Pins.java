package holdfast.replicator.state;

import holdfast.replicator.journal.JournalIndex;
import holdfast.replicator.state.History.Moment;
import holdfast.tunnel.wire.Frame;

import java.util.ArrayList;
import java.util.List;

/// The moments of a copy that somebody keeps under a name, also when the base has been rolled past
/// them, and what must be saved of the base for that (R31).
///
/// Each has a place for blocks that were in the base, its delta, empty at first. A roll stops
/// exactly at each of them. One that goes on from there, or from behind, first saves what it is
/// about to write over into the delta of the newest pin that is not later than the base:
///
/// ```
///  pins, oldest first      a         b          c        base           newest
///  journal             ────┼─────────┼──────────┼─────────┼───────────────┤
///  deltas                 [a]       [b]        [c] ◄── old blocks ── roll ►
///
///  a reads:  its delta, then b's, then c's, then the base
/// ```
///
/// So each old block is saved once, however many pins there are. A pin that is dropped while an
/// older one is kept stays as a link without a name, because that reads through it.
///
/// **What holds at every instant**, whatever crashed: where the base differs from the image of the
/// newest pin that is not later than it, that pin's delta has the block, durably. It holds when the
/// base is rolled just to the pin: nothing differs. A roll saves what it writes and lacks, all of
/// it durably, before it writes anything. What is saved already is never saved again: after a crash
/// the base may hold half of the new content there.
public final class Pins {
    /// Each of them is a stop for the base and a file.
    public static final int MAX = 64;

    public static final String NAME_RULE =
            "a letter, then up to 39 letters, digits, dots, dashes or underscores, and not \"latest\"";

    /// A moment that is kept.
    ///
    /// @param id counts, never used again
    /// @param name empty for a link that only older ones need
    /// @param sizeBytes of the device at that moment
    /// @param madeMillis by the backup's clock of receipt, likewise `expiresMillis`
    /// @param damaged it cannot be opened any more: something of its delta, or of one that it reads
    ///   through, cannot be read
    public record Pin(
            long id,
            String name,
            Moment moment,
            long sizeBytes,
            long madeMillis,
            long expiresMillis,
            boolean damaged) {
        public boolean isNamed() {
            return !name.isEmpty();
        }

        private Pin without(boolean itsName, boolean itsContent) {
            return new Pin(
                    id,
                    itsName ? "" : name,
                    moment,
                    sizeBytes,
                    madeMillis,
                    expiresMillis,
                    damaged || itsContent);
        }
    }

    /// What a roll has to save before it writes to the base.
    ///
    /// @param into the pin whose delta takes it
    /// @param counted pins whose deltas say what is saved already; `into` is the last of them
    public record Save(long into, List<Long> counted) {}

    /// Bytes of a device, whole blocks.
    public record Range(long offsetBytes, long endBytes) {}

    /// Oldest moment first; those of one moment as they were made.
    private final List<Pin> pins = new ArrayList<>();

    private long lastId;

    Pins() {}

    /// Whether a moment may be kept under this name. No time and no other point that can be asked
    /// for is one.
    public static boolean isName(String text) {
        return Frame.Mark.isName(text);
    }

    /// What was durable at a start.
    void begin(List<Pin> durable, long lastId) {
        pins.clear();
        durable.forEach(this::insert);
        this.lastId = lastId;
        for (Pin each : durable) {
            this.lastId = Math.max(this.lastId, each.id());
        }
    }

    private void insert(Pin pin) {
        int at = pins.size();
        while (at > 0 && pins.get(at - 1).moment().address() > pin.moment().address()) {
            at--;
        }
        pins.add(at, pin);
    }

    Pin add(String name, Moment moment, long sizeBytes, long madeMillis, long expiresMillis) {
        Pin pin = new Pin(++lastId, name, moment, sizeBytes, madeMillis, expiresMillis, false);
        insert(pin);
        return pin;
    }

    /// All of them, and the links, oldest moment first.
    List<Pin> all() {
        return List.copyOf(pins);
    }

    /// Greatest that a pin ever had.
    long lastId() {
        return lastId;
    }

    /// Null for none of this name.
    Pin named(String name) {
        for (Pin each : pins) {
            if (each.isNamed() && each.name().equals(name)) {
                return each;
            }
        }
        return null;
    }

    /// It has no name any more; [#sweep] takes away what nobody needs of it.
    void drop(Pin pin) {
        pins.set(pins.indexOf(pin), pin.without(true, false));
    }

    /// It cannot be opened, and nothing is done for it any more.
    void damage(Pin pin) {
        pins.set(pins.indexOf(pin), pin.without(false, true));
    }

    /// Journal offset at which the next roll must stop.
    ///
    /// @param watermark where the base stands
    long stop(long watermark) {
        for (Pin each : pins) {
            if (each.isNamed() && each.moment().address() > watermark) {
                return Faults.M53 ? Long.MAX_VALUE : each.moment().address();
            }
        }
        return Long.MAX_VALUE;
    }

    /// What a roll from there has to save, or null.
    Save save(long watermark) {
        List<Long> counted = new ArrayList<>();
        boolean needed = false;
        for (Pin each : pins) {
            if (each.moment().address() > watermark || each.damaged()) {
                continue;
            }
            if (each.isNamed()) {
                counted.clear();
                needed = true;
            }
            counted.add(each.id());
        }
        return needed ? new Save(counted.getLast(), List.copyOf(counted)) : null;
    }

    /// Takes away links that no pin reads through. Not while a roll saves into one.
    ///
    /// @return whether there was one
    boolean sweep(long watermark) {
        boolean isRead = false;
        List<Pin> left = new ArrayList<>();
        for (Pin each : pins) {
            boolean holds =
                    each.isNamed()
                            || isRead && !each.damaged() && each.moment().address() <= watermark;
            if (holds) {
                left.add(each);
            }
            isRead |= each.isNamed() && !each.damaged();
        }
        boolean some = left.size() < pins.size();
        pins.clear();
        pins.addAll(left);
        return some;
    }

    /// Which bytes of the base must be saved before an image is written into it: whole blocks, in
    /// device order, of those that the image touches the ones that are not held. Of a block that is
    /// half written over the rest is saved too: a write that a power cut tears may touch it.
    ///
    /// @param held what is saved already, whole blocks
    public static List<Range> unsaved(JournalIndex image, List<JournalIndex> held) {
        List<Range> unsaved = new ArrayList<>();
        long from = 0;
        long to = 0;
        for (JournalIndex.Run run : image.all()) {
            long begin = run.offsetBytes() / BlockSet.BLOCK_BYTES * BlockSet.BLOCK_BYTES;
            if (begin > to) {
                without(held, from, to, unsaved);
                from = begin;
            }
            to = Math.max(to, BlockSet.blocksOf(run.endBytes()) * BlockSet.BLOCK_BYTES);
        }
        without(held, from, to, unsaved);
        return unsaved;
    }

    private static void without(List<JournalIndex> held, long from, long to, List<Range> unsaved) {
        for (long at = from; at < to; ) {
            long heldTo = at;
            long next = to;
            for (JournalIndex each : Faults.M54 ? List.<JournalIndex>of() : held) {
                JournalIndex.Run run = each.at(at);
                if (run != null && run.offsetBytes() <= at) {
                    heldTo = Math.max(heldTo, run.endBytes());
                } else if (run != null) {
                    next = Math.min(next, run.offsetBytes());
                }
            }
            if (heldTo == at) {
                unsaved.add(new Range(at, next));
                at = next;
            } else {
                at = heldTo;
            }
        }
    }
}
