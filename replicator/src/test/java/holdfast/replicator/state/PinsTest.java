package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.journal.JournalIndex;
import holdfast.replicator.journal.JournalIndex.Run;
import holdfast.replicator.state.History.Moment;
import holdfast.replicator.state.Pins.Pin;
import holdfast.replicator.state.Pins.Range;
import holdfast.replicator.state.Pins.Save;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.List;

class PinsTest {
    private final Pins pins = new Pins();

    private Pin add(String name, long address) {
        Moment moment =
                new Moment(address, new Position(1, address), Ancestry.EMPTY, 0, 0, 0, 1, 0);
        return pins.add(name, moment, 1 << 20, 0, 10);
    }

    @ParameterizedTest
    @ValueSource(strings = {"a", "before-upgrade", "v1.2_3", "Friday"})
    void whatIsAName(String text) {
        assertTrue(Pins.isName(text));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "latest", "-15m", "12:03", "2026-11-20", "a b", "ä", "a/b", "1a"})
    void whatIsNone(String text) {
        assertFalse(Pins.isName(text));
        assertFalse(Pins.isName("a".repeat(41)));
    }

    @Test
    void aRollStopsAtTheNextPin() {
        add("b", 200);
        add("a", 100);
        assertEquals(100, pins.stop(50));
        assertEquals(200, pins.stop(100));
        assertEquals(Long.MAX_VALUE, pins.stop(200));
        pins.drop(pins.named("b"));
        assertEquals(Long.MAX_VALUE, pins.stop(100));
    }

    @Test
    void whatIsSavedGoesToTheNewestThatIsNotLater() {
        Pin a = add("a", 100);
        Pin b = add("b", 200);
        assertNull(pins.save(99));
        assertEquals(new Save(a.id(), List.of(a.id())), pins.save(100));
        assertEquals(new Save(a.id(), List.of(a.id())), pins.save(199));
        assertEquals(new Save(b.id(), List.of(b.id())), pins.save(200));
    }

    /// It stays in the row, and what it holds counts as saved.
    @Test
    void aDroppedPinIsALinkAsLongAsAnOlderOneReadsThroughIt() {
        Pin a = add("a", 100);
        Pin b = add("b", 200);
        pins.drop(b);
        assertFalse(pins.sweep(200));
        assertEquals(new Save(b.id(), List.of(a.id(), b.id())), pins.save(300));
        pins.drop(a);
        assertTrue(pins.sweep(300));
        assertEquals(List.of(), pins.all());
        assertNull(pins.save(300));
    }

    @Test
    void aDroppedPinThatTheBaseHasNotReachedIsNoLink() {
        add("a", 100);
        pins.drop(add("b", 200));
        assertTrue(pins.sweep(150));
        assertEquals(1, pins.all().size());
    }

    @Test
    void nothingIsSavedForWhatIsDamaged() {
        Pin a = add("a", 100);
        pins.damage(a);
        assertNull(pins.save(100));
        Pin b = add("b", 200);
        assertEquals(new Save(b.id(), List.of(b.id())), pins.save(200));
        assertFalse(pins.sweep(300));
    }

    @Test
    void ofOneMomentTheOneMadeLastTakesWhatIsSaved() {
        Pin a = add("a", 100);
        Pin b = add("b", 100);
        assertEquals(List.of(a, b), pins.all());
        assertEquals(b.id(), pins.save(100).into());
    }

    // ---- what is to be saved -----------------------------------------------------------------

    private static JournalIndex index(long... offsetsAndLengths) {
        JournalIndex index = new JournalIndex();
        for (int i = 0; i < offsetsAndLengths.length; i += 2) {
            index.put(new Run(offsetsAndLengths[i], offsetsAndLengths[i + 1], 0, 0, false));
        }
        return index;
    }

    @Test
    void wholeBlocksAreSavedOnceEach() {
        assertEquals(List.of(), Pins.unsaved(index(), List.of()));
        assertEquals(
                List.of(new Range(0, 8192), new Range(16384, 20480)),
                Pins.unsaved(index(512, 512, 1536, 512, 4096, 4096, 16384, 512), List.of()));
        assertEquals(List.of(new Range(0, 8192)), Pins.unsaved(index(4000, 512), List.of()));
    }

    @Test
    void whatIsHeldIsNotSavedAgain() {
        JournalIndex image = index(0, 10 * 4096);
        assertEquals(
                List.of(new Range(4096, 8192), new Range(12288, 16384), new Range(24576, 40960)),
                Pins.unsaved(
                        image,
                        List.of(index(0, 4096, 16384, 8192), index(8192, 4096, 20480, 4096))));
        assertEquals(List.of(), Pins.unsaved(image, List.of(index(0, 40960))));
    }
}
