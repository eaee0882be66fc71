package holdfast.replicator.state;

/// Memory for what tells single blocks apart in [BlockSet]s. Where there is none left they keep
/// whole granules, which takes next to nothing, so nothing fails for want of it. A daemon's is
/// shared between the threads of all its resources.
public interface PageMemory {
    /// Pages of 32,768 blocks, 128 MiB of the device, with granules of 1,024, the extents of the
    /// activity log.
    int PAGE_BITS = 15;

    /// The logarithm of the blocks of a page, 6 to 15. A granule is a 32nd of it.
    int pageBits();

    /// Whether so many bytes more may be used.
    boolean hasRoom(long bytes);

    /// Uses so many bytes more, or fewer; also where there is no room, when it cannot be helped.
    void use(long bytes);

    /// For one thread.
    static PageMemory of(int pageBits, long limitBytes) {
        return new PageMemory() {
            private long usedBytes;

            @Override
            public int pageBits() {
                return pageBits;
            }

            @Override
            public boolean hasRoom(long bytes) {
                return usedBytes + bytes <= limitBytes;
            }

            @Override
            public void use(long bytes) {
                usedBytes += bytes;
            }
        };
    }
}
