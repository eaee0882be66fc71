package holdfast.sim;

import java.util.function.LongSupplier;
import java.util.random.RandomGenerator;

/// Random numbers that follow from the moment at which they are drawn, and from nothing drawn
/// before: what happens at the same virtual time in a history with one step less draws the same.
/// Without it a plan could hardly be made shorter, since leaving out the first request would play
/// another history behind it.
final class Chance implements RandomGenerator {
    private final long key;
    private final LongSupplier nanos;
    private long moment = Long.MIN_VALUE;
    private long drawn;

    Chance(long seed, String name, LongSupplier nanos) {
        key = Seeds.of(seed, name);
        this.nanos = nanos;
    }

    @Override
    public long nextLong() {
        long now = nanos.getAsLong();
        if (now != moment) {
            moment = now;
            drawn = 0;
        }
        return Seeds.mix(Seeds.mix(key ^ now * 0x9e3779b97f4a7c15L) + ++drawn);
    }
}
