package holdfast.tunnel.wire;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;

class StreamSchedulerTest {
    private static final int BATCH = 64 << 10;

    private final StreamScheduler scheduler = new StreamScheduler();

    @Test
    void theMoreUrgentClassGoesFirst() {
        add(1, TrafficClass.VERIFY, 1);
        add(2, TrafficClass.LIVE, 1);
        scheduler.add(0, TrafficClass.CONTROL, 1, false);
        scheduler.ready(0, true, TrafficClass.CONTROL);
        assertEquals(OptionalInt.of(0), scheduler.next(Set.of()));
        scheduler.ready(0, false, TrafficClass.CONTROL);
        assertEquals(OptionalInt.of(2), scheduler.next(Set.of()));
        scheduler.ready(2, false, TrafficClass.LIVE);
        assertEquals(OptionalInt.of(1), scheduler.next(Set.of()));
        scheduler.ready(1, false, TrafficClass.VERIFY);
        assertEquals(OptionalInt.empty(), scheduler.next(Set.of()));
    }

    @Test
    void anUrgentStreamGoesBetweenThePartsOfAnother() {
        add(1, TrafficClass.FIRST_SYNC, 1);
        scheduler.took(1, 1L << 60);
        scheduler.ready(1, false, TrafficClass.FIRST_SYNC);
        assertEquals(OptionalInt.empty(), scheduler.next(Set.of()));
        scheduler.open(1, true);
        assertEquals(OptionalInt.of(1), scheduler.next(Set.of()), "a rest needs no credit");
        add(2, TrafficClass.LIVE, 1);
        assertEquals(OptionalInt.of(2), scheduler.next(Set.of()));
        scheduler.ready(2, false, TrafficClass.LIVE);
        assertEquals(OptionalInt.of(1), scheduler.next(Set.of()));
        scheduler.open(1, false);
        assertEquals(OptionalInt.empty(), scheduler.next(Set.of()));
    }

    @Test
    void noMoreStreamsThanTheReceiverTakesHaveAPacketInParts() {
        for (int s = 1; s < PacketCodec.MAX_OPEN; s++) {
            add(s, TrafficClass.LIVE, 1);
            scheduler.open(s, true);
        }
        add(100, TrafficClass.LIVE, 1);
        add(50, TrafficClass.CONTROL, 1);
        Set<Integer> seen = new HashSet<>();
        for (int i = 0; i < 1000; i++) {
            int next = scheduler.next(Set.of(TrafficClass.CONTROL)).getAsInt();
            scheduler.sent(next, BATCH);
            seen.add(next);
        }
        assertEquals(PacketCodec.MAX_OPEN - 1, seen.size(), seen.toString());
        scheduler.open(1, false);
        assertEquals(OptionalInt.of(100), scheduler.next(Set.of(TrafficClass.CONTROL)));
        assertEquals(OptionalInt.of(50), scheduler.next(Set.of()));
    }

    /// A calendar may hold catching up back for hours.
    @Test
    void packetsThatAreHeldBackInPartsKeepNeitherControlNorLiveWrites() {
        int begun = 0;
        for (int s = 1; s <= 40; s++) {
            add(s, TrafficClass.CATCH_UP, 1);
        }
        for (OptionalInt next = scheduler.next(Set.of());
                next.isPresent() && begun < 40;
                next = scheduler.next(Set.of())) {
            scheduler.open(next.getAsInt(), true);
            scheduler.sent(next.getAsInt(), BATCH);
            begun++;
        }
        add(100, TrafficClass.LIVE, 1);
        assertEquals(OptionalInt.of(100), scheduler.next(Set.of(TrafficClass.CATCH_UP)));
        for (int s = 101; s < 140; s++) {
            add(s, TrafficClass.LIVE, 1);
            OptionalInt next = scheduler.next(Set.of(TrafficClass.CATCH_UP));
            scheduler.open(next.getAsInt(), true);
            scheduler.sent(next.getAsInt(), BATCH);
        }
        add(50, TrafficClass.CONTROL, 1);
        assertEquals(OptionalInt.of(50), scheduler.next(Set.of(TrafficClass.CATCH_UP)));
    }

