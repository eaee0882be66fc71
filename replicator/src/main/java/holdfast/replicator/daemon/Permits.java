package holdfast.replicator.daemon;

import java.security.SecureRandom;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;

/// What peers want to overwrite on this host, and what an operator of this host has let them.
///
/// The peer can only ask. The permission is typed here, where the data would be lost, for exactly
/// what was shown: the peer, the resource, the disk, and what the disk held then. It is good once
/// and for an hour. It lives in memory: after a restart it is asked for and typed again.
final class Permits {
    /// A peer that asks for more than this makes the oldest question forgotten.
    static final int MAX_QUESTIONS = 16;

    static final Duration VALIDITY = Duration.ofHours(1);

    private static final SecureRandom RANDOM = new SecureRandom();

    /// What a peer wants, all of which has to be the same when it comes for it.
    ///
    /// @param holds what the disk holds, in words
    record Wanted(
            String peer, UUID resource, String name, String disk, long sizeBytes, String holds) {}

    /// @param token names this question, so that what is confirmed is what was shown
    /// @param until absent while nobody has permitted it
    private record Question(Wanted wanted, String token, Optional<Instant> until) {}

    private final InstantSource clock;

    /// By resource name, oldest first. Guarded by this object's monitor.
    private final Map<String, Question> questions = new LinkedHashMap<>();

    Permits(InstantSource clock) {
        this.clock = clock;
    }

    /// Whether it was permitted; if not, the question is kept for the operator.
    synchronized boolean allows(Wanted wanted) {
        Question asked = questions.get(wanted.name());
        if (asked != null && asked.wanted().equals(wanted)) {
            return asked.until().filter(clock.instant()::isBefore).isPresent();
        }
        questions.remove(wanted.name());
        if (questions.size() >= MAX_QUESTIONS) {
            questions.remove(questions.keySet().iterator().next());
        }
        byte[] token = new byte[4];
        RANDOM.nextBytes(token);
        questions.put(
                wanted.name(),
                new Question(wanted, HexFormat.of().formatHex(token), Optional.empty()));
        return false;
    }

    /// What is asked for under a name.
    synchronized Optional<Wanted> question(String name) {
        return Optional.ofNullable(questions.get(name)).map(Question::wanted);
    }

    /// Names the question that is open now; [#permit] wants to see it.
    synchronized Optional<String> token(String name) {
        return Optional.ofNullable(questions.get(name)).map(Question::token);
    }

    /// Permits what was shown under this token.
    ///
    /// @return false if something else is asked for by now, or nothing
    synchronized boolean permit(String name, String token) {
        Question asked = questions.get(name);
        if (asked == null || !asked.token().equals(token)) {
            return false;
        }
        questions.put(
                name,
                new Question(asked.wanted(), token, Optional.of(clock.instant().plus(VALIDITY))));
        return true;
    }

    /// It was made use of, or is no longer wanted.
    synchronized void used(String name) {
        questions.remove(name);
    }
}
