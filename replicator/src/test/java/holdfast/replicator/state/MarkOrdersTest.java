package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.Test;

import java.util.List;
import java.util.UUID;

class MarkOrdersTest {
    private final MarkOrders orders = new MarkOrders();

    private static Position at(long number) {
        return new Position(7, number);
    }

    private static Frame.MarkReply reply(long number, String refusal) {
        return new Frame.MarkReply(new UUID(1, 2), 3, number, refusal);
    }

    private static Primary.Marked outcome(
            long number, long at, Primary.MarkEnd end, String refusal) {
        return new Primary.Marked(number, at(at), 10, end, refusal);
    }

    @Test
    void aMarkGoesBehindTheWritesThatWereThereAndInFrontOfTheNext() {
        orders.add("before", at(5), 10);
        assertNull(orders.next(4));
        assertNull(orders.next(5));
        assertEquals(new Frame.Mark(1, at(5), 10, "before"), orders.next(6));
        assertNull(orders.next(Long.MAX_VALUE));
    }

    @Test
    void eachIsAnsweredOnceAndByItsNumber() {
        orders.add("a", at(5), 10);
        orders.add("b", at(5), 10);
        orders.next(6);
        orders.next(6);
        orders.answered(reply(2, "there is one"));
        orders.answered(reply(2, ""));
        orders.answered(reply(9, ""));
        assertEquals(
                List.of(outcome(2, 5, Primary.MarkEnd.TAKEN, "there is one")), orders.takeDone());
        orders.answered(reply(1, ""));
        assertEquals(List.of(outcome(1, 5, Primary.MarkEnd.DURABLE, "")), orders.takeDone());
    }

    @Test
    void whatWasNotSentIsSurelyNotThereAndWhatWasMayBe() {
        orders.add("sent", at(5), 10);
        assertNotNull(orders.next(6));
        orders.add("unsent", at(6), 10);
        orders.fallsBehind("behind");
        orders.add("unsent", at(7), 10);
        orders.end("lost");
        assertEquals(
                List.of(
                        outcome(2, 6, Primary.MarkEnd.BEHIND, "behind"),
                        outcome(3, 7, Primary.MarkEnd.LOST, "lost"),
                        outcome(1, 5, Primary.MarkEnd.UNSURE, "lost")),
                orders.takeDone());
        assertNull(orders.next(Long.MAX_VALUE));
    }

    @Test
    void soManyMayWait() {
        for (int i = 0; i < MarkOrders.MAX; i++) {
            assertEquals(i + 1, orders.add("m", at(5), 10));
        }
        assertTrue(orders.isFull());
    }
}
