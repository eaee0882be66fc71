package holdfast.sim;

import java.util.SplittableRandom;

/// Random numbers by name: each user has its own stream, so that one more draw here does not
/// disturb the others.
final class Seeds {
    private Seeds() {}

    static SplittableRandom stream(long seed, String name) {
        long x = seed * 0x9e3779b97f4a7c15L + name.hashCode();
        x = (x ^ x >>> 30) * 0xbf58476d1ce4e5b9L;
        x = (x ^ x >>> 27) * 0x94d049bb133111ebL;
        return new SplittableRandom(x ^ x >>> 31);
    }
}
