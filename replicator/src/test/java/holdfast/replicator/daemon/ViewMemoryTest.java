package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.io.UncheckedIOException;

/// What the indexes of opened moments may take together.
class ViewMemoryTest {
    private final ViewMemory memory = new ViewMemory(100);

    private ViewMemory.Claim claim(String resource) {
        return memory.claim(resource, "holdfast "::concat);
    }

    @Test
    void viewsOfTwoResourcesCountTogether() throws Exception {
        ViewMemory.Claim home = claim("home");
        home.builds(70);
        home.holds(60);
        home.isOf("home@3");
        ViewMemory.Claim mail = claim("mail");
        mail.builds(40);
        ViewMemory.FullException full =
                assertThrows(ViewMemory.FullException.class, () -> mail.holds(41));
        assertEquals("close home@3", full.why().next());
        assertTrue(full.why().words().contains("of mail: its index takes 41 runs"));
        assertTrue(full.why().words().endsWith(": home@3 takes 60"), full.why().words());
        assertTrue(full.getMessage().endsWith("next: holdfast close home@3"), full.getMessage());
        mail.giveBack();
        assertEquals(60, memory.taken());
        home.giveBack();
        home.giveBack();
        assertEquals(0, memory.taken());
        claim("mail").holds(41);
    }

    @Test
    void buildingIsRefusedAndTheNewestAloneIsNot() throws Exception {
        ViewMemory.Claim one = claim("home");
        one.builds(100);
        UncheckedIOException full = assertThrows(UncheckedIOException.class, () -> one.builds(101));
        assertEquals("status home", ((ViewMemory.FullException) full.getCause()).why().next());
        assertEquals(100, memory.taken());
        one.giveBack();
        ViewMemory.Claim newest = claim("home");
        newest.holds(500);
        assertThrows(ViewMemory.FullException.class, () -> claim("home").holds(1));
        assertEquals(500, memory.taken());
    }

    @Test
    void aUsualHeapLeavesFourMillionRuns() {
        assertTrue(ViewMemory.ofHeap(512 << 20).most() > 4_000_000);
        assertTrue(ViewMemory.ofHeap(1L << 30).most() > 20_000_000);
        assertEquals(1_000_000, ViewMemory.ofHeap(64 << 20).most());
    }

    /// Any moment of 10 GiB in records of 4 KiB.
    @Test
    void whatTheNewestDoNotTakeIsForBuilding() {
        ViewMemory usual = ViewMemory.ofHeap(512 << 20);
        assertEquals(usual.most(), usual.mostBuilding());
        long runs = (10L << 30) / (4096 + 64);
        usual.newest(runs);
        assertTrue(usual.mostBuilding() > 3 * runs, usual.mostBuilding() + " runs");
    }
}
