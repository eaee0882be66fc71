package holdfast;

import com.google.common.util.concurrent.RateLimiter;

import holdfast.replicator.state.BlockSet;
import holdfast.throttle.NanoClock;

import io.netty.buffer.ByteBuf;

import org.slf4j.Logger;

import picocli.CommandLine;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.LongSupplier;
import java.util.function.Supplier;
import java.util.random.RandomGenerator;
import java.util.stream.Collectors;

/// Classes that break one rule of [ArchitectureTest] each.
final class Offenders {
    record KnowsPicocli(CommandLine line) {}

    record KnowsGuava(RateLimiter limiter) {}

    record KnowsState(BlockSet blocks) {}

    record KnowsNetty(ByteBuf bytes) {}

    record HoldsLock(ReentrantLock lock) {}

    record HoldsChannel(FileChannel channel) {}

    record OpensSocket(InetSocketAddress address) {}

    record Logs(Logger log) {}

    static final class ReadsNanoTime {
        static long now() {
            return System.nanoTime();
        }
    }

    static final class ReadsNanoTimeByReference {
        static final LongSupplier CLOCK = System::nanoTime;
    }

    static final class ReadsInstant {
        static Instant now() {
            return Instant.now();
        }
    }

    static final class ReadsSystemNanoClock {
        static final NanoClock CLOCK = NanoClock.system();
    }

    static final class StartsThread {
        static void start(Runnable work) {
            Thread.startVirtualThread(work);
        }
    }

    static final class ReadsFile {
        static byte[] read(Path path) throws IOException {
            return Files.readAllBytes(path);
        }
    }

    static final class Prints {
        static void print(String line) {
            System.out.println(line);
        }
    }

    static final class SynchronizesMethod {
        int count;

        synchronized void increment() {
            count++;
        }
    }

    static final class SynchronizesBlock {
        private final Object guard = new Object();
        int count;

        void increment() {
            synchronized (guard) {
                count++;
            }
        }
    }

    static final class Waits {
        static void wake(Object other) {
            other.notifyAll();
        }
    }

    static final class DrawsUuid {
        static final Supplier<UUID> NEXT = UUID::randomUUID;
    }

    static final class DrawsMath {
        static double draw() {
            return Math.random();
        }
    }

    static final class MakesRandom {
        static int draw() {
            return new Random(1).nextInt();
        }
    }

    static final class ChoosesGenerator {
        static final RandomGenerator GENERATOR = RandomGenerator.getDefault();
    }

    static final class AsksForAddress {
        static int of(Object item) {
            return System.identityHashCode(item);
        }
    }

    static final class MakesHashMap {
        static final Map<String, String> MAP = new HashMap<>();
    }

    static final class MakesHashSetByReference {
        static final Supplier<Set<String>> SET = HashSet::new;
    }

    static final class MakesSetOf {
        static final Set<String> SET = Set.of("a", "b");
    }

    static final class CollectsToMap {
        static Map<String, Integer> lengths(List<String> words) {
            return words.stream().collect(Collectors.toMap(w -> w, String::length));
        }
    }

    static final class StreamsInParallel {
        static long count(List<String> words) {
            return words.parallelStream().count();
        }
    }
}
