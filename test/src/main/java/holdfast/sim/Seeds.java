package holdfast.sim;

import java.util.SplittableRandom;

/// Random numbers by name: each user has its own stream, so that one more draw here does not
/// disturb the others.
final class Seeds {
    private Seeds() {}

    static SplittableRandom stream(long seed, String name) {
        return new SplittableRandom(of(seed, name));
    }

    static long of(long seed, String name) {
        return mix(seed * 0x9e3779b97f4a7c15L + name.hashCode());
    }

    /// Each bit of the result depends on every bit of `x`.
    static long mix(long x) {
        long y = (x ^ x >>> 30) * 0xbf58476d1ce4e5b9L;
        y = (y ^ y >>> 27) * 0x94d049bb133111ebL;
        return y ^ y >>> 31;
    }
}
