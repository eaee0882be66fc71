package holdfast.replicator.daemon;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Queue;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.function.Predicate;

/// What peers were asked about resources, until they answer. A peer answers what it is asked about
/// one resource in one session in that order ([PeerOrders]), and an answer does not say to which
/// question: so it is that to the oldest, also when nobody waits for it any more. Else the late
/// answer to a dry run was taken for that to the order which followed it.
///
/// Any thread.
final class Questions<A> {
    private record Question<A>(PeerSession session, CompletableFuture<A> answer) {}

    // Guarded by this object, which is held for moments.
    private final Map<UUID, Queue<Question<A>>> asked = new HashMap<>();

    private final Predicate<PeerSession> lives;

    /// @param lives whether a session is not lost; once it is, [#lost] follows
    Questions(Predicate<PeerSession> lives) {
        this.lives = lives;
    }

    /// To be sent behind this, by one asker after the other where it is of the same resource. The
    /// answer comes, or is an [IOException] when the session is lost.
    CompletableFuture<A> ask(PeerSession session, UUID resource) {
        Question<A> question = new Question<>(session, new CompletableFuture<>());
        synchronized (this) {
            asked.computeIfAbsent(resource, _ -> new ArrayDeque<>()).add(question);
        }
        if (!lives.test(session)) { // Whoever told that may have looked before.
            lost(session, "the peer");
        }
        return question.answer();
    }

    /// @return false if nothing was asked
    boolean answered(PeerSession session, UUID resource, A answer) {
        Optional<Question<A>> first;
        synchronized (this) {
            Queue<Question<A>> questions = asked.getOrDefault(resource, new ArrayDeque<>());
            // One of a session whose end was not told yet may stand before it.
            first = questions.stream().filter(each -> each.session() == session).findFirst();
            first.ifPresent(questions::remove);
            asked.values().removeIf(Queue::isEmpty);
        }
        first.ifPresent(each -> each.answer().complete(answer));
        return first.isPresent();
    }

    /// The answer did not come in time, and need not come at all.
    synchronized void forget(UUID resource, CompletableFuture<A> answer) {
        asked.computeIfPresent(
                resource,
                (_, questions) -> {
                    questions.removeIf(each -> each.answer() == answer);
                    return questions.isEmpty() ? null : questions;
                });
    }

    /// The session has ended: nothing that was asked in it will be answered.
    void lost(PeerSession session, String peer) {
        List<Question<A>> left = new ArrayList<>();
        synchronized (this) {
            for (Queue<Question<A>> questions : asked.values()) {
                questions.stream().filter(each -> each.session() == session).forEach(left::add);
                questions.removeIf(each -> each.session() == session);
            }
            asked.values().removeIf(Queue::isEmpty);
        }
        IOException why =
                new IOException(
                        "the connection with %s was lost before it has answered".formatted(peer));
        left.forEach(each -> each.answer().completeExceptionally(why));
    }
}
