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
/// @param soon whoever has it opens it, and no command is needed
record Unopened(String name, Optional<ResourceDir.Facts> facts, String cause, boolean soon) {

    /// It goes to the peer as well, whose frames are bounded.
    private static final int CAUSE_CHARS = 1000;

    static Unopened of(Path resources, String name, Exception why) {
        return of(resources, name, String.valueOf(why.getMessage()), false);
    }

    /// One that an order has closed.
    static Unopened told(Path resources, String name, String why) {
        return of(resources, name, why, false);
    }

    /// One that is to be had again by itself.
    static Unopened soon(Path resources, String name, String why) {
        return of(resources, name, why, true);
    }

    private static Unopened of(Path resources, String name, String why, boolean soon) {
        String cause = why;
        cause = cause.substring(0, Math.min(cause.length(), CAUSE_CHARS));
        try {
            ResourceDir.Facts facts = ResourceDir.facts(resources, name);
            facts.uuid();
            return new Unopened(name, Optional.of(facts), cause, soon);
        } catch (IOException | RuntimeException e) {
            return new Unopened(name, Optional.empty(), cause, soon);
        }
    }

    /// The command that tries again, or shows how it stands.
    String next() {
        return (soon ? "status " : "connect ") + name;
    }

    /// Whether it is this resource of that peer.
    boolean is(String peer, UUID id) {
        return facts.filter(each -> each.peer().equals(peer) && each.uuid().equals(id)).isPresent();
    }
}
