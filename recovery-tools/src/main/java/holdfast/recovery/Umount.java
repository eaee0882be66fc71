package holdfast.recovery;

import holdfast.replicator.control.ControlApi;

import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;

import java.nio.file.Path;
import java.util.concurrent.Callable;

@Command(
        name = "umount",
        description = {
            "Undoes what `mount` did, also after a crash of the command or of the daemon.",
            "A directory that is in use is left as it is."
        },
        mixinStandardHelpOptions = true)
final class Umount implements Callable<Integer> {
    @ParentCommand private Holdfast holdfast;

    @Parameters(paramLabel = "DIR")
    private Path directory;

    @Override
    public Integer call() throws Exception {
        String resource = new ViewMounts(holdfast.paths(), holdfast.api()).umount(directory);
        ControlApi.Done done =
                ControlApi.Done.of("%s is no longer mounted at %s".formatted(resource, directory));
        return holdfast.answer(done, Lines.of(done));
    }
}
