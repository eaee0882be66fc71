package holdfast.system;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.LockSupport;

/// A Java agent: takes all of the heap of the process that it was loaded into when a file appears.
public final class HeapEater {
    private static final List<byte[]> TAKEN = new ArrayList<>();

    private HeapEater() {}

    /// @param sign the file
    public static void premain(String sign) {
        Thread.ofPlatform().daemon().name("heap eater").start(() -> eat(Path.of(sign)));
    }

    private static void eat(Path sign) {
        while (!Files.exists(sign)) {
            LockSupport.parkNanos(50_000_000);
        }
        while (true) {
            TAKEN.add(new byte[256 << 10]);
        }
    }
}
