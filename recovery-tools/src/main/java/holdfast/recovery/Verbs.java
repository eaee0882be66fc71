package holdfast.recovery;

import picocli.CommandLine;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Supplier;

/// The subcommands by name. Only the one that was typed is made and registered: the model of all of
/// them costs a hundred milliseconds at each start. Where help or a suggestion is wanted, all are.
final class Verbs {
    private static final Map<String, Supplier<Object>> ALL = new LinkedHashMap<>();

    static {
        ALL.put("demo", Demo::new);
        ALL.put("init", Init::new);
        ALL.put("invite", Invite::new);
        ALL.put("join", Join::new);
        ALL.put("storage", Storage::new);
        ALL.put("add", Add::new);
        ALL.put("permit", Permit::new);
        ALL.put("attach", Attach::new);
        ALL.put("detach", Detach::new);
        ALL.put("status", Status::new);
        ALL.put("wait", Wait::new);
        ALL.put("verify", Verify::new);
        ALL.put("mark", Mark::new);
        ALL.put("points", Points::new);
        ALL.put("keep", Keep::new);
        ALL.put("open", Open::new);
        ALL.put("close", Close::new);
        ALL.put("mount", Mount::new);
        ALL.put("umount", Umount::new);
        ALL.put("drill", Drill::new);
        ALL.put("promote", Promote::new);
        ALL.put("reconnect", Reconnect::new);
        ALL.put("remove", Remove::new);
        ALL.put("adjust", Adjust::new);
        ALL.put("events", Events::new);
        ALL.put("doctor", Doctor::new);
        ALL.put("peers", Peers::new);
        ALL.put("daemon", Daemon::new);
        ALL.put("shutdown", Shutdown::new);
        ALL.put("up", Up::new);
        ALL.put("down", Down::new);
        ALL.put("connect", Connect::new);
        ALL.put("disconnect", Disconnect::new);
        ALL.put("pause-sync", PauseSync::new);
        ALL.put("resume-sync", ResumeSync::new);
        ALL.put("invalidate", Invalidate::new);
        ALL.put("invalidate-remote", InvalidateRemote::new);
        ALL.put("resize", Resize::new);
        ALL.put("dump-md", DumpMd::new);
        ALL.put("extract", ExtractCommand::new);
        ALL.put("completion", Completion::new);
        ALL.put("help", Help::new);
    }

    private Verbs() {}

    static void register(CommandLine line, String[] args) {
        String verb = verb(args);
        if (ALL.containsKey(verb) && !verb.equals("help") && !verb.equals("completion")) {
            line.addSubcommand(verb, ALL.get(verb).get());
        } else if (!verb.isEmpty() || !isVersion(args)) {
            ALL.forEach((name, command) -> line.addSubcommand(name, command.get()));
        }
    }

    private static boolean isVersion(String[] args) {
        return args.length == 1 && (args[0].equals("--version") || args[0].equals("-V"));
    }

    /// The first word that is neither an option nor the value of `--root`.
    private static String verb(String[] args) {
        for (int i = 0; i < args.length; i++) {
            if (args[i].equals("--root")) {
                i++;
            } else if (!args[i].startsWith("-")) {
                return args[i];
            }
        }
        return "";
    }
}
