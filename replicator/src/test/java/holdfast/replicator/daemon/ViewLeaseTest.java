package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class ViewLeaseTest {
    private static final long FIRST = ViewLease.FIRST.toNanos();
    private static final long BETWEEN = ViewLease.BETWEEN.toNanos();

    private final ViewLease lease = new ViewLease(-5);

    @Test
    void itWaitsForItsFirstClientAndNoLonger() {
        assertFalse(lease.isOver(0, 0, FIRST - 5));
        assertTrue(lease.isOver(0, 0, FIRST - 4));
    }

    @Test
    void itEndsSomeTimeAfterTheLastClientHasGone() {
        assertFalse(lease.isOver(2, 2, 100));
        assertFalse(lease.isOver(1, 2, 100 * FIRST));
        assertFalse(lease.isOver(0, 2, 100 * FIRST + BETWEEN));
        assertTrue(lease.isOver(0, 2, 100 * FIRST + BETWEEN + 1));
    }

    @Test
    void aClientThatComesBackInTimeKeepsIt() {
        assertFalse(lease.isOver(1, 1, 0));
        assertFalse(lease.isOver(0, 1, BETWEEN));
        assertFalse(lease.isOver(1, 2, 2 * BETWEEN));
        assertFalse(lease.isOver(0, 2, 3 * BETWEEN));
    }

    @Test
    void aClientThatCameAndWentBetweenTwoLooksWasOne() {
        assertFalse(lease.isOver(0, 0, 100));
        assertFalse(lease.isOver(0, 1, 200));
        assertFalse(lease.isOver(0, 1, 200 + BETWEEN));
        assertTrue(lease.isOver(0, 1, 200 + BETWEEN + 1));
    }
}
