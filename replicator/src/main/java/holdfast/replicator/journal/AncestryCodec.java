package holdfast.replicator.journal;

import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Position;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;

/// An ancestry on disk: entries of [Ancestry.Entry#BYTES] bytes, oldest first, back to back,
/// nothing else.
///
/// | offset | bytes | field      | meaning                                  |
/// |-------:|------:|------------|------------------------------------------|
/// |      0 |     8 | generation | its id                                   |
/// |      8 |    16 | parent     | position in the parent where it began    |
/// |     24 |     1 | reason     | [Ancestry.Reason], ordinal plus one      |
/// |     25 |    16 | author     | id of the node that started it           |
/// |     41 |     8 | wallMillis | the author's wall clock                  |
public final class AncestryCodec {
    private static final Ancestry.Reason[] REASONS = Ancestry.Reason.values();

    private AncestryCodec() {}

    public static ByteBuffer encode(Ancestry ancestry) {
        ByteBuffer out = ByteBuffer.allocate(ancestry.entries().size() * Ancestry.Entry.BYTES);
        for (Ancestry.Entry e : ancestry.entries()) {
            out.putLong(e.generation());
            e.parent().write(out);
            out.put((byte) (e.reason().ordinal() + 1));
            out.putLong(e.author().getMostSignificantBits())
                    .putLong(e.author().getLeastSignificantBits());
            out.putLong(e.wallMillis());
        }
        return out.flip();
    }

    /// Reads all that remains in the buffer.
    ///
    /// @throws IllegalArgumentException if it is no ancestry; the caller names the file and place
    public static Ancestry decode(ByteBuffer in) {
        int count = in.remaining() / Ancestry.Entry.BYTES;
        if (in.remaining() % Ancestry.Entry.BYTES != 0 || count > Ancestry.MAX_ENTRIES) {
            throw new IllegalArgumentException("an ancestry of " + in.remaining() + " bytes");
        }
        List<Ancestry.Entry> entries = new ArrayList<>(count);
        for (int i = 0; i < count; i++) {
            long generation = in.getLong();
            Position parent = Position.read(in);
            int reason = in.get() - 1;
            if (reason < 0 || reason >= REASONS.length) {
                throw new IllegalArgumentException(
                        "reason " + (reason + 1) + " of generation " + i);
            }
            UUID author = new UUID(in.getLong(), in.getLong());
            entries.add(
                    new Ancestry.Entry(generation, parent, REASONS[reason], author, in.getLong()));
        }
        return new Ancestry(entries);
    }
}
