package holdfast.replicator.daemon;

import holdfast.replicator.metadata.CorruptFormatException;
import holdfast.replicator.metadata.MetadataLayout;
import holdfast.replicator.metadata.TwoSlots;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.UUID;

/// Writes values to two slots in memory, the last of them torn in its middle, and prints what a
/// reader finds then: for [TwoSlotsMutantTest].
final class TornSlot {
    private static final UUID OWNER = new UUID(1, 2);

    private static final TwoSlots.Codec<String> TEXT =
            new TwoSlots.Codec<>() {
                @Override
                public ByteBuffer encode(String value) {
                    return StandardCharsets.UTF_8.encode(value);
                }

                @Override
                public String decode(ByteBuffer in) {
                    return StandardCharsets.UTF_8.decode(in).toString();
                }
            };

    private TornSlot() {}

    public static void main(String[] arguments) throws CorruptFormatException {
        TwoSlots<String> slots = TwoSlots.create("value", OWNER, 1000, TEXT, "first");
        byte[] file = new byte[slots.fileBytes()];
        for (String value : new String[] {"first", "first", "second", "third"}) {
            write(slots.next(value), file, Integer.MAX_VALUE);
            slots.durable(value);
        }
        write(slots.next("fourth"), file, TwoSlots.HEADER_BYTES + 3);
        String found;
        try {
            found = TwoSlots.read("value", ByteBuffer.wrap(file), OWNER, TEXT).value();
        } catch (CorruptFormatException e) {
            found = "nothing";
        }
        System.out.println(found);
    }

    private static void write(MetadataLayout.Piece piece, byte[] file, int most) {
        ByteBuffer data = piece.data().duplicate();
        int length = Math.min(most, data.remaining());
        data.get(file, (int) piece.offsetBytes(), length);
    }
}
