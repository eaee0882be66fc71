package holdfast.recovery;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/// Programs of the host that may or may not be there.
final class Programs {
    /// `sbin` is not in everybody's PATH, though e2fsprogs needs no root.
    private static final List<String> MORE_DIRECTORIES = List.of("/usr/sbin", "/sbin");

    private Programs() {}

    static boolean has(String name) {
        return find(name).isPresent();
    }

    /// What it printed on standard output.
    ///
    /// @throws IOException when it is not there or ends with an error; the message has what it said
    static String run(String name, String... arguments) throws IOException, InterruptedException {
        Path program = find(name).orElseThrow(() -> new IOException(name + " is not installed"));
        var command = new java.util.ArrayList<String>();
        command.add(program.toString());
        command.addAll(List.of(arguments));
        Path errors = Files.createTempFile("holdfast-", ".err");
        try {
            Process process = new ProcessBuilder(command).redirectError(errors.toFile()).start();
            process.getOutputStream().close();
            String out =
                    new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            int code = process.waitFor();
            if (code != 0) {
                throw new IOException(
                        "%s ended with %d: %s"
                                .formatted(name, code, (out + Files.readString(errors)).strip()));
            }
            return out;
        } finally {
            Files.deleteIfExists(errors);
        }
    }

    private static Optional<Path> find(String name) {
        String path = System.getenv().getOrDefault("PATH", "/usr/bin:/bin");
        var directories = new java.util.ArrayList<>(List.of(path.split(":")));
        directories.addAll(MORE_DIRECTORIES);
        return directories.stream()
                .map(d -> Path.of(d, name))
                .filter(Files::isExecutable)
                .findFirst();
    }
}
