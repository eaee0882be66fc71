package holdfast.replicator.daemon;

import holdfast.replicator.config.HandlerSettings;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.device.ProcessGroup;
import holdfast.replicator.state.Role;
import holdfast.tunnel.wire.Position;

import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/// Runs the commands of `[handlers]` for what happens to resources, and tells how each ended as an
/// event. Whoever tells an event here does not wait: the command runs later, on a thread of the
/// pool. Those of one resource run one after the other in the order of the events.
///
/// | limit                              | value             | beyond it                         |
/// |------------------------------------|-------------------|-----------------------------------|
/// | commands at once                   | [#AT_ONCE]        | they wait                         |
/// | commands that wait                 | [#MAX_WAITING]    | `handler-dropped`                 |
/// | time of one                        | `handlers.timeout` | killed with its children         |
/// | output that is shown               | [#OUTPUT_BYTES]   | its end is shown, the rest passed over, 1.3 MB/s at most |
///
/// No handler follows from what happens to a handler.
final class Handlers implements AutoCloseable {
    static final int AT_ONCE = 4;
    static final int MAX_WAITING = 256;
    static final int OUTPUT_BYTES = 1000;

    /// Makes a command the leader of a process group, so that its children can be killed with it.
    private static final Path SETSID = Path.of("/usr/bin/setsid");

    private static final String SEARCH_PATH =
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

    /// How often the output of a command is taken. A pipe holds 64 KiB, so a flood is slowed to 1.3
    /// MB/s, and nobody has to wait for who else has inherited the pipe.
    private static final long LOOK_MILLIS = 50;

    /// Of a text that goes into the environment: a peer's words may be in it.
    private static final int TEXT_CHARS = 1000;

    private final Supplier<HandlerSettings> settings;
    private final Function<String, Optional<LocalResource>> resources;
    private final Function<String, Optional<ResourceDir.Facts>> facts;
    private final Function<String, Optional<InetAddress>> addresses;
    private final String node;
    private final Events events;
    private final Executor pool;

    // All below is guarded by this object, which is held for moments.
    private final ArrayDeque<Call> waiting = new ArrayDeque<>();
    private final Set<String> busy = new HashSet<>();
    private final List<Process> running = new ArrayList<>();
    private int workers;
    private boolean closed;

    /// @param blocks how many differ, of what is out of sync; else empty
    private record Call(
            String name, String command, Duration timeout, ControlApi.Event event, String blocks) {
        String resource() {
            return event.resource().orElseThrow();
        }
    }

    /// @param resources those that are open, by name, to tell a command what it is about
    /// @param facts likewise, also of what is not open, as between two roles
    /// @param addresses of peers, by name
    Handlers(
            Supplier<HandlerSettings> settings,
            Function<String, Optional<LocalResource>> resources,
            Function<String, Optional<ResourceDir.Facts>> facts,
            Function<String, Optional<InetAddress>> addresses,
            String node,
            Events events,
            Executor pool) {
        this.settings = settings;
        this.resources = resources;
        this.facts = facts;
        this.addresses = addresses;
        this.node = node;
        this.events = events;
        this.pool = pool;
    }

    /// What has happened; under any lock.
    void happened(ControlApi.Event event) {
        HandlerSettings now = settings.get();
        if (now.commands().isEmpty() || event.resource().isEmpty()) {
            return;
        }
        for (String name : namesOf(event)) {
            String command = now.commands().get(name);
            if (command != null) {
                add(new Call(name, command, now.timeout(), event, blocks(name, event)));
            }
        }
    }

    /// What an event means, in DRBD's names where it has one.
    private List<String> namesOf(ControlApi.Event event) {
        return switch (event.kind()) {
            case "connection-changed" -> {
                ControlApi.StateChange change = event.change().orElseThrow();
                if (change.to().equals("CONNECTED")) {
                    yield List.of("connect");
                }
                yield change.from().equals("CONNECTED") ? List.of("disconnect") : List.of();
            }
            case "disk-changed" ->
                    event.change().orElseThrow().to().equals("FAILED")
                            ? List.of("local-io-error")
                            : List.of();
            // Told once, and once an hour while it goes on.
            case "read-error", "no-space" -> List.of("local-io-error");
            case "sync-started" -> List.of("before-resync-" + side(event));
            case "sync-done" -> List.of("after-resync-" + side(event));
            case "sync-interrupted" -> List.of("resync-interrupted");
            case "verify-differs" -> List.of("out-of-sync");
            case "split-brain" -> List.of("initial-split-brain", "split-brain");
            case "role-changed" -> List.of("role-change");
            case "drill-passed", "drill-failed" -> List.of("drill-result");
            case "pin-made" -> List.of("checkpoint-pinned");
            case "pin-dropped", "pin-expired", "pin-lost", "pin-damaged" ->
                    List.of("checkpoint-unpinned");
            default -> List.of();
        };
    }

