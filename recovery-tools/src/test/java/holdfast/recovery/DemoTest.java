package holdfast.recovery;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.control.NodePaths;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringReader;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/// The demonstration as a user runs it without a terminal: real daemons in processes of their own.
@Timeout(300)
class DemoTest {
    /// Not a `@TempDir`, whose long path leaves too little of the 107 bytes of a Unix socket.
    private Path directory;

    @BeforeEach
    void make() throws IOException {
        directory = Files.createTempDirectory("hf");
    }

    @AfterEach
    void delete() {
        Demo.delete(directory);
    }

    private record Ended(int code, String out) {}

    @Test
    void twoAtOnceEndByThemselvesAndEveryOpenedCopyIsRight() throws Exception {
        Path image = directory.resolve("mine.img");
        byte[] content = new byte[20 << 20];
        new Random(1).nextBytes(content);
        Files.write(image, content);
        List<Callable<Ended>> demos =
                List.of(
                        () -> run("demo", "--dir", directory.resolve("a").toString()),
                        () ->
                                run(
                                        "demo",
                                        "--json",
                                        "--dir",
                                        directory.resolve("b").toString(),
                                        "--image",
                                        image.toString()));
        List<Ended> ended = new ArrayList<>();
        try (var both = Executors.newFixedThreadPool(2)) {
            for (Future<Ended> demo : both.invokeAll(demos)) {
                ended.add(demo.get());
            }
        }
        String told = ended.getFirst().out();
        assertEquals(0, ended.getFirst().code(), told);
        assertTrue(told.contains("byte by byte over 64 MiB: equal"), told);
        assertTrue(told.contains("opened with the link cut"), told);
        assertFalse(told.contains("NOT"), told);
        assertEquals(0, ended.getLast().code(), ended.getLast().out());
        assertTrue(
                ended.getLast().out().startsWith("{\n  \"right\": true,"), ended.getLast().out());
        new SchemaFile("commands/demo.json").requireFits(ended.getLast().out());
        for (String site : List.of("a/server", "a/backup", "b/server", "b/backup")) {
            assertFalse(
                    DaemonProcess.answers(NodePaths.under(directory.resolve(site))),
                    site + " still runs");
        }
        assertTrue(
                java.util.Arrays.equals(content, Files.readAllBytes(image)),
                "the user's image is not touched");
    }

    @Test
    void aDirectoryThatNoDemoMadeIsLeftAlone() throws IOException {
        Files.createFile(directory.resolve("precious"));
        Ended ended = run("demo", "--dir", directory.toString());
        assertEquals(3, ended.code());
        assertTrue(Files.exists(directory.resolve("precious")));
    }

    private static Ended run(String... arguments) {
        var out = new StringWriter();
        var err = new StringWriter();
        int code =
                Holdfast.run(
                        arguments,
                        new Terminal(
                                new PrintWriter(out),
                                new PrintWriter(err),
                                new BufferedReader(new StringReader("")),
                                false));
        return new Ended(code, code == 0 ? out.toString() : out + "\n" + err);
    }
}
