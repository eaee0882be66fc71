package holdfast.replicator.state;

import static holdfast.replicator.state.CopyOnFiles.at;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.List;

/// Marks at the backup, over restarts and roll-forwards, and from a peer that means no good.
class MarksTest {
    @TempDir Path dir;

    private CopyOnFiles copy;
    private long number;

    @BeforeEach
    void openAndCommit() throws Exception {
        copy = new CopyOnFiles(dir);
        copy.connect(Position.NONE);
        copy.commit(1, 1, 0, 1, 2);
        assertTrue(copy.backup.hasPoint());
    }

    @AfterEach
    void close() {
        copy.close();
    }

    /// @return the answer: empty when it was taken
    private String mark(Position at, String name) {
        copy.sent.clear();
        copy.on(new Frame.Mark(++number, at, 5, name));
        copy.settle();
        return answer();
    }

    private String answer() {
        return copy.sent.stream()
                .filter(each -> each instanceof Frame.MarkReply)
                .map(each -> ((Frame.MarkReply) each).refusal())
                .reduce((_, last) -> last)
                .orElse("no answer");
    }

    private List<String> names() {
        return copy.backup.marks().stream().map(Marks.Mark::name).toList();
    }

    private void shows(String name, int block, int with) throws Exception {
        Backup.View view = copy.backup.openView(name);
        assertNotNull(view, name);
        assertEquals(with, copy.seen(view, block));
        copy.backup.closeView(view.id());
    }

    @Test
    void aMarkIsTheMomentInFrontOfItAndSurvivesAStart() throws Exception {
        copy.write(2, 0, 2);
        assertEquals("", mark(at(2), "before"));
        copy.write(3, 0, 3);
        assertEquals("", mark(at(3), "after"));
        assertEquals("", mark(at(3), "again")); // The same moment may have two.
        copy.write(4, 0, 4);
        for (int i = 0; i < 2; i++) {
            assertEquals(List.of("before", "after", "again"), names());
            shows("before", 0, 2);
            shows("after", 0, 3);
            shows("again", 0, 3);
            assertEquals(at(4), copy.backup.committed());
            copy.open();
        }
    }

    @Test
    void itIsAnsweredWhenItIsDurable() {
        copy.syncsLater = true;
        copy.sent.clear();
        copy.on(new Frame.Mark(7, at(1), 5, "before"));
        assertEquals("no answer", answer());
        assertEquals(List.of(), names());
        copy.settle();
        assertEquals("", answer());
        assertEquals(List.of("before"), names());
    }

    @Test
    void aNameThatIsThereIsNotGivenToAnotherMoment() throws Exception {
        assertEquals("", mark(at(1), "before"));
        copy.write(2, 0, 2);
        assertTrue(mark(at(2), "before").contains("already"));
        shows("before", 0, 1);
        copy.syncsLater = true;
        copy.on(new Frame.Mark(20, at(2), 5, "twice"));
        copy.on(new Frame.Mark(21, at(2), 5, "twice"));
        assertTrue(answer().contains("already"));
        copy.settle();
        assertEquals(List.of("before", "twice"), names());
    }

    @Test
    void aNameThatIsKeptIsTaken() throws Exception {
        Backup.View view = copy.backup.openView();
        assertEquals("", copy.backup.keep("mine", view.moment(), 1 << 20, 1000));
        copy.write(2, 0, 2);
        assertTrue(mark(at(2), "mine").contains("kept"));
        shows("mine", 0, 1);
    }

    @Test
    void aNameThatIsMarkedKeepsItsMomentAndNoOther() throws Exception {
        assertEquals("", mark(at(1), "before"));
        copy.write(2, 0, 2);
        Backup.View newest = copy.backup.openView();
        String refused = copy.backup.keep("before", newest.moment(), 1 << 20, 1000);
        assertTrue(refused.contains("add --at before"), refused);
        shows("before", 0, 1);
        Backup.View marked = copy.backup.openView("before");
        assertEquals("", copy.backup.keep("before", marked.moment(), 1 << 20, 1000));
        shows("before", 0, 1);
        copy.syncsLater = true;
        copy.on(new Frame.Mark(9, at(2), 5, "coming"));
        String early = copy.backup.keep("coming", newest.moment(), 1 << 20, 1000);
        assertTrue(early.contains("being marked"), early);
    }

    @Test
    void whatIsKeptOfAnEpochIsVoidAboveAMark() throws Exception {
        copy.on(new Frame.EpochBegin(5, 1, 0));
        copy.on(new Frame.EpochBlocks(0, 5, 0, ByteBuffer.allocate(4096)));
        copy.settle();
        copy.backup.sessionDown();
        copy.open();
        assertTrue(copy.backup.holdsStaged());
        copy.connect(at(1));
        assertEquals("", mark(at(1), "above"));
        for (int i = 0; i < 2; i++) {
            assertFalse(copy.backup.holdsStaged());
            shows("above", 0, 1);
            copy.open();
        }
    }

    @Test
    void itGoesWithItsMoment() throws Exception {
        assertEquals("", mark(at(1), "first"));
        copy.write(2, 0, 2);
        assertEquals("", mark(at(2), "second"));
        copy.write(3, 0, 3);
        copy.roll(Integer.MAX_VALUE);
        assertEquals(List.of(), names());
        assertNull(copy.backup.openView("first"));
        copy.open();
        assertEquals(List.of(), names());
        copy.connect(at(3));
        assertEquals("", mark(at(3), "first"), "the name is free again");
    }

    @Test
    void itKeepsNothingFromBeingRolled() throws Exception {
        for (int i = 0; i < Marks.MAX; i++) {
            assertEquals("", mark(at(1), "m" + i));
        }
        assertTrue(mark(at(1), "more").contains("is the most"));
        assertEquals(Marks.MAX, names().size());
        copy.backup.retain(Retention.NONE, Integer.MAX_VALUE);
        long before = copy.durable.watermark();
        copy.roll(Integer.MAX_VALUE);
        assertTrue(copy.durable.watermark() > before);
        assertEquals(List.of(), names());
        assertEquals("", mark(at(1), "more"));
    }

    @Test
    void aRollThatIsCutOffLeavesWhatCanStillBeOpened() throws Exception {
        copy.write(2, 0, 2);
        assertEquals("", mark(at(2), "before"));
        copy.write(3, 0, 3);
        copy.roll(0); // The superblock says that it has begun.
        copy.open();
        assertEquals(List.of(), names(), "the base may hold more than that moment");
        assertNull(copy.backup.openView("before"));
    }

    @Test
    void aPeerThatMarksWhatIsNotThereIsRefused() throws Exception {
        mark(at(7), "ahead");
        assertTrue(copy.backup.refusal().contains("this copy stands at"), copy.backup.refusal());
        assertEquals(List.of(), names());
        copy.backup.sessionDown();
        copy.connect(at(1));
        copy.on(new Frame.EpochBegin(5, 1, 0));
        mark(at(1), "within");
        assertTrue(copy.backup.refusal().contains("at no moment"), copy.backup.refusal());
        assertEquals(List.of(), names());
        copy.open();
        assertEquals(List.of(), names());
    }
}
