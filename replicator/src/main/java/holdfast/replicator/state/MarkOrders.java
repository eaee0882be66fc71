package holdfast.replicator.state;

import holdfast.tunnel.wire.Frame;
import holdfast.tunnel.wire.Position;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;

/// Orders to give the present moment a name, on their way to the peer: each has its place in the
/// stream, behind the last write that had a number when it was given.
final class MarkOrders {
    /// An operator waits for each.
    static final int MAX = 16;

    private record Order(long number, String name, Position at, long wallMillis) {
        private Primary.Marked outcome(Primary.MarkEnd end, String refusal) {
            return new Primary.Marked(number, at, wallMillis, end, refusal);
        }
    }

    private final ArrayDeque<Order> unsent = new ArrayDeque<>();
    private final List<Order> sent = new ArrayList<>();
    private List<Primary.Marked> done = new ArrayList<>();
    private long lastNumber;

    boolean isFull() {
        return unsent.size() + sent.size() >= MAX;
    }

    long add(String name, Position at, long wallMillis) {
        unsent.add(new Order(++lastNumber, name, at, wallMillis));
        return lastNumber;
    }

    /// @param nextWrite number of the next write that is sent
    /// @return null while a write comes first
    Frame.Mark next(long nextWrite) {
        if (unsent.isEmpty() || nextWrite <= unsent.peek().at.number() && !Faults.M63) {
            return null;
        }
        Order order = unsent.poll();
        sent.add(order);
        return new Frame.Mark(order.number, order.at, order.wallMillis, order.name);
    }

    void answered(Frame.MarkReply reply) {
        for (Order each : List.copyOf(sent)) {
            if (each.number == reply.number()) {
                sent.remove(each);
                done.add(
                        each.outcome(
                                reply.refusal().isEmpty()
                                        ? Primary.MarkEnd.DURABLE
                                        : Primary.MarkEnd.TAKEN,
                                reply.refusal()));
            }
        }
    }

    /// The writes in front of them do not go to the peer one by one any more.
    void fallsBehind(String why) {
        unsentEnd(Primary.MarkEnd.BEHIND, why);
    }

    private void unsentEnd(Primary.MarkEnd end, String why) {
        for (Order each : unsent) {
            done.add(each.outcome(end, why));
        }
        unsent.clear();
    }

    /// The peer does not answer any more.
    void end(String why) {
        unsentEnd(Primary.MarkEnd.LOST, why);
        for (Order each : sent) {
            done.add(each.outcome(Primary.MarkEnd.UNSURE, why));
        }
        sent.clear();
    }

    List<Primary.Marked> takeDone() {
        List<Primary.Marked> taken = done;
        done = new ArrayList<>();
        return taken;
    }

    boolean hasDone() {
        return !done.isEmpty();
    }
}
