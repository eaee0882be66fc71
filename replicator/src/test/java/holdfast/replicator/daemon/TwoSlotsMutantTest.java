package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

/// A torn write of a value costs that value, and not the one that counts. The simulator's
/// superblocks are too short to be torn often enough.
class TwoSlotsMutantTest {
    @Test
    void theValueThatCountsIsSeenToBeWrittenOver() throws Exception {
        assertEquals("third", MutantProcess.printed("", TornSlot.class));
        String found = MutantProcess.printed("M98", TornSlot.class);
        assertEquals("first", found, "the slot that nobody writes any more");
        System.out.println("M98 caught, a value is written over the one that counts");
    }
}
