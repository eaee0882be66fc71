package holdfast.replicator.device;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/// The small text files of /proc and /sys.
final class LinuxText {
    /// Empty when it cannot be read: what it would say is then unknown.
    static String read(Path file) {
        try {
            return Files.readString(file, StandardCharsets.ISO_8859_1).strip();
        } catch (IOException e) {
            return "";
        }
    }

    static List<String> lines(Path file) {
        return read(file).lines().toList();
    }

    /// A path as such a file shows it, where space, tab, newline and backslash are `\` and three
    /// octal digits and all other bytes are themselves.
    static String unescape(String text) {
        var path = new ByteArrayOutputStream();
        for (int i = 0; i < text.length(); i++) {
            if (text.charAt(i) == '\\' && i + 3 < text.length()) {
                path.write(Integer.parseInt(text.substring(i + 1, i + 4), 8));
                i += 3;
            } else {
                path.write(text.charAt(i));
            }
        }
        return path.toString(StandardCharsets.UTF_8);
    }

    private LinuxText() {}
}
