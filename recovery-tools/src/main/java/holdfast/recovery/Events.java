package holdfast.recovery;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ExitCode;
import holdfast.replicator.json.Json;

import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParentCommand;

import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.Locale;
import java.util.concurrent.Callable;

@Command(
        name = "events",
        description =
                "Prints what has happened, a line for each event; --json prints an object in each line.",
        mixinStandardHelpOptions = true)
final class Events implements Callable<Integer> {
    private static final DateTimeFormatter TIME =
            DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm:ss", Locale.ROOT)
                    .withZone(ZoneId.systemDefault());

    @ParentCommand private Holdfast holdfast;

    @Option(
            names = {"-f", "--follow"},
            description = "Go on with what happens.")
    private boolean follow;

    @Option(
            names = "--since",
            paramLabel = "NUMBER",
            defaultValue = "0",
            description = "Only events after this one.")
    private long since;

    @Override
    public Integer call() throws Exception {
        holdfast.api().events(new ControlApi.EventsRequest(since, follow), this::print);
        return ExitCode.DONE.number();
    }

    private void print(ControlApi.Event event) {
        holdfast.terminal()
                .print(
                        holdfast.json()
                                ? Json.write(event) + "\n"
                                : "%d  %s  %s  %s%s%n"
                                        .formatted(
                                                event.number(),
                                                TIME.format(event.time()),
                                                event.kind(),
                                                event.resource().map(r -> r + ": ").orElse(""),
                                                event.text()));
    }
}
