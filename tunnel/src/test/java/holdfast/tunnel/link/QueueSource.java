package holdfast.tunnel.link;

import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;
import holdfast.tunnel.wire.TrafficClass;

import java.nio.ByteBuffer;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicLong;

/// A source that gives what was put into it, and after that, if wished, the same block for ever.
final class QueueSource implements StreamSource {
    final Queue<Frame> frames = new ConcurrentLinkedQueue<>();
    final AtomicLong given = new AtomicLong();
    volatile TrafficClass trafficClass;
    volatile ByteBuffer endless;

    QueueSource(TrafficClass trafficClass) {
        this.trafficClass = trafficClass;
    }

    static Frame.Write write(long number, byte[] data) {
        return new Frame.Write(0, new Position(7, number), 1, 4096 * number, ByteBuffer.wrap(data));
    }

    @Override
    public Frame next(int budgetBytes) {
        Frame frame = frames.poll();
        if (frame == null && endless != null) {
            frame = new Frame.Write(0, new Position(7, given.get()), 1, 0, endless);
        }
        if (frame != null) {
            given.incrementAndGet();
        }
        return frame;
    }

    @Override
    public TrafficClass trafficClass() {
        return trafficClass;
    }
}
