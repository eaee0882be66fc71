package holdfast.sim;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.List;

/// Every event of a history.
final class Traced {
    private Traced() {}

    static List<String> lines(Plan plan) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        Simulation.run(plan, new PrintStream(bytes, false, StandardCharsets.UTF_8));
        return bytes.toString(StandardCharsets.UTF_8).lines().toList();
    }
}