    private String side(ControlApi.Event event) {
        return isPrimary(event.resource().orElseThrow()) ? "source" : "target";
    }

    private boolean isPrimary(String resource) {
        return facts.apply(resource).filter(ResourceDir.Facts::isPrimary).isPresent();
    }

    private void add(Call call) {
        synchronized (this) {
            if (closed) {
                return;
            }
            if (waiting.size() < MAX_WAITING) {
                waiting.add(call);
                if (workers < AT_ONCE) {
                    workers++;
                    pool.execute(this::work);
                }
                return;
            }
        }
        events.soon(
                call.resource(),
                "handler-dropped",
                "%s: %d commands are waiting already".formatted(call.name(), MAX_WAITING));
    }

    private void work() {
        for (Call call = next(); call != null; call = next()) {
            try {
                run(call);
            } catch (IOException | RuntimeException e) {
                tell(call, "handler-failed", "cannot be run: " + e.getMessage());
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            } finally {
                ended(call);
            }
        }
    }

    /// The first whose resource has none running. Null: this worker has ended, and whoever keeps
    /// the others from going goes on with them himself.
    private synchronized Call next() {
        for (Call each : waiting) {
            if (!closed && busy.add(each.resource())) {
                waiting.remove(each);
                return each;
            }
        }
        workers--;
        return null;
    }

    private synchronized void ended(Call call) {
        busy.remove(call.resource());
    }

    // ---- one command -------------------------------------------------------------------------

    private void run(Call call) throws IOException, InterruptedException {
        String[] words = call.command().split(" +");
        Optional<String> danger = HandlerFile.danger(Path.of(words[0]));
        if (danger.isPresent()) {
            tell(call, "handler-refused", danger.get());
            return;
        }
        List<String> command = new ArrayList<>(Arrays.asList(words));
        if (Files.isExecutable(SETSID)) {
            command.addFirst(SETSID.toString());
        }
        ProcessBuilder builder =
                new ProcessBuilder(command)
                        .directory(Path.of("/").toFile())
                        .redirectInput(Path.of("/dev/null").toFile())
                        .redirectErrorStream(true);
        builder.environment().clear();
        builder.environment().putAll(environment(call));
        long start = System.nanoTime();
        Process process = builder.start();
        if (!begun(process)) {
            kill(process);
        }
        Tail output = new Tail();
        boolean inTime;
        try (InputStream from = process.getInputStream()) {
            inTime = await(process, call.timeout(), from, output);
            if (!inTime) {
                kill(process);
                process.waitFor();
            }
        } finally {
            over(process);
        }
        double seconds = (System.nanoTime() - start) / 1e9;
        if (!inTime) {
            tell(
                    call,
                    "handler-timeout",
                    "did not end within %d s and was killed with its children%s"
                            .formatted(call.timeout().toSeconds(), output));
        } else if (process.exitValue() == 0) {
            tell(call, "handler-done", "ended with 0 after %.1f s%s".formatted(seconds, output));
        } else {
            tell(
                    call,
                    "handler-failed",
                    "ended with %d after %.1f s%s".formatted(process.exitValue(), seconds, output));
        }
    }

    /// @return false when the time is over
    private static boolean await(Process process, Duration limit, InputStream from, Tail output)
            throws IOException, InterruptedException {
        long deadline = System.nanoTime() + limit.toNanos();
        while (!process.waitFor(LOOK_MILLIS, TimeUnit.MILLISECONDS)) {
            output.take(from);
            if (System.nanoTime() - deadline > 0) {
                return false;
            }
        }
        output.take(from);
        return true;
    }

    private synchronized boolean begun(Process process) {
        running.add(process);
        return !closed;
    }

    private synchronized void over(Process process) {
        running.remove(process);
    }

    private static void kill(Process process) {
        List<ProcessHandle> children = process.descendants().toList();
        if (process.isAlive()) {
            ProcessGroup.kill(process.pid());
        }
        children.forEach(ProcessHandle::destroyForcibly);
        process.destroyForcibly();
    }

