package holdfast.recovery;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringReader;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/// Manual pages and completion, judged by the programs that read them.
@Timeout(120)
class HelpTest {
    @TempDir Path dir;

    private static String run(String... args) {
        var out = new StringWriter();
        var err = new PrintWriter(new StringWriter());
        var in = new BufferedReader(new StringReader(""));
        assertEquals(0, Holdfast.run(args, new Terminal(new PrintWriter(out), err, in, false)));
        return out.toString();
    }

    private static String tool(String... command) throws IOException {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        process.getOutputStream().close();
        return new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    }

    private static List<String> verbs() {
        return run("help")
                .lines()
                .dropWhile(line -> !line.equals("Commands:"))
                .skip(1)
                .takeWhile(line -> line.startsWith("  "))
                .filter(line -> !line.startsWith("   "))
                .map(line -> line.strip().split(" ")[0])
                .filter(verb -> verb.matches("[a-z]+"))
                .distinct()
                .toList();
    }

    @Test
    void aManualPageSaysWhatHelpSays() {
        String page = run("help", "--man", "add");
        assertTrue(page.startsWith(".TH HOLDFAST\\-ADD 8"), page);
        assertTrue(
                page.contains("\\fB\\-\\-peer\\-disk=DISK\\fR\nThe device or file at the peer."),
                page);
        assertTrue(run("help", "--man").contains(".TP\n\\fBdetach\\fR\n"));
    }

    @Test
    void everyManualPageIsRight() throws IOException {
        assumeTrue(Files.exists(Path.of("/usr/bin/mandoc")), "needs mandoc");
        assertTrue(verbs().size() > 20, () -> verbs().toString());
        for (String verb : verbs()) {
            Path page = Files.writeString(dir.resolve(verb + ".8"), run("help", "--man", verb));
            // Its date is left empty, on purpose.
            String said = tool("mandoc", "-Tlint", "-Wwarning", page.toString());
            assertEquals(
                    List.of(),
                    said.lines().filter(line -> !line.contains("missing date")).toList());
        }
    }

    @Test
    void manShowsIt() throws IOException {
        assumeTrue(Files.exists(Path.of("/usr/bin/man")), "needs man");
        Path page = Files.writeString(dir.resolve("holdfast.8"), run("help", "--man"));
        String shown =
                tool(
                        "env",
                        "MANWIDTH=100",
                        "LC_ALL=C.UTF-8",
                        "man",
                        "-P",
                        "cat",
                        "-l",
                        page.toString());
        assertTrue(shown.contains("Keeps a second copy of a server's block devices"), shown);
        assertTrue(shown.contains("--json"), shown);
    }

    @Test
    void bashCompletesCommandsAndOptions() throws IOException {
        Path script = Files.writeString(dir.resolve("completion"), run("completion", "bash"));
        assertEquals(List.of("detach"), completed(script, "holdfast", "det"));
        assertEquals(List.of("--peer-disk"), completed(script, "holdfast", "add", "--peer"));
        assertEquals(run("completion", "bash"), run("completion", "zsh"));
    }

    private static List<String> completed(Path script, String... words) throws IOException {
        String array = String.join(" ", words);
        String program =
                """
                source "$1"
                COMP_WORDS=(%s)
                COMP_CWORD=%d
                COMP_LINE="%s"
                COMP_POINT=${#COMP_LINE}
                _complete_holdfast 2>/dev/null # compopt wants to be called by readline
                printf '%%s\n' "${COMPREPLY[@]}"
                """
                        .formatted(array, words.length - 1, array);
        return tool("bash", "-c", program, "bash", script.toString())
                .lines()
                .map(String::strip)
                .distinct()
                .toList();
    }
}
