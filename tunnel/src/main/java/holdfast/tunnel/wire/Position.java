package holdfast.tunnel.wire;

import java.nio.ByteBuffer;

/// A place in one history of the data: operation `number` of `generation` (protocol rule R1).
///
/// A generation is started by every attach of a primary and by every promotion; numbers are dense
/// within it and number 0 is the image the generation began with. Two positions can be ordered by
/// number only within one generation; how generations follow each other is said by the [Ancestry].
///
/// @param generation random and non-zero; 0 only in [#NONE]
/// @param number 0 or more
public record Position(long generation, long number) {
    /// No position at all: a copy that never reached a committed point.
    public static final Position NONE = new Position(0, 0);

    /// Bytes on the wire and on disk.
    public static final int BYTES = 16;

    public Position {
        if (!isValid(generation, number)) {
            throw new IllegalArgumentException("position " + generation + "/" + number);
        }
    }

    /// Whether these two make a position: what a disk or a peer says need not.
    public static boolean isValid(long generation, long number) {
        return number >= 0 && (generation != 0 || number == 0);
    }

    public boolean isNone() {
        return generation == 0;
    }

    /// The place `count` operations later in the same generation.
    public Position plus(long count) {
        return new Position(generation, number + count);
    }

    /// Whether this is the place of the next operation behind `other`. Behind the last number that
    /// there is, which a peer may name, there is none.
    public boolean follows(Position other) {
        return generation == other.generation && number - 1 == other.number;
    }

    /// Whether this place lies in the same generation as `other` and not before it.
    public boolean reaches(Position other) {
        return generation == other.generation && number >= other.number;
    }

    public static Position read(ByteBuffer in) {
        return new Position(in.getLong(), in.getLong());
    }

    public void write(ByteBuffer out) {
        out.putLong(generation).putLong(number);
    }

    /// Short enough for a status line: the first 6 hex digits of the generation, and the number.
    @Override
    public String toString() {
        return isNone() ? "none" : "%06x/%d".formatted(generation >>> 40, number);
    }
}
