package holdfast.fuzz;

import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;

import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.lang.management.ManagementFactory;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/// Everything that reads bytes of a peer, a client or a disk, fed with damaged ones: it throws what
/// it documents and nothing else, takes no more memory than it declares, and what it accepts it can
/// write again. What of a resource's directory is one number, a presence or words for people has no
/// target: the number goes through the JDK's parser, and words may be any.
///
/// A few seconds in each build, always the same inputs; hours in `test/nightly`, from a fresh seed:
/// `-Dholdfast.fuzz.seconds` for each target, `-Dholdfast.fuzz.seed` the first, and
/// `-Dholdfast.fuzz.target` one of them. A failure says how to have it again.
class DecodersTest {
    private static final double SECONDS =
            Double.parseDouble(System.getProperty("holdfast.fuzz.seconds", "1.5"));
    private static final long FIRST_SEED = Long.getLong("holdfast.fuzz.seed", 1);
    private static final String ONLY = System.getProperty("holdfast.fuzz.target", "");
    private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

    static Stream<Target> targets() {
        return Stream.of(
                        WireTargets.all(),
                        DiskTargets.all(),
                        StateFileTargets.all(),
                        TextTargets.all(),
                        Stream.of(NbdTarget.target()))
                .flatMap(each -> each)
                .filter(each -> ONLY.isEmpty() || each.name().equals(ONLY));
    }

    @ParameterizedTest
    @MethodSource("targets")
    @Timeout(value = 24, unit = TimeUnit.HOURS)
    void damagedBytesAreRefusedInWordsAndNeverHarm(Target target) {
        // Twice: the first time loads classes.
        for (byte[] seed : target.seeds()) {
            feed(target, 0, seed, Long.MAX_VALUE / 2);
            feed(target, 0, seed, target.heapBytes());
        }
        long end = System.nanoTime() + (long) (SECONDS * 1e9);
        long seed = FIRST_SEED;
        do {
            var mutator = new Mutator(seed);
            byte[] input = mutator.damage(target.seeds());
            feed(
                    target,
                    seed,
                    mutator.below(2) == 0 ? input : target.repair().apply(input),
                    target.heapBytes());
            seed++;
        } while (System.nanoTime() < end);
        System.out.printf("%s: %d inputs%n", target, seed - FIRST_SEED);
    }

    private static void feed(Target target, long seed, byte[] input, long heapBytes) {
        long limit = heapBytes + 16L * input.length;
        long before = THREADS.getCurrentThreadAllocatedBytes();
        long start = System.nanoTime();
        try {
            target.decoder().decode(input);
        } catch (Exception | LinkageError | StackOverflowError | OutOfMemoryError e) {
            throw new AssertionError(again(target, seed, input), e);
        }
        long taken = THREADS.getCurrentThreadAllocatedBytes() - before;
        assertTrue(
                taken <= limit,
                () ->
                        "took %d bytes, %d are allowed; %s"
                                .formatted(taken, limit, again(target, seed, input)));
        assertTrue(
                System.nanoTime() - start < 20_000_000_000L,
                () -> "took long; " + again(target, seed, input));
    }

    private static String again(Target target, long seed, byte[] input) {
        byte[] shown = input.length > 400 ? Arrays.copyOf(input, 400) : input;
        return "input of %d bytes, seed %d; again with: mvn -pl test -am test -Dtest=DecodersTest -Dholdfast.fuzz.target=%s -Dholdfast.fuzz.seed=%d -Dholdfast.fuzz.seconds=0 -Dsurefire.failIfNoSpecifiedTests=false; it begins %s"
                .formatted(input.length, seed, target, seed, HexFormat.of().formatHex(shown));
    }
}
