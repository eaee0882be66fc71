package holdfast.replicator.state;

/// Neighbouring 4 KiB blocks of a device.
///
/// @param first index of the first block
/// @param count 1 or more
public record BlockRun(long first, int count) {
    public long end() {
        return first + count;
    }

    public long offsetBytes() {
        return first * BlockSet.BLOCK_BYTES;
    }

    /// Bytes of the run on a device of this size: its last block may be short.
    public int lengthBytes(long deviceBytes) {
        return (int) (Math.min(end() * BlockSet.BLOCK_BYTES, deviceBytes) - offsetBytes());
    }
}
