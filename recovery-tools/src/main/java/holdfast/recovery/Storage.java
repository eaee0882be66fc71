package holdfast.recovery;

import holdfast.replicator.config.Size;
import holdfast.replicator.control.ControlApi;
import holdfast.replicator.status.Words;

import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;

import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;

@Command(
        name = "storage",
        description =
                "Names the directory for copies that have no disk of their own, and for journals.",
        mixinStandardHelpOptions = true)
final class Storage implements Callable<Integer> {
    @ParentCommand private Holdfast holdfast;

    @Parameters(paramLabel = "DIR", description = "It is made when it is not there.")
    private Path directory;

    @Option(
            names = "--max",
            paramLabel = "SIZE",
            description = "How much of it may be used, like 500GiB.")
    private Optional<Size> max;

    @Override
    public Integer call() throws Exception {
        Optional<Long> maxBytes = max.map(Size::bytes);
        ControlApi.StorageReply reply =
                holdfast.api()
                        .storage(
                                new ControlApi.StorageRequest(
                                        directory.toAbsolutePath().normalize().toString(),
                                        maxBytes));
        return holdfast.answer(
                reply,
                "Copies and journals go to %s: %s free%s.%n"
                        .formatted(
                                reply.path(),
                                Words.bytes(reply.freeBytes()),
                                reply.maxBytes()
                                        .map(b -> ", " + Words.bytes(b) + " may be used")
                                        .orElse("")));
    }
}
