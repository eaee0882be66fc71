package holdfast.replicator.metadata;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;

/// When what a promotion goes on from was written last, of the last [#MAX] promotions: a small file
/// of text, a line for each, the newest first, of two numbers in decimal. It is shown to whoever
/// chooses between two histories, and nothing rests on it: a line that is none means nothing.
public record Parted(List<Promotion> promotions) {
    public static final Parted NONE = new Parted(List.of());
    public static final int MAX = 16;

    /// @param millis by the clock of who wrote it
    /// @param generation that begins with the promotion
    public record Promotion(long millis, long generation) {}

    public Parted {
        promotions = List.copyOf(promotions.subList(0, Math.min(promotions.size(), MAX)));
    }

    /// The same and one that is newer.
    public Parted with(Promotion newest) {
        List<Promotion> all = new ArrayList<>(promotions);
        all.addFirst(newest);
        return new Parted(all);
    }

    /// 0 where that is not known.
    public long millisOf(long generation) {
        return promotions.stream()
                .filter(each -> each.generation() == generation)
                .findFirst()
                .map(Promotion::millis)
                .orElse(0L);
    }

    public byte[] encode() {
        return promotions.stream()
                .map(each -> "%d %d".formatted(each.millis(), each.generation()))
                .collect(Collectors.joining("\n"))
                .getBytes(StandardCharsets.UTF_8);
    }

    public static Parted decode(byte[] text) {
        List<Promotion> found = new ArrayList<>();
        for (String line : new String(text, StandardCharsets.UTF_8).split("\n")) {
            String[] words = line.strip().split(" ");
            try {
                if (words.length == 2) {
                    found.add(new Promotion(Long.parseLong(words[0]), Long.parseLong(words[1])));
                }
            } catch (NumberFormatException _) {
                continue; // Damaged, or of a program that knows more.
            }
        }
        return new Parted(found);
    }
}