    @Test
    void aFloodOfUrgentDataLeavesTheOthersTheirShare() {
        add(1, TrafficClass.LIVE, 1);
        add(2, TrafficClass.FIRST_SYNC, 1);
        add(3, TrafficClass.VERIFY, 1);
        Map<Integer, Long> sent = run(10_000);
        long total = 10_000L * BATCH;
        assertTrue(sent.get(2) > total / 25 && sent.get(2) < total / 15, sent.toString());
        assertTrue(sent.get(3) > total / 25 && sent.get(3) < total / 15, sent.toString());
    }

    @Test
    void aLiveWriteWaitsBehindOneOwedBatchAtMost() {
        add(1, TrafficClass.LIVE, 1);
        for (int s = 2; s < 10; s++) {
            add(s, TrafficClass.FIRST_SYNC, 1);
        }
        int behind = 0;
        for (int i = 0; i < 10_000; i++) {
            int next = step();
            behind = next == 1 ? 0 : behind + 1;
            assertTrue(
                    behind <= (int) (StreamScheduler.QUANTUM_BYTES / BATCH),
                    "waited for " + behind);
        }
    }

    @Test
    void weightsShareAClass() {
        add(1, TrafficClass.CATCH_UP, 1);
        add(2, TrafficClass.CATCH_UP, 3);
        Map<Integer, Long> sent = run(4_000);
        assertEquals(3.0, (double) sent.get(2) / sent.get(1), 0.1);
    }

    @Test
    void idleTimeIsNotSavedUp() {
        add(1, TrafficClass.LIVE, 1);
        add(2, TrafficClass.LIVE, 1);
        scheduler.ready(2, false, TrafficClass.LIVE);
        run(1000);
        scheduler.ready(2, true, TrafficClass.LIVE);
        Map<Integer, Long> sent = run(100);
        assertEquals(sent.get(1), sent.get(2), 2.0 * BATCH);
    }

    @Test
    void timeWithoutCreditIsNotSavedUpEither() {
        add(1, TrafficClass.LIVE, 1);
        scheduler.add(2, TrafficClass.LIVE, 1, true);
        scheduler.ready(2, true, TrafficClass.LIVE);
        run(1000);
        scheduler.credit(2, 1L << 40);
        Map<Integer, Long> sent = run(100);
        assertEquals(sent.get(1), sent.get(2), 2.0 * BATCH);
    }

    @Test
    void aStreamWithoutCreditStopsNobodyElse() {
        add(1, TrafficClass.LIVE, 1);
        add(2, TrafficClass.VERIFY, 1);
        scheduler.credit(1, 100_000 - scheduler.creditBytes(1));
        assertEquals(1, step());
        assertEquals(1, step());
        assertTrue(scheduler.creditBytes(1) <= 0);
        assertEquals(2, step());
        scheduler.credit(1, 200_000);
        assertEquals(1, step());
    }

    @Test
    void aHundredStreamsGetEqualShares() {
        for (int s = 1; s <= 100; s++) {
            add(s, TrafficClass.LIVE, 1);
        }
        Map<Integer, Long> sent = run(10_000);
        for (int s = 1; s <= 100; s++) {
            assertEquals(100L * BATCH, sent.get(s), (double) BATCH);
        }
    }

    @Test
    void aClassThatIsHeldIsPassedOver() {
        add(1, TrafficClass.LIVE, 1);
        add(2, TrafficClass.VERIFY, 1);
        assertEquals(OptionalInt.of(2), scheduler.next(Set.of(TrafficClass.LIVE)));
        assertEquals(OptionalInt.empty(), scheduler.next(Set.of(TrafficClass.values())));
    }

    @Test
    void callsForAStreamThatIsGoneChangeNothing() {
        add(1, TrafficClass.LIVE, 1);
        scheduler.remove(1);
        scheduler.credit(1, 10);
        scheduler.took(1, 10);
        scheduler.sent(1, 10);
        assertEquals(OptionalInt.empty(), scheduler.next(Set.of()));
    }

    private void add(int stream, TrafficClass trafficClass, int weight) {
        scheduler.add(stream, trafficClass, weight, true);
        scheduler.credit(stream, 1L << 40);
        scheduler.ready(stream, true, trafficClass);
    }

    private int step() {
        int next = scheduler.next(Set.of()).orElseThrow();
        scheduler.took(next, BATCH);
        scheduler.sent(next, BATCH);
        return next;
    }

    private Map<Integer, Long> run(int steps) {
        var sent = new HashMap<Integer, Long>();
        for (int i = 0; i < steps; i++) {
            sent.merge(step(), (long) BATCH, Long::sum);
        }
        return sent;
    }
}
