package holdfast.system;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.ResourceAccessMode;
import org.junit.jupiter.api.parallel.ResourceLock;

import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// Does what the README says, word for word, in a copy of the sources in which nothing was built.
@ResourceLock(value = "mounts and loop devices", mode = ResourceAccessMode.READ)
class ReadmeTest {
    private static final Path ROOT = Path.of("..").toAbsolutePath().normalize();

    /// What a fresh clone would not have.
    private static final Set<String> MADE = Set.of("target", ".git", ".cache");

    private static final Pattern BLOCK = Pattern.compile("(?ms)^```sh\n(.*?)^```$");

    /// The first block also builds.
    private static final int MINUTES = 10;

    @TempDir Path dir;

    @Test
    void everyCommandBlockRunsAsItStands() throws Exception {
        Path copy = dir.resolve("holdfast");
        copySources(copy);
        List<String> blocks = blocks();
        assertEquals(2, blocks.size(), "command blocks of the README");
        for (String block : blocks) {
            Path said = dir.resolve("said.txt");
            Process shell =
                    new ProcessBuilder("bash", "-euo", "pipefail", "-c", block)
                            .directory(copy.toFile())
                            .redirectErrorStream(true)
                            .redirectOutput(said.toFile())
                            .start();
            shell.getOutputStream().close();
            boolean ended = shell.waitFor(MINUTES, TimeUnit.MINUTES);
            shell.destroyForcibly();
            String output = Files.readString(said);
            System.out.println(output);
            assertEquals(ended ? 0 : -1, ended ? shell.exitValue() : -2, block + output);
        }
    }

    private static List<String> blocks() throws IOException {
        List<String> blocks = new ArrayList<>();
        Matcher matcher = BLOCK.matcher(Files.readString(ROOT.resolve("README.md")));
        while (matcher.find()) {
            blocks.add(matcher.group(1));
        }
        assertFalse(blocks.isEmpty());
        return blocks;
    }

    private static void copySources(Path to) throws IOException {
        Files.walkFileTree(
                ROOT,
                new SimpleFileVisitor<>() {
                    @Override
                    public FileVisitResult preVisitDirectory(Path from, BasicFileAttributes how)
                            throws IOException {
                        if (MADE.contains(from.getFileName().toString())) {
                            return FileVisitResult.SKIP_SUBTREE;
                        }
                        Files.createDirectories(to.resolve(ROOT.relativize(from)));
                        return FileVisitResult.CONTINUE;
                    }

                    @Override
                    public FileVisitResult visitFile(Path from, BasicFileAttributes how)
                            throws IOException {
                        Path target = to.resolve(ROOT.relativize(from));
                        // The right to execute goes along.
                        Files.copy(from, target, java.nio.file.StandardCopyOption.COPY_ATTRIBUTES);
                        return FileVisitResult.CONTINUE;
                    }
                });
    }
}
