import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.spi.ToolProvider;
import java.util.stream.Stream;

/// Checks or applies the format of every Java file, by google-java-format in its AOSP style.
///
/// Maven runs this file as it is, under the JDK of the toolchain: the formatter uses the parser of
/// the compiler it runs in, and the one of Maven's own Java 17 does not know our syntax.
///
/// Arguments: `check` or `apply`, the version of the formatter, the root of the checkout.
final class Format {
    public static void main(String[] args) throws Exception {
        boolean apply = args[0].equals("apply");
        Path root = Path.of(args[2]);
        // Digests of files that were found well formatted; makes a check of an unchanged tree
        // cost 0.3 s. The formatter's version is part of each digest.
        Path known = root.resolve("target/format-known");
        // Exists only after a run that found nothing wrong; pom.xml asks for it in its own words.
        Path ok = root.resolve("target/format-ok");
        Files.deleteIfExists(ok);
        Set<String> good = Files.exists(known) ? Set.copyOf(Files.readAllLines(known)) : Set.of();

        List<Path> files = javaFiles(root);
        List<String> unknown = new ArrayList<>();
        for (Path file : files) {
            if (!good.contains(digest(args[1], file))) {
                unknown.add(file.toString());
            }
        }
        if (!unknown.isEmpty()) {
            // Reflowing long strings is not stable: its own result is found wrongly indented next
            // time.
            List<String> command =
                    new ArrayList<>(List.of("--aosp", "--skip-reflowing-long-strings"));
            command.addAll(apply ? List.of("-i") : List.of("--dry-run", "--set-exit-if-changed"));
            command.addAll(unknown);
            ToolProvider formatter = ToolProvider.findFirst("google-java-format").orElseThrow();
            int exit = formatter.run(System.out, System.err, command.toArray(String[]::new));
            if (exit != 0) {
                return;
            }
        }

        Set<String> now = new TreeSet<>();
        for (Path file : files) {
            now.add(digest(args[1], file));
        }
        Files.createDirectories(known.getParent());
        Files.write(known, now);
        Files.createFile(ok);
    }

    private static List<Path> javaFiles(Path root) throws IOException {
        List<Path> files = new ArrayList<>();
        List<Path> places = new ArrayList<>(List.of(root.resolve(".mvn")));
        try (Stream<Path> modules = Files.list(root)) {
            modules.map(module -> module.resolve("src"))
                    .filter(Files::isDirectory)
                    .forEach(places::add);
        }
        for (Path place : places) {
            try (Stream<Path> tree = Files.walk(place)) {
                tree.filter(file -> file.toString().endsWith(".java")).sorted().forEach(files::add);
            }
        }
        return files;
    }

    private static String digest(String version, Path file) throws Exception {
        MessageDigest sha = MessageDigest.getInstance("SHA-256");
        sha.update(version.getBytes(StandardCharsets.UTF_8));
        return HexFormat.of().formatHex(sha.digest(Files.readAllBytes(file)));
    }
}
