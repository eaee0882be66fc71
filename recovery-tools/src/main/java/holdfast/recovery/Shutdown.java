package holdfast.recovery;

import holdfast.replicator.control.ControlApi;

import picocli.CommandLine.Command;
import picocli.CommandLine.ParentCommand;

import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

@Command(
        name = "shutdown",
        description = "Stops the daemon cleanly and waits for its end.",
        mixinStandardHelpOptions = true)
final class Shutdown implements Callable<Integer> {
    private static final long END_LIMIT_SECONDS = 60;

    @ParentCommand private Holdfast holdfast;

    @Override
    public Integer call() throws Exception {
        ControlApi api = holdfast.api();
        Optional<ProcessHandle> daemon = ProcessHandle.of(api.status().node().pid());
        ControlApi.Done done = api.shutdown();
        daemon.ifPresent(this::await);
        return holdfast.answer(done, Lines.of(done));
    }

    /// So that what follows in a script finds the devices closed.
    private void await(ProcessHandle daemon) {
        try {
            daemon.onExit().get(END_LIMIT_SECONDS, TimeUnit.SECONDS);
        } catch (TimeoutException _) {
            holdfast.terminal().err().println("process " + daemon.pid() + " still runs");
        } catch (ExecutionException | InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }
}
