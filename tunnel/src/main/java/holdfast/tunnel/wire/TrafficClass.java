package holdfast.tunnel.wire;

/// What a stream carries at the moment, most urgent first.
public enum TrafficClass {
    CONTROL,
    LIVE,
    CATCH_UP,
    FIRST_SYNC,
    VERIFY
}
