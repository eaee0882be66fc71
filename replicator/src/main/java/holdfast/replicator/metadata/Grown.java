package holdfast.replicator.metadata;

import java.nio.charset.StandardCharsets;

/// What is noted of a device that has become larger until all of that is in the copy: a small file
/// of text, one or two numbers in decimal with a space between.
///
/// @param fromBytes what lies behind it is to be compared; at a backup the size of its points
/// @param generation of the first greeting of the larger device, at a backup; 0 where there was
///   none, and then it is not written
public record Grown(long fromBytes, long generation) {
    public Grown {
        if (fromBytes < 0) {
            throw new IllegalArgumentException("a size of " + fromBytes + " bytes");
        }
    }

    public byte[] encode() {
        return (generation == 0
                        ? Long.toString(fromBytes)
                        : "%d %d".formatted(fromBytes, generation))
                .getBytes(StandardCharsets.UTF_8);
    }

    /// @throws IllegalArgumentException if it says no such thing; the caller names the file
    public static Grown decode(byte[] text) {
        String[] numbers = new String(text, StandardCharsets.UTF_8).strip().split(" ");
        return new Grown(
                Long.parseLong(numbers[0]), numbers.length < 2 ? 0 : Long.parseLong(numbers[1]));
    }
}
