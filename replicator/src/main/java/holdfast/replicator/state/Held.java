package holdfast.replicator.state;

import java.nio.ByteBuffer;

/// Data of one write, kept from the socket to the peer's acknowledgement without another copy.
///
/// Whoever holds it last calls [#release] once; afterwards the bytes may be anything.
public interface Held {
    /// A fresh read-only view of the bytes, position 0 to their length.
    ByteBuffer data();

    void release();

    /// Bytes on the heap that need no release, for tests and for what was read from the disk.
    static Held of(ByteBuffer bytes) {
        ByteBuffer fixed = bytes.slice().asReadOnlyBuffer();
        return new Held() {
            @Override
            public ByteBuffer data() {
                return fixed.duplicate();
            }

            @Override
            public void release() {}
        };
    }
}
