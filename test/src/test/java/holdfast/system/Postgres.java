package holdfast.system;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/// A PostgreSQL of Debian's on a data directory of ours. Needs root, to become its user.
final class Postgres implements AutoCloseable {
    private final Path data;
    private final Path socket;

    /// Makes it and starts it.
    ///
    /// @param data is made; everything above it becomes readable for its user
    Postgres(Path data) throws Exception {
        this.data = data;
        Files.createDirectory(data);
        Run.ok("chown", "postgres:postgres", data.toString());
        makeReachable(data.getParent());
        run(program("initdb"), "-D", data.toString(), "-A", "trust", "--wal-segsize=1");
        socket = Files.createTempDirectory("hf");
        try {
            Run.ok("chown", "postgres:postgres", socket.toString());
            run(
                    program("pg_ctl"),
                    "-D",
                    data.toString(),
                    "-w",
                    "-l",
                    data.resolve("log").toString(),
                    "-o",
                    "-c listen_addresses= -c unix_socket_directories="
                            + socket
                            + " -c max_wal_size=2MB -c min_wal_size=2MB",
                    "start");
        } catch (Exception | Error e) {
            Run.ok("rm", "-r", socket.toString());
            throw e;
        }
    }

    /// The directories of a test are its user's alone.
    static void makeReachable(Path directory) throws IOException {
        for (Path each = directory;
                !each.equals(Path.of("/tmp")) && each.getParent() != null;
                each = each.getParent()) {
            Files.setPosixFilePermissions(each, PosixFilePermissions.fromString("rwxr-xr-x"));
        }
    }

    private static String program(String name) throws IOException {
        try (Stream<Path> versions = Files.list(Path.of("/usr/lib/postgresql"))) {
            return versions.map(each -> each.resolve("bin").resolve(name))
                    .filter(Files::exists)
                    .findFirst()
                    .orElseThrow()
                    .toString();
        }
    }

    private static List<String> asPostgres(String... command) {
        List<String> all =
                new ArrayList<>(
                        List.of(
                                "setpriv",
                                "--reuid=postgres",
                                "--regid=postgres",
                                "--clear-groups"));
        all.addAll(List.of(command));
        return all;
    }

    private static String run(String... command) throws Exception {
        return Run.ok(asPostgres(command).toArray(String[]::new));
    }

    void sql(String statement) throws Exception {
        run(program("psql"), "-h", socket.toString(), "-c", statement);
    }

    /// A client that carries out each line of its input and answers each with one of its own, once
    /// it is committed.
    Process session() throws IOException {
        List<String> command =
                asPostgres(program("psql"), "-X", "-v", "ON_ERROR_STOP=1", "-h", socket.toString());
        return new ProcessBuilder(command).redirectErrorStream(true).start();
    }

    /// Recovers a data directory of which nobody knows how its server ended, and asks it something.
    ///
    /// @return the values that were answered, in order
    static List<String> recovered(Path data, String query) throws Exception {
        Files.deleteIfExists(data.resolve("postmaster.pid"));
        String shell =
                "echo '%s' | %s --single -D %s postgres"
                        .formatted(query, program("postgres"), data);
        List<String> values = new ArrayList<>();
        // Like "	 1: count = "12"	(typeid = 20, len = 8, typmod = -1, byval = t)".
        for (String line : run("sh", "-c", shell).lines().toList()) {
            int from = line.indexOf(" = \"");
            int to = line.indexOf('"', from + 4);
            if (from > 0 && to > 0) {
                values.add(line.substring(from + 4, to));
            }
        }
        return values;
    }

    @Override
    public void close() throws Exception {
        try {
            run(program("pg_ctl"), "-D", data.toString(), "-m", "immediate", "stop");
        } finally {
            Run.ok("rm", "-r", socket.toString());
        }
    }
}
