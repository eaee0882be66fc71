package holdfast.bench;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/// What fio does to an export, all over it.
///
/// Its data is half incompressible and never the same twice: what repeats would cost the link
/// nothing. The sequential one lasts three times as long: what it measures is not the burst into an
/// empty send buffer alone, and the host's own ups and downs last for a second.
enum Load {
    RANDOM_WRITE_1("randwrite 4k qd1", "randwrite", "4k", 1, 0),
    RANDOM_WRITE_32("randwrite 4k qd32", "randwrite", "4k", 32, 0),
    /// The same at a pace that every target can keep: what counts is the processor time.
    RANDOM_WRITE_PACED("randwrite 4k qd32, 4000/s", "randwrite", "4k", 32, 4000),
    RANDOM_READ_32("randread 4k qd32", "randread", "4k", 32, 0),
    SEQUENTIAL_WRITE("write 1m qd4", "write", "1m", 4, 0),
    /// The same at 1.7 Gbit/s, which the link's threads can carry beside it.
    SEQUENTIAL_WRITE_PACED("write 1m qd4, 200/s", "write", "1m", 4, 200);

    /// Fields of fio's terse output, version 3: `total_io` in KiB, then after the bandwidth IOPS.
    private static final int READ_FIELDS = 5;

    private static final int WRITE_FIELDS = 46;

    private final String title;
    private final String pattern;
    private final String block;
    private final int depth;
    private final int paceIops;

    Load(String title, String pattern, String block, int depth, int paceIops) {
        this.title = title;
        this.pattern = pattern;
        this.block = block;
        this.depth = depth;
        this.paceIops = paceIops;
    }

    String title() {
        return title;
    }

    boolean isSequential() {
        return block.equals("1m");
    }

    boolean isPaced() {
        return paceIops > 0;
    }

    /// @param operations in all
    record Done(double operationsPerSecond, double operations) {}

    /// Runs it for so long, or as often as the class says.
    Done run(String uri, double shortSeconds) throws IOException, InterruptedException {
        double seconds = isSequential() ? 3 * shortSeconds : shortSeconds;
        List<String> fio =
                new ArrayList<>(
                        List.of(
                                "fio",
                                "--name=bench",
                                "--ioengine=nbd",
                                "--uri=" + uri,
                                "--rw=" + pattern,
                                "--bs=" + block,
                                "--iodepth=" + depth,
                                "--norandommap",
                                "--randseed=20260101",
                                "--refill_buffers",
                                "--buffer_compress_percentage=50",
                                "--time_based",
                                "--runtime=" + Math.round(seconds * 1000) + "ms",
                                "--output-format=terse",
                                "--terse-version=3"));
        if (isPaced()) {
            fio.add("--rate_iops=" + paceIops);
        }
        String out = Programs.run(fio);
        String line =
                out.lines()
                        .filter(each -> each.startsWith("3;fio"))
                        .findFirst()
                        .orElseThrow(() -> new IOException("fio printed no figures:\n" + out));
        String[] fields = line.split(";");
        int at = pattern.equals("randread") ? READ_FIELDS : WRITE_FIELDS;
        double operationKib = block.equals("1m") ? 1024 : 4;
        double operations = Double.parseDouble(fields[at]) / operationKib;
        double millis = Double.parseDouble(fields[at + 3]);
        return new Done(operations * 1000 / Math.max(1, millis), operations);
    }
}
