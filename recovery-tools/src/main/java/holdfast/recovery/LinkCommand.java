package holdfast.recovery;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ProblemException;

import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;

import java.util.Optional;
import java.util.concurrent.Callable;

/// A command about the link: of one resource, or of all when none is named.
abstract class LinkCommand implements Callable<Integer> {
    @ParentCommand private Holdfast holdfast;

    @Parameters(
            paramLabel = "NAME",
            arity = "0..1",
            description = "A resource. Default: the whole link.")
    private Optional<String> name;

    @Override
    public final Integer call() throws ProblemException {
        ControlApi.Done done = order(holdfast.api(), new ControlApi.LinkRequest(name));
        return holdfast.answer(done, Lines.of(done));
    }

    abstract ControlApi.Done order(ControlApi api, ControlApi.LinkRequest request)
            throws ProblemException;
}
