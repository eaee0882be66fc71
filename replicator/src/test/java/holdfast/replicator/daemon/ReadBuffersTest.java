package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;

import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;

class ReadBuffersTest {
    private final ReadBuffers buffers = new ReadBuffers();

    @Test
    void whatIsGivenBackIsUsedForThatSizeAgain() {
        ByteBuffer first = buffers.acquire(5000);
        assertEquals(5000, first.remaining());
        assertEquals(8192, first.capacity());
        buffers.giveBack(first.position(100));
        assertNotSame(first, buffers.acquire(4096), "too large for this");
        ByteBuffer again = buffers.acquire(8192);
        assertSame(first, again);
        assertEquals(8192, again.remaining());
        assertNotSame(first, buffers.acquire(8192), "in use");
    }

    @Test
    void whatNobodyUsesForAWhileIsForgotten() {
        ByteBuffer first = buffers.acquire(1);
        buffers.giveBack(first);
        for (int second = 0; second < 11; second++) {
            buffers.tick();
        }
        assertNotSame(first, buffers.acquire(1));
    }

    @Test
    void aLongReadHasABufferOfItsOwn() {
        ByteBuffer large = buffers.acquire((1 << 20) + 1);
        buffers.giveBack(large);
        assertNotSame(large, buffers.acquire((1 << 20) + 1));
        assertEquals(1 << 20, buffers.acquire(1 << 20).capacity());
    }
}
