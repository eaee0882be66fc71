package holdfast.recovery;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

import java.io.BufferedReader;
import java.io.PrintWriter;
import java.io.StringReader;
import java.io.StringWriter;

class TerminalTest {
    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();
    private final Terminal terminal =
            new Terminal(
                    new PrintWriter(out),
                    new PrintWriter(err),
                    new BufferedReader(new StringReader("")),
                    true);

    @Test
    void wordsOfAPeerCannotWorkTheTerminal() {
        terminal.print("refused: \u001b[2Jall is well\r\u202e.txt\n\tnext: größer\u009b1m\n");
        assertEquals("refused: �[2Jall is well��.txt\n\tnext: größer�1m\n", out.toString());
        terminal.complain("\u0007");
        assertEquals("�", err.toString());
    }

    @Test
    void itsOwnSequencesPass() {
        terminal.refresh("a\u001bb");
        assertEquals("\u001b[H\u001b[2Ja�b", out.toString());
    }
}
