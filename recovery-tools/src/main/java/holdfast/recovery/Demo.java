package holdfast.recovery;

import holdfast.replicator.control.ExitCode;
import holdfast.replicator.control.NodePaths;
import holdfast.replicator.control.Problem;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.status.StatusTable;
import holdfast.replicator.status.Words;

import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParentCommand;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.ZoneId;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.stream.Stream;

@Command(
        name = "demo",
        description = {
            "Shows it all on this machine, without root: two sites, a volume, its copy, a cut link.",
            "On a terminal the sites stay until Ctrl-C, for you to try things; else it ends by itself."
        },
        exitCodeList = {"0:every copy that was opened was right", "8:one was not"},
        mixinStandardHelpOptions = true)
final class Demo implements Callable<Integer> {
    private static final String MARK = ".holdfast-demo";

    @ParentCommand private Holdfast holdfast;

    @Option(
            names = "--dir",
            paramLabel = "DIR",
            description = "Where to make the sites, and keep them. Default: a new temporary one.")
    private Optional<Path> given;

    @Option(
            names = "--image",
            paramLabel = "FILE",
            description = "Replicate a copy of this disk image.")
    private Optional<Path> image;

    /// Ctrl-C was typed: a daemon that does not answer any more is no news.
    private static volatile boolean stopping;

    private record Result(
            boolean right, List<String> wrong, String directory, DemoStory.Outcome outcome) {}

    @Override
    public Integer call() throws Exception {
        if (image.isPresent() && !Files.isRegularFile(image.get())) {
            throw refused("there is no image " + image.get(), "ls -l " + image.get());
        }
        Path directory = directory();
        // Its text goes to standard error with --json, so that standard output is JSON alone.
        Terminal terminal = holdfast.json() ? onStandardError() : holdfast.terminal();
        var story = new DemoStory(terminal, directory, image);
        boolean[] keep = {true};
        Thread hook =
                Thread.ofPlatform()
                        .unstarted(
                                () -> {
                                    stopping = true;
                                    end(story, directory, keep[0]);
                                });
        Runtime.getRuntime().addShutdownHook(hook);
        boolean told = false;
        try {
            DemoStory.Outcome outcome = story.tell();
            told = true;
            keep[0] = given.isPresent() || !outcome.isRight();
            terminal.print(summary(outcome));
            if (holdfast.json()) {
                holdfast.answer(
                        new Result(
                                outcome.isRight(), outcome.wrong(), directory.toString(), outcome),
                        "");
            }
            if (terminal.interactive()) {
                stay(story, terminal, summary(outcome));
            }
            return (outcome.isRight() ? ExitCode.DONE : ExitCode.DIFFERENT).number();
        } finally {
            if (!told) {
                terminal.err().println("The sites and their logs are kept in " + directory);
            }
            end(story, directory, keep[0]);
            removeHook(hook);
        }
    }

    private static void removeHook(Thread hook) {
        try {
            Runtime.getRuntime().removeShutdownHook(hook);
        } catch (IllegalStateException _) {
            // It runs already: Ctrl-C.
        }
    }

    private static synchronized void end(DemoStory story, Path directory, boolean keep) {
        story.close();
        if (!keep) {
            delete(directory);
        }
    }

    private Path directory() throws IOException, ProblemException {
        if (given.isEmpty()) {
            // A short path, because Unix sockets allow only 107 bytes.
            return Files.createTempDirectory("hf-demo-");
        }
        Path directory = given.get().toAbsolutePath().normalize();
        if (Files.isDirectory(directory)) {
            boolean isOurs = Files.exists(directory.resolve(MARK));
            try (Stream<Path> entries = Files.list(directory)) {
                if (!isOurs && entries.findAny().isPresent()) {
                    throw refused(
                            directory + " is not empty and no demo made it",
                            "choose another --dir");
                }
            }
            for (String site : isOurs ? List.of("server", "backup") : List.<String>of()) {
                if (DaemonProcess.answers(NodePaths.under(directory.resolve(site)))) {
                    throw refused(
                            "another demo runs in " + directory, "end it, or choose another --dir");
                }
            }
            delete(directory);
        }
        Files.createDirectories(directory);
        Files.createFile(directory.resolve(MARK));
        return directory;
    }

    private static ProblemException refused(String cause, String next) {
        return new ProblemException(
                Problem.of(ExitCode.REFUSED, "this host", cause).withNext(next));
    }

    private Terminal onStandardError() {
        Terminal t = holdfast.terminal();
        return new Terminal(t.err(), t.err(), t.in(), false);
    }

    private static String summary(DemoStory.Outcome o) {
        var out = new StringBuilder("\n");
        double ratio = o.sentRawBytes() == 0 ? 0 : (double) o.sentWireBytes() / o.sentRawBytes();
        line(out, "volume", Words.bytes(o.volumeBytes()));
        line(out, "first sync", String.format(Locale.ROOT, "%.1f s", o.firstSyncSeconds()));
        line(out, "writes", "%,d of 4 KiB".formatted(o.writes()));
        line(
                out,
                "sent",
                "%s on the wire for %s: ratio %s"
                        .formatted(
                                Words.bytes(o.sentWireBytes()),
                                Words.bytes(o.sentRawBytes()),
                                String.format(Locale.ROOT, "%.2f", ratio)));
        line(out, "copy", o.isRight() ? "right each time it was opened" : "WRONG");
        o.wrong().forEach(w -> line(out, "", w));
        return out.append('\n').toString();
    }

    private static void line(StringBuilder out, String name, String value) {
        out.append("  %-12s %s%n".formatted(name, value));
    }

    /// Live status until Ctrl-C, which runs the shutdown hook.
    private static void stay(DemoStory story, Terminal terminal, String summary)
            throws InterruptedException {
        String program = program();
        String server = program + " --root " + story.server().paths().root().orElseThrow();
        String backup = program + " --root " + story.backup().paths().root().orElseThrow();
        String hints =
                """

                The sites stay until Ctrl-C. In another terminal:
                  write          qemu-io -f raw -c 'write -P 0x5a 1M 256k' '%s'
                  read           nbdcopy '%s' server.img
                  cut the link   %s disconnect      and back: %s connect
                  watch          %s status --watch
                  open the copy  %s open %s
                """
                        .formatted(
                                story.exportUri(),
                                story.exportUri(),
                                server,
                                server,
                                backup,
                                backup,
                                DemoStory.RESOURCE);
        while (true) {
            String status;
            try {
                status = StatusTable.of(story.server().api().status(), ZoneId.systemDefault());
            } catch (ProblemException e) {
                if (stopping) {
                    return;
                }
                status = e.problem().text();
            }
            terminal.refresh(status + summary + hints);
            Thread.sleep(1000);
        }
    }

    /// How this program was called, for commands to paste.
    private static String program() {
        String launcher = System.getenv("HOLDFAST_BIN");
        if (launcher == null) {
            return "holdfast";
        }
        Path here = Path.of("").toAbsolutePath();
        Path path = Path.of(launcher);
        return path.startsWith(here) ? here.relativize(path).toString() : launcher;
    }

    static void delete(Path directory) {
        try (Stream<Path> all = Files.walk(directory)) {
            for (Path path : all.sorted(Comparator.reverseOrder()).toList()) {
                Files.deleteIfExists(path);
            }
        } catch (IOException _) {
            // What is left lies in a temporary directory.
        }
    }
}
