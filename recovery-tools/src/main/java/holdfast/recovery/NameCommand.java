package holdfast.recovery;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ProblemException;

import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;

import java.util.concurrent.Callable;

/// An order about one resource that is answered by what was done.
abstract class NameCommand implements Callable<Integer> {
    @ParentCommand private Holdfast holdfast;

    @Parameters(paramLabel = "NAME")
    private String name;

    @Override
    public final Integer call() throws ProblemException {
        ControlApi.Done done = order(holdfast.api(), new ControlApi.NameRequest(name));
        return holdfast.answer(done, Lines.of(done));
    }

    abstract ControlApi.Done order(ControlApi api, ControlApi.NameRequest request)
            throws ProblemException;
}
