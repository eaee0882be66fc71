package holdfast.recovery;

import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.regex.Pattern;

/// Where a command prints and asks. Tests hand in one of their own.
///
/// What is printed may hold words of the peer, a refusal or a label of its disk: control characters
/// and those that turn the direction of writing are shown as `�`, so that they can neither clear
/// the screen nor hide what stands beside them.
///
/// @param in answers to prompts
/// @param interactive a person reads `out` and types into `in`
public record Terminal(PrintWriter out, PrintWriter err, BufferedReader in, boolean interactive) {
    private static final String HOME_AND_CLEAR = "\u001b[H\u001b[2J";
    private static final Pattern HARMFUL =
            Pattern.compile("[\\p{Cc}\\u202a-\\u202e\\u2066-\\u2069&&[^\\n\\t]]");
    private static final String CLEAR_LINE = "\r\u001b[K";

    // Null again since JDK 25 when there is no terminal, which the check does not know.
    @SuppressWarnings("SystemConsoleNull")
    static Terminal ofProcess() {
        var console = System.console();
        return new Terminal(
                writer(FileDescriptor.out),
                writer(FileDescriptor.err),
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8)),
                console != null && console.isTerminal());
    }

    private static PrintWriter writer(FileDescriptor descriptor) {
        OutputStream stream = new FileOutputStream(descriptor);
        return new PrintWriter(stream, true, StandardCharsets.UTF_8);
    }

    /// Prints text that has its line breaks already.
    void print(String text) {
        out.print(harmless(text));
        out.flush();
    }

    void println(String line) {
        out.println(harmless(line));
        out.flush();
    }

    /// On standard error, with line breaks of its own.
    void complain(String text) {
        err.print(harmless(text));
        err.flush();
    }

    private static String harmless(String text) {
        return HARMFUL.matcher(text).replaceAll("\ufffd");
    }

    /// A whole screen of text in place of the last one.
    void refresh(String text) {
        out.print((interactive ? HOME_AND_CLEAR : "") + harmless(text));
        out.flush();
    }

    /// One line on standard error that the next one replaces; without a terminal each is a line of
    /// its own.
    void progress(String line) {
        err.print(interactive ? CLEAR_LINE + harmless(line) : harmless(line) + "\n");
        err.flush();
    }

    /// Takes the line of progress away.
    void endProgress() {
        if (interactive) {
            err.print(CLEAR_LINE);
            err.flush();
        }
    }

    /// Asks for a line; empty at the end of the input.
    String ask(String prompt) {
        err.print(harmless(prompt));
        err.flush();
        try {
            String line = in.readLine();
            return line == null ? "" : line.strip();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
