package holdfast.tunnel.link;

import java.util.Optional;

/// Who may connect. It is asked after every handshake and again when [LinkEndpoint#peersChanged] is
/// called, from the event loop, so it answers from memory; its answers may change at any time.
public interface Peers {
    /// The name of the peer that holds this key. Two keys may have one name while a peer renews its
    /// key.
    Optional<String> find(Pin pin);
}
