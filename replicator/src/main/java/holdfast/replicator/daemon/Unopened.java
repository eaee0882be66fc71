package holdfast.replicator.daemon;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.UUID;

/// A resource that is here and not open: a disk that is missing, a file that is damaged; or an
/// order, or the start, is about to open it. Nothing is guessed about its state, and nothing of it
/// is touched until an operator has mended the cause and connects it.
///
/// @param facts absent when not even those can be read
/// @param cause why, in words
record Unopened(String name, Optional<ResourceDir.Facts> facts, String cause) {
    /// The command that tries again; the name follows.
    static final String NEXT = "connect ";

    /// It goes to the peer as well, whose frames are bounded.
    private static final int CAUSE_CHARS = 1000;

    static Unopened of(Path resources, String name, Exception why) {
        String cause = String.valueOf(why.getMessage());
        cause = cause.substring(0, Math.min(cause.length(), CAUSE_CHARS));
        try {
            ResourceDir.Facts facts = ResourceDir.facts(resources, name);
            facts.uuid();
            return new Unopened(name, Optional.of(facts), cause);
        } catch (IOException | RuntimeException e) {
            return new Unopened(name, Optional.empty(), cause);
        }
    }

    /// Whether it is this resource of that peer.
    boolean is(String peer, UUID id) {
        return facts.filter(each -> each.peer().equals(peer) && each.uuid().equals(id)).isPresent();
    }
}
