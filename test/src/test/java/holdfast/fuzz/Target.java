package holdfast.fuzz;

import java.util.List;
import java.util.function.UnaryOperator;

/// One decoder and what is fed to it.
///
/// @param seeds valid inputs
/// @param heapBytes of memory that one input may make it take, besides sixteen times its length
/// @param decoder ends, throws what it documents (which is caught here) or fails the test
/// @param repair puts checksums right, so that damage gets past them; applied to half of the inputs
record Target(
        String name,
        List<byte[]> seeds,
        long heapBytes,
        Decoder decoder,
        UnaryOperator<byte[]> repair) {
    @FunctionalInterface
    interface Decoder {
        void decode(byte[] input) throws Exception;
    }

    Target(String name, List<byte[]> seeds, long heapBytes, Decoder decoder) {
        this(name, seeds, heapBytes, decoder, UnaryOperator.identity());
    }

    @Override
    public String toString() {
        return name;
    }
}
