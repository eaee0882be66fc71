package holdfast.replicator.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import org.junit.jupiter.api.Test;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ThreadFactory;

class GivingWayTest {
    private static int nice() {
        String stat = LinuxText.read(Path.of("/proc/thread-self/stat"));
        return Integer.parseInt(stat.substring(stat.lastIndexOf(')') + 2).split(" ")[16]);
    }

    @Test
    void aPoolThreadThatTheLinkStartedIsAsOthersAre() throws Exception {
        assumeTrue(Files.getAttribute(Path.of("/proc/self"), "unix:uid").equals(0), "needs root");
        int usual = nice();
        ThreadFactory usualThreads = GivingWay.never(Thread.ofPlatform().factory());
        var link = new CompletableFuture<Integer>();
        var heir = new CompletableFuture<Integer>();
        var work = new CompletableFuture<Integer>();
        Thread.ofPlatform()
                .start(
                        () -> {
                            GivingWay.fromNowOn();
                            link.complete(nice());
                            Thread.ofPlatform().start(() -> heir.complete(nice()));
                            usualThreads.newThread(() -> work.complete(nice())).start();
                        });
        assertEquals(Math.min(19, usual + 10), link.get());
        assertEquals(link.get(), heir.get(), "Linux: the value is inherited");
        assertEquals(usual, work.get());
    }
}
