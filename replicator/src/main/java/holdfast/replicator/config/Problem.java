package holdfast.replicator.config;

/// One thing that is wrong with the settings: where, what, and what would be right.
///
/// @param file path or other name of the text
/// @param line from 1; 0 when the problem is with the file as a whole
/// @param column from 1; 0 likewise
public record Problem(String file, int line, int column, String message) {
    @Override
    public String toString() {
        return line == 0
                ? file + ": " + message
                : file + ":" + line + ":" + column + ": " + message;
    }
}
