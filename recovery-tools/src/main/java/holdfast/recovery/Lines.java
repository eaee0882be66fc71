package holdfast.recovery;

import holdfast.replicator.control.ControlApi;

/// What was done, a sentence in each line.
final class Lines {
    private Lines() {}

    static String of(ControlApi.Done done) {
        var out = new StringBuilder();
        done.lines().forEach(line -> out.append(line).append('\n'));
        return out.toString();
    }
}
