package holdfast.tunnel.link;

/// How a stream's packets are compressed.
public enum Compression {
    /// One zstd context for the stream's life: what was sent a moment ago costs next to nothing.
    STREAM,
    /// Each packet on its own, so that its length tells nothing about what was sent before it.
    FRAME,
    OFF
}
