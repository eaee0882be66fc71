package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Path;

/// What a peer may ask room for (R17).
class EpochRoomTest {
    @TempDir Path directory;

    @Test
    void roomForMoreThanALongCanCountIsNotThere() throws Exception {
        try (CopyOnFiles copy = new CopyOnFiles(directory)) {
            copy.connect(Position.NONE);
            for (long huge :
                    new long[] {1L << 52, 1L << 60, Long.MAX_VALUE / 4100, Long.MAX_VALUE}) {
                for (boolean zeroes : new boolean[] {false, true}) {
                    copy.on(new Frame.EpochBegin(7, zeroes ? 1 : huge, zeroes ? huge : 1));
                    Frame.EpochReply reply = (Frame.EpochReply) copy.sent.getLast();
                    assertTrue(reply.missingBytes() > 0, reply.toString());
                }
            }
        }
    }
}
