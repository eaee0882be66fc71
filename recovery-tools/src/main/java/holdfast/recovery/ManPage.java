package holdfast.recovery;

import picocli.CommandLine;
import picocli.CommandLine.Help.Ansi;
import picocli.CommandLine.Model.ArgSpec;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

import java.util.List;
import java.util.Locale;
import java.util.Map;

/// The manual page of a command in the macros of man(7), from what `--help` shows as well.
/// Picocli's own generator writes AsciiDoc, which takes a Ruby program to become a page.
final class ManPage {
    private final StringBuilder out = new StringBuilder();

    private ManPage() {}

    static String of(CommandLine command) {
        return new ManPage().page(command);
    }

    private String page(CommandLine command) {
        CommandSpec spec = command.getCommandSpec();
        String name = spec.qualifiedName("-");
        List<String> description = List.of(spec.usageMessage().description());
        // The date stays empty: a page is the same from every build of a version.
        line(
                ".TH %s 8 \"\" \"holdfast %s\" \"Holdfast\"",
                escaped(name.toUpperCase(Locale.ROOT)), Version.number());
        section("NAME");
        line("%s \\- %s", escaped(name), escaped(withoutPeriod(description.getFirst())));
        section("SYNOPSIS");
        text(command.getHelp().synopsis(0).replaceAll("\\s+", " ").strip());
        section("DESCRIPTION");
        text(description.getFirst());
        description.stream().skip(1).forEach(this::paragraph);
        if (!command.getSubcommands().isEmpty()) {
            section("COMMANDS");
            command.getSubcommands()
                    .forEach(
                            (verb, each) ->
                                    entry(
                                            verb,
                                            each.getCommandSpec().usageMessage().description()));
        }
        arguments("ARGUMENTS", spec.positionalParameters());
        arguments("OPTIONS", spec.options());
        Map<String, String> codes = spec.root().usageMessage().exitCodeList();
        section("EXIT STATUS");
        codes.forEach((code, meaning) -> entry(code, meaning));
        section("SEE ALSO");
        text(
                spec.parent() == null
                        ? "holdfast help COMMAND, holdfast help drbd"
                        : "holdfast(8), holdfast help drbd");
        return out.toString();
    }

    private void arguments(String title, List<? extends ArgSpec> all) {
        List<? extends ArgSpec> shown = all.stream().filter(each -> !each.hidden()).toList();
        if (shown.isEmpty()) {
            return;
        }
        section(title);
        for (ArgSpec each : shown) {
            String label =
                    switch (each) {
                        case OptionSpec option ->
                                String.join(", ", option.names())
                                        + (option.arity().max() == 0
                                                ? ""
                                                : "=" + option.paramLabel());
                        case PositionalParamSpec parameter -> parameter.paramLabel();
                        default -> throw new IllegalStateException(each.toString());
                    };
            entry(label, each.description());
        }
    }

    private void section(String title) {
        line(".SH \"%s\"", title);
    }

    private void entry(String label, String... words) {
        line(".TP");
        line("\\fB%s\\fR", escaped(label));
        text(words.length == 0 ? "See above." : String.join(" ", words));
    }

    private void paragraph(String words) {
        line(".PP");
        text(words);
    }

    private void text(String words) {
        String rendered = Ansi.OFF.string(words).replace("%%", "%").strip();
        line("%s", escaped(rendered));
    }

    private void line(String format, Object... values) {
        out.append(format.formatted(values)).append('\n');
    }

    private static String withoutPeriod(String sentence) {
        return sentence.replaceAll("[.:]$", "");
    }

    /// A dot or quote at the start of a line would be a macro, and a plain hyphen may be typeset as
    /// another character than the one to be typed.
    private static String escaped(String words) {
        String safe = words.replace("\\", "\\e").replace("-", "\\-");
        return safe.startsWith(".") || safe.startsWith("'") ? "\\&" + safe : safe;
    }
}
