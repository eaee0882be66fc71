package holdfast.replicator.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

class PayloadPoolTest {
    private final PayloadPool pool = new PayloadPool();

    @Test
    void everyLengthFitsAndStartsOnAPage() {
        int[] lengths = {
            0, 1, 4095, 4096, 4097, 65536, 65536 + 4096, 65536 + 4097, 1 << 20, (32 << 20) + 4096
        };
        for (int length : lengths) {
            Payload payload = pool.acquire(length);
            assertEquals(0, payload.data().position());
            assertEquals(length, payload.data().limit());
            assertEquals(0, payload.data().alignmentOffset(0, 4096));
            assertTrue(
                    payload.data().capacity() <= Math.max(4096, 2 * length + 4096),
                    "wasteful for " + length);
            payload.release();
        }
        assertThrows(IllegalArgumentException.class, () -> pool.acquire((32 << 20) + 4097));
        assertEquals(0, pool.usedBytes());
    }

    @Test
    void whatIsReleasedIsUsedAgain() {
        Payload first = pool.acquire(4096);
        first.data().position(100);
        first.release();
        assertEquals(1 << 20, pool.idleBytes());
        Payload again = pool.acquire(10);
        assertSame(first, again);
        assertEquals(0, again.data().position());
        assertEquals(10, again.data().limit());
        assertEquals((1 << 20) - 4096, pool.idleBytes());
        again.release();
    }

    @Test
    void aPartKeepsTheWholeUntilItIsReleased() {
        Payload whole = pool.acquire(10);
        whole.data().put(7, (byte) 5);
        Payload part = whole.part(6, 4);
        whole.release();
        assertEquals((1 << 20) - 4096, pool.idleBytes());
        assertEquals(4, part.data().limit());
        assertEquals(5, part.view().get(1));
        part.release();
        assertEquals(1 << 20, pool.idleBytes());
        assertThrows(IllegalStateException.class, part::release);
    }

    @Test
    void memoryThatStaysIdleGoesBack() {
        List<Payload> many = new ArrayList<>();
        for (int i = 0; i < 1000; i++) {
            many.add(pool.acquire(4096));
        }
        Payload large = pool.acquire(4 << 20);
        Payload kept = many.removeFirst();
        many.forEach(Payload::release);
        large.release();
        for (int i = 0; i < PayloadPool.PATIENCE - 1; i++) {
            pool.trim();
        }
        assertEquals((8 << 20) + 4096 - 4096, pool.idleBytes(), "not yet");
        pool.trim();
        assertEquals((1 << 20) - 4096, pool.idleBytes(), "what is partly in use stays");
        kept.data().put(0, (byte) 1);
        kept.release();
        for (int i = 0; i < PayloadPool.PATIENCE; i++) {
            pool.acquire(4096).release();
            pool.trim();
        }
        assertEquals(1 << 20, pool.idleBytes(), "what is used now and then stays");
    }

    @Test
    void lastReleaseGivesItBackAndOneMoreIsABug() {
        Payload payload = pool.acquire(4096);
        payload.retain();
        payload.release();
        assertEquals(4096, pool.usedBytes());
        payload.release();
        assertEquals(0, pool.usedBytes());
        assertThrows(IllegalStateException.class, payload::release);
        assertThrows(IllegalStateException.class, payload::retain);
    }

    @Test
    void viewsAreIndependentOfTheOwnersPosition() {
        Payload payload = Payload.of(ByteBuffer.wrap(new byte[] {1, 2, 3}));
        payload.data().position(3);
        assertEquals(3, payload.view().remaining());
        assertTrue(payload.view().isReadOnly());
        payload.release();
    }
}
