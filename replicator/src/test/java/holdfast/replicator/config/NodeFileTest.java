package holdfast.replicator.config;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

class NodeFileTest {
    private static final String MINE =
            """
            # my node
              [link]   # odd layout
            rate   =   "18 Mbit/s"  # what they sold me

            calendar = [
                # day
                "Mon-Fri 08:00-18:00 catch-up 2 Mbit/s",
            ]
            [nbd]
            """;

    @Test
    void settingAKeyChangesItsLineAndNoOther() throws Exception {
        String text = NodeFile.parse(MINE, "n").set("link", "rate", "\"20 Mbit/s\"").text();
        assertEquals(MINE.lines().count(), text.lines().count());
        String[] before = MINE.split("\n");
        String[] after = text.split("\n");
        for (int i = 0; i < before.length; i++) {
            if (i != 2) {
                assertEquals(before[i], after[i]);
            }
        }
        assertTrue(
                after[2].contains("\"20 Mbit/s\"") && after[2].endsWith("# what they sold me"),
                after[2]);
    }

    @Test
    void aNewKeyGoesIntoItsTableAndTheRestStays() throws Exception {
        String text = NodeFile.parse(MINE, "n").set("link", "listen", "\"0.0.0.0:7788\"").text();
        assertEquals(
                Optional.of(Address.parse("0.0.0.0:7788")), NodeSettings.parse(text, "n").listen());
        assertEquals(MINE, text.replace("listen = \"0.0.0.0:7788\"\n", ""));
    }

    @Test
    void aNewTableGoesToTheEnd() throws Exception {
        String text =
                NodeFile.parse(MINE, "n")
                        .set("storage", "path", "\"/srv/holdfast\"")
                        .set("storage", "max", "\"500 GiB\"")
                        .text();
        assertTrue(text.startsWith(MINE), text);
        assertEquals(
                Optional.of(Size.parse("500 GiB")), NodeSettings.parse(text, "n").storageMax());
    }

    @Test
    void anEmptyFileTakesAKey() throws Exception {
        String text = NodeFile.parse("", "n").set("node", "name", "\"server\"").text();
        assertEquals("server", NodeSettings.parse(text, "n").name());
    }

    @Test
    void theExampleKeepsAllItsComments() throws Exception {
        String example = Files.readString(Path.of("../conf.d/node.toml"));
        String text = NodeFile.parse(example, "n").set("link", "listen", "\"0.0.0.0:7788\"").text();
        var lines = new java.util.ArrayList<>(text.lines().toList());
        assertTrue(lines.remove("listen = \"0.0.0.0:7788\""), text);
        assertEquals(
                example.lines().filter(l -> !l.isBlank()).toList(),
                lines.stream().filter(l -> !l.isBlank()).toList());
        assertEquals(
                Optional.of(Address.parse("0.0.0.0:7788")), NodeSettings.parse(text, "n").listen());
    }

    @Test
    void unsettingAKeyPutsItBackToItsDefault() throws Exception {
        NodeFile dialing = NodeFile.parse(MINE, "n").set("link", "dial", "\"a:1\"");
        assertEquals(MINE, dialing.unset("link", "dial").text());
    }

    @Test
    void whatWouldBeWrongIsNotMade() throws Exception {
        NodeFile file = NodeFile.parse(MINE, "n").set("link", "dial", "\"a:1\"");
        assertThrows(ConfigException.class, () -> file.set("link", "listen", "\"b:1\""));
        assertThrows(ConfigException.class, () -> file.set("link", "rate", "18"));
        assertThrows(ConfigException.class, () -> file.set("lnk", "rate", "\"18 Mbit/s\""));
        assertThrows(
                IllegalArgumentException.class,
                () -> file.set("link", "rate", "\"1 Mbit/s\"\n[nbd]"));
        assertThrows(ConfigException.class, () -> NodeFile.parse("rate = ", "n"));
    }
}
