package holdfast.recovery;

import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

import java.io.PrintWriter;
import java.util.Optional;
import java.util.concurrent.Callable;

@Command(name = "help", description = "Says how a command is used; `help drbd` lists DRBD's verbs.")
final class Help implements Callable<Integer> {
    private static final String DRBD =
            """
            DRBD's verbs and what they are here. Resources have names and no minors, nothing of ours is written
            into a device, and there is no kernel module.

              drbdadm create-md NAME      nothing to do: `add` makes metadata beside the device, never in it
              drbdadm up NAME             holdfast up NAME          (connect and attach)
              drbdadm down NAME           holdfast down NAME        (detach and disconnect; --settle makes a copy a plain image)
              drbdadm attach NAME         holdfast attach NAME      (also exports it)
              drbdadm detach NAME         holdfast detach NAME
              drbdadm connect NAME        holdfast connect [NAME]
              drbdadm disconnect NAME     holdfast disconnect [NAME]
              drbdadm adjust NAME         holdfast adjust [--dry-run]
              drbdadm status NAME         holdfast status [NAME]
              drbdadm wait-connect NAME   holdfast wait NAME
              drbdadm pause-sync NAME     holdfast pause-sync NAME  (at the primary; the stream itself goes on)
              drbdadm resume-sync NAME    holdfast resume-sync NAME
              drbdadm invalidate NAME     holdfast invalidate NAME  (at the backup; compares, and mends what differs)
              drbdadm invalidate-remote   holdfast invalidate-remote NAME (at the primary)
              drbdadm verify NAME         holdfast verify NAME      (at the primary; then: verify NAME --repair HOST)
              drbdadm resize NAME         holdfast resize NAME      (at the primary, after its device was enlarged)
              drbdadm dump-md NAME        holdfast dump-md NAME     (with or without a daemon)
              drbdsetup events2           holdfast events --follow
              cat /proc/drbd              holdfast status
              watch cat /proc/drbd        holdfast status --watch
              primary --force NAME        the first sync: holdfast add NAME DISK, typed where the data is
              primary NAME (failover)     holdfast promote NAME     (at the backup; --force beside a primary that is alive)
              secondary NAME              holdfast detach NAME; then at the other host: holdfast promote NAME
              connect --discard-my-data   holdfast connect --discard-my-data NAME, or reconnect NAME --discard HOST
                                          (at the host that gives up its own; reconnect NAME says first what both did)
              secondary + mount -o ro     read the copy: holdfast mount NAME DIR or open NAME, at the backup; nothing is promoted

            Not there yet: outdate.
            Not coming: two primaries over a long line, after-sb-* policies that are on by default.
            """;

    @Spec private CommandSpec spec;

    @Option(names = "--man", description = "As a manual page: holdfast help --man add | man -l -")
    private boolean man;

    @Parameters(paramLabel = "COMMAND", arity = "0..1", description = "A command, or drbd.")
    private Optional<String> topic;

    @Override
    public Integer call() {
        CommandLine root = spec.parent().commandLine();
        if (topic.isEmpty()) {
            show(root);
            return 0;
        }
        if (topic.get().equals("drbd")) {
            root.getOut().print(DRBD);
            return 0;
        }
        CommandLine command = root.getSubcommands().get(topic.get());
        if (command == null) {
            throw new CommandLine.ParameterException(
                    spec.commandLine(), "there is no command " + topic.get());
        }
        show(command);
        return 0;
    }

    private void show(CommandLine command) {
        PrintWriter out = spec.parent().commandLine().getOut();
        if (man) {
            out.print(ManPage.of(command));
        } else {
            command.usage(out);
        }
    }
}
