package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import holdfast.replicator.state.DiskState;
import holdfast.replicator.state.Role;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.PeerClock;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.function.Supplier;

class StandoffTest {
    private static final UUID ID = new UUID(0, 7);
    private static final Position AT = new Position(1, 5);
    private static final Frame.ResourceHello HELLO =
            new Frame.ResourceHello(
                    ID,
                    Role.PRIMARY.ordinal() + 1,
                    DiskState.UP_TO_DATE.ordinal(),
                    1 << 20,
                    AT,
                    AT,
                    0,
                    true,
                    0,
                    false,
                    0,
                    Ancestry.EMPTY);
    private static final Frame.Wrote WROTE =
            new Frame.Wrote(ID, AT, AT, 0, 0, 1, false, 0, true, 0);

    private final Standoff standoff = new Standoff();
    private final List<Frame> sent = new ArrayList<>();
    private int looks;

    /// As the daemon does, ten times a second.
    private void tick(int from, int to, Supplier<Optional<Histories.Said>> said) {
        for (int i = from; i < to; i++) {
            standoff.tick(
                    new Peer(),
                    HELLO,
                    i * 100_000_000L,
                    task -> {
                        try {
                            task.run();
                        } catch (IllegalStateException e) {
                            looks++;
                        }
                    },
                    said);
        }
    }

    @Test
    void whatFailsIsTriedAgainAfterSomeSecondsAndNotAtEachTick() {
        tick(
                0,
                100,
                () -> {
                    throw new IllegalStateException("a bug");
                });
        assertEquals(2, looks);
        assertNull(standoff.mine());
        tick(100, 101, () -> Optional.of(new Histories.Said(HELLO, WROTE)));
        assertEquals(List.of(WROTE), sent);
    }

    private final class Peer implements PeerSession {
        @Override
        public void send(Frame frame) {
            sent.add(frame);
        }

        @Override
        public PeerClock peerClock() {
            throw new AssertionError();
        }

        @Override
        public int open(PrimaryResource source) {
            throw new AssertionError();
        }

        @Override
        public void close(int stream) {}

        @Override
        public void drop(int stream) {}

        @Override
        public void wake(int stream) {}

        @Override
        public void grant(int stream, long bytes) {}
    }
}
