package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.PeerClock;

import org.junit.jupiter.api.Test;

import java.util.HashSet;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;

class QuestionsTest {
    private static final UUID HOME = new UUID(1, 2);
    private static final UUID VAR = new UUID(3, 4);

    private final Set<PeerSession> live = new HashSet<>();
    private final Questions<String> questions = new Questions<>(live::contains);

    /// The first was a dry run that its asker has given up.
    @Test
    void anAnswerIsToTheOldestQuestion() {
        PeerSession session = session();
        CompletableFuture<String> dry = questions.ask(session, HOME);
        CompletableFuture<String> other = questions.ask(session, VAR);
        CompletableFuture<String> real = questions.ask(session, HOME);
        assertTrue(questions.answered(session, HOME, "would do"));
        assertFalse(real.isDone(), "not answered yet");
        assertEquals("would do", dry.join());
        assertTrue(questions.answered(session, HOME, "done"));
        assertEquals("done", real.join());
        assertFalse(other.isDone());
        assertFalse(questions.answered(session, HOME, "nobody has asked"));
    }

    /// The event loop has told of the loss before the question was there.
    @Test
    void whatIsAskedInASessionThatWasJustLostIsAnsweredAtOnce() {
        PeerSession session = session();
        live.remove(session);
        questions.lost(session, "backup");
        assertLost(questions.ask(session, HOME));
        assertFalse(questions.answered(session, HOME, "late"));
    }

    @Test
    void aSessionThatIsLostTakesItsOwnQuestionsOnly() {
        PeerSession old = session();
        CompletableFuture<String> before = questions.ask(old, HOME);
        PeerSession next = session();
        CompletableFuture<String> behind = questions.ask(next, HOME);
        live.remove(old);
        questions.lost(old, "backup");
        assertLost(before);
        assertTrue(questions.answered(next, HOME, "done"));
        assertEquals("done", behind.join());
    }

    @Test
    void aQuestionOfASessionThatIsAboutToEndTakesNoAnswerAway() {
        PeerSession old = session();
        CompletableFuture<String> before = questions.ask(old, HOME);
        PeerSession next = session();
        CompletableFuture<String> behind = questions.ask(next, HOME);
        assertTrue(questions.answered(next, HOME, "done"));
        assertEquals("done", behind.join());
        assertFalse(before.isDone());
    }

    @Test
    void whoGivesUpTakesNobodyElsesAnswerAway() {
        PeerSession session = session();
        CompletableFuture<String> first = questions.ask(session, HOME);
        CompletableFuture<String> second = questions.ask(session, HOME);
        questions.forget(HOME, first);
        assertTrue(questions.answered(session, HOME, "done"));
        assertEquals("done", second.join());
        assertFalse(first.isDone());
    }

    private static void assertLost(CompletableFuture<String> answer) {
        assertTrue(answer.isDone());
        Throwable why = assertThrows(ExecutionException.class, answer::get).getCause();
        assertTrue(why.getMessage().contains("lost before it has answered"), why.getMessage());
    }

    private PeerSession session() {
        PeerSession session =
                new PeerSession() {
                    @Override
                    public void send(Frame frame) {}

                    @Override
                    public PeerClock peerClock() {
                        return PeerClock.UNKNOWN;
                    }

                    @Override
                    public int open(PrimaryResource source) {
                        return 1;
                    }

                    @Override
                    public void close(int stream) {}

                    @Override
                    public void drop(int stream) {}

                    @Override
                    public void wake(int stream) {}

                    @Override
                    public void grant(int stream, long bytes) {}
                };
        live.add(session);
        return session;
    }
}
