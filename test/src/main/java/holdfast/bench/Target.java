package holdfast.bench;

import holdfast.replicator.control.ProblemException;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;

/// An export that is measured.
sealed interface Target {
    /// One figure.
    ///
    /// @param cpuMicros processor time of the server process for each operation
    /// @param backupCpuMicros of the backup's, as far as it was spent during the load
    /// @param states replication states seen meanwhile, and how often
    record Measured(
            double operationsPerSecond,
            double cpuMicros,
            double backupCpuMicros,
            Map<String, Integer> states) {
        /// Part of the samples with this state.
        double fraction(String state) {
            int all = states.values().stream().mapToInt(Integer::intValue).sum();
            return all == 0 ? 0 : (double) states.getOrDefault(state, 0) / all;
        }
    }

    String title();

    List<Load> loads();

    /// The file that it serves.
    Path disk();

    Measured measure(Load load, double seconds) throws Exception;

    /// `nbdkit file`, which replicates nothing. Version 1.32 ends when a client leaves with
    /// requests in flight, as fio does: it is started for each load.
    record Nbdkit(Path disk) implements Target {
        @Override
        public String title() {
            return "nbdkit file";
        }

        @Override
        public List<Load> loads() {
            return List.of(Load.values());
        }

        @Override
        public Measured measure(Load load, double seconds) throws Exception {
            Path socket = disk.resolveSibling("nbdkit.sock");
            Files.deleteIfExists(socket);
            Process process =
                    Programs.start(
                            disk.resolveSibling("nbdkit.log"),
                            List.of(
                                    "nbdkit",
                                    "-f",
                                    "-U",
                                    socket.toString(),
                                    "file",
                                    disk.toString()));
            try {
                while (!Files.exists(socket)) {
                    if (process.waitFor(20, TimeUnit.MILLISECONDS)) {
                        throw new IOException("nbdkit ended, see " + disk.getParent());
                    }
                }
                Load.Done done = load.run("nbd+unix:///?socket=" + socket, seconds);
                double cpu;
                try {
                    cpu = Programs.cpuSeconds(process.pid());
                } catch (IOException e) {
                    cpu = Double.NaN; // It has ended as said above.
                }
                return new Measured(
                        done.operationsPerSecond(), cpu * 1e6 / done.operations(), 0, Map.of());
            } finally {
                Programs.stop(process);
            }
        }
    }

    /// Holdfast's export in one state of replication.
    final class Export implements Target {
        private final String title;
        private final Pair pair;
        private final List<Load> loads;
        private final boolean drain;

        /// @param drain wait after each load until the backup has everything
        Export(String title, Pair pair, List<Load> loads, boolean drain) {
            this.title = title;
            this.pair = pair;
            this.loads = loads;
            this.drain = drain;
        }

        @Override
        public String title() {
            return title;
        }

        @Override
        public List<Load> loads() {
            return loads;
        }

        @Override
        public Path disk() {
            return pair.disk();
        }

        Pair pair() {
            return pair;
        }

        @Override
        public Measured measure(Load load, double seconds) throws Exception {
            double server = pair.serverCpuSeconds();
            Optional<Double> backup = backupCpu();
            Load.Done done;
            Map<String, Integer> states;
            try (var sampler = new Sampler(pair)) {
                done = load.run(pair.uri(), seconds);
                states = sampler.end();
            }
            double micros = 1e6 / done.operations();
            double serverMicros = (pair.serverCpuSeconds() - server) * micros;
            double backupMicros =
                    backup.isEmpty() ? 0 : (backupCpu().orElse(0.0) - backup.get()) * micros;
            if (drain) {
                pair.awaitInSync();
            }
            return new Measured(done.operationsPerSecond(), serverMicros, backupMicros, states);
        }

        private Optional<Double> backupCpu() {
            try {
                return Optional.of(pair.backupCpuSeconds());
            } catch (IOException e) {
                return Optional.empty(); // There is none in this setup.
            }
        }
    }

    /// Looks at the state of replication now and then.
    final class Sampler implements AutoCloseable {
        private static final long EVERY_MILLIS = 100;

        private final Pair pair;
        private final List<String> seen = new ArrayList<>();
        private final Thread thread;

        Sampler(Pair pair) {
            this.pair = pair;
            this.thread = Thread.ofPlatform().daemon().name("sampler").start(this::sample);
        }

        private void sample() {
            try {
                while (true) {
                    Thread.sleep(EVERY_MILLIS);
                    seen.add(pair.state());
                }
            } catch (InterruptedException | ProblemException e) {
                // The end, asked for or because there is nothing to look at.
            }
        }

        Map<String, Integer> end() throws InterruptedException {
            thread.interrupt();
            thread.join();
            Map<String, Integer> counts = new TreeMap<>();
            seen.forEach(each -> counts.merge(each, 1, Integer::sum));
            return counts;
        }

        @Override
        public void close() throws InterruptedException {
            end();
        }
    }
}
