package holdfast.replicator.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/// Which file owes an answer, and since when.
class DiskCallsTest {
    private static final String PATH = "/dev/hangs-in-this-test";

    @TempDir Path dir;

    @Test
    void theOldestCallThatHasNotComeBackIsTold() {
        DiskCalls calls = DiskCalls.of(PATH);
        try {
            int first = calls.began();
            long between = System.nanoTime();
            int second = calls.began();
            assertTrue(owed().getFirst().sinceNanos() <= between);
            calls.ended(first);
            assertTrue(owed().getFirst().sinceNanos() - between >= 0);
            calls.ended(second);
            assertEquals(List.of(), owed());
        } finally {
            calls.gone();
        }
    }

    @Test
    void oneThatBeganLaterThanAskedForIsNotOwedYet() {
        DiskCalls calls = DiskCalls.of(PATH);
        long before = System.nanoTime() - 1;
        int call = calls.began();
        try {
            assertTrue(DiskCalls.owedSince(before).stream().noneMatch(this::isOurs));
        } finally {
            calls.ended(call);
            calls.gone();
        }
    }

    /// More than are told apart: one that comes back does not take away what hangs.
    @Test
    void callsBeyondThoseThatAreToldApartHideNoneOfThese() {
        DiskCalls calls = DiskCalls.of(PATH);
        try {
            List<Integer> many = new ArrayList<>();
            for (int i = 0; i < 100; i++) {
                many.add(calls.began());
            }
            many.reversed().subList(0, 90).forEach(calls::ended);
            assertEquals(1, owed().size());
            many.subList(0, 10).forEach(calls::ended);
            assertEquals(List.of(), owed());
        } finally {
            calls.gone();
        }
    }

    /// A file that came into its place under another name is told by the one that it has.
    @Test
    void aFileIsNamedAsItIsNow() throws Exception {
        RawFile file =
                RawFile.open(dir.resolve("new.tmp") + "", Native.O_RDWR | Native.O_CREAT, 0600);
        try {
            file.write(0, ByteBuffer.allocate(8));
            String name = dir.resolve("new") + "";
            file.rename(name);
            assertEquals(name, file.name());
            file.read(0, ByteBuffer.allocate(8));
        } finally {
            file.close();
        }
        assertTrue(
                DiskCalls.owedSince(System.nanoTime()).stream()
                        .noneMatch(each -> each.path().startsWith(dir + "")));
    }

    private List<DiskCalls.Owed> owed() {
        return DiskCalls.owedSince(System.nanoTime() + 1).stream().filter(this::isOurs).toList();
    }

    private boolean isOurs(DiskCalls.Owed owed) {
        return owed.path().equals(PATH);
    }
}