    private Map<String, String> environment(Call call) {
        ControlApi.Event event = call.event();
        Optional<LocalResource> resource = resources.apply(call.resource());
        Optional<ResourceDir.Facts> known = facts.apply(call.resource());
        Optional<ControlApi.StateChange> change = event.change();
        return Map.ofEntries(
                Map.entry("PATH", SEARCH_PATH),
                Map.entry("LANG", "C.UTF-8"),
                Map.entry("HOLDFAST_EVENT", call.name()),
                Map.entry("HOLDFAST_RESOURCE", call.resource()),
                Map.entry("HOLDFAST_NODE", node),
                Map.entry("HOLDFAST_PEER", known.map(ResourceDir.Facts::peer).orElse("")),
                Map.entry(
                        "HOLDFAST_PEER_ADDRESS",
                        known.flatMap(each -> addresses.apply(each.peer()))
                                .map(InetAddress::getHostAddress)
                                .orElse("")),
                Map.entry(
                        "HOLDFAST_VOLUMES",
                        known.map(each -> volumes(call.resource(), each)).orElse("")),
                Map.entry("HOLDFAST_GENERATION", resource.map(Handlers::generation).orElse("")),
                Map.entry(
                        "HOLDFAST_ROLE",
                        known.map(each -> (each.isPrimary() ? Role.PRIMARY : Role.SECONDARY).name())
                                .orElse("")),
                Map.entry("HOLDFAST_DISK", known.map(ResourceDir.Facts::words).orElse("")),
                Map.entry("HOLDFAST_KIND", event.kind()),
                Map.entry("HOLDFAST_NUMBER", Long.toString(event.number())),
                Map.entry("HOLDFAST_TIME", event.time().toString()),
                Map.entry("HOLDFAST_FROM", change.map(ControlApi.StateChange::from).orElse("")),
                Map.entry("HOLDFAST_TO", change.map(ControlApi.StateChange::to).orElse("")),
                Map.entry("HOLDFAST_BLOCKS", call.blocks()),
                Map.entry("HOLDFAST_TEXT", harmless(event.text())));
    }

    /// Their names, as clients of NBD know them.
    private static String volumes(String name, ResourceDir.Facts of) {
        return IntStream.range(0, of.disks().size())
                .mapToObj(each -> VolumeExport.name(name, each))
                .collect(Collectors.joining(" "));
    }

    /// As positions are shown; nothing of a copy that has no moment yet.
    private static String generation(LocalResource of) {
        Position at =
                switch (of) {
                    case LocalPrimary primary ->
                            new Position(primary.dir().superblock().ancestry().generation(), 0);
                    case LocalBackup backup -> backup.resource().snapshot().committed();
                };
        return at.isNone() ? "" : "%06x".formatted(at.generation() >>> 40);
    }

    /// How many blocks differ, by the report that is stored before it is told of. Another one may
    /// be there when the command is run.
    private String blocks(String name, ControlApi.Event event) {
        if (!name.equals("out-of-sync")) {
            return "";
        }
        return resources
                .apply(event.resource().orElseThrow())
                .flatMap(LocalResource::lastVerify)
                .map(each -> Long.toString(each.differingBlocks()))
                .orElse("");
    }

    /// One line without control characters, of bounded length.
    private static String harmless(String text) {
        String line = text.replaceAll("\\p{Cntrl}+", " ").strip();
        return line.substring(0, Math.min(line.length(), TEXT_CHARS));
    }

    private void tell(Call call, String kind, String text) {
        events.of(call.resource())
                .accept(
                        kind,
                        "%s: %s %s".formatted(call.name(), call.command().split(" ", 2)[0], text));
    }

    /// The end of what a command prints.
    private static final class Tail {
        private final byte[] buffer = new byte[64 << 10];
        private byte[] end = new byte[0];

        /// Takes what is there, and no more than that at once.
        void take(InputStream from) throws IOException {
            int there = Math.min(from.available(), buffer.length);
            int got = there == 0 ? 0 : from.read(buffer, 0, there);
            if (got > 0) {
                byte[] all = Arrays.copyOf(end, end.length + got);
                System.arraycopy(buffer, 0, all, end.length, got);
                end = Arrays.copyOfRange(all, Math.max(0, all.length - OUTPUT_BYTES), all.length);
            }
        }

        @Override
        public String toString() {
            String text = harmless(new String(end, StandardCharsets.UTF_8));
            return text.isEmpty() ? "" : ": " + text;
        }
    }

    /// Nothing is run any more; what runs is killed.
    @Override
    public void close() {
        List<Process> left;
        synchronized (this) {
            closed = true;
            waiting.clear();
            left = List.copyOf(running);
        }
        left.forEach(Handlers::kill);
    }
}
