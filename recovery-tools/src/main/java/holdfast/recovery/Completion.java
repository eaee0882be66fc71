package holdfast.recovery;

import picocli.AutoComplete;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

import java.util.concurrent.Callable;

@Command(
        name = "completion",
        description = {
            "Prints what makes a shell complete these commands and their options.",
            "  source <(holdfast completion bash)   # also in ~/.bashrc; zsh alike"
        },
        mixinStandardHelpOptions = true)
final class Completion implements Callable<Integer> {
    /// The script is the same: it loads bashcompinit when a zsh reads it.
    enum Shell {
        BASH,
        ZSH
    }

    @ParentCommand private Holdfast holdfast;
    @Spec private CommandSpec spec;

    @SuppressWarnings("unused") // both read the same script
    @Parameters(paramLabel = "bash|zsh", description = "For which shell.")
    private Shell shell;

    @Override
    public Integer call() {
        holdfast.terminal().print(AutoComplete.bash("holdfast", spec.parent().commandLine()));
        return 0;
    }
}
