package holdfast.replicator.state;

import holdfast.tunnel.wire.Frame;

/// What [Primary] asks of the world. Called under the resource's lock: none of these may block,
/// wait or call back.
public interface PrimaryEffects {
    /// Sends on the control stream of the present session.
    void send(Frame.OfResource frame);

    /// [Primary#next] may have something to send.
    void wakeSender();

    /// [Primary#nextRead] may have something to read.
    void wakeReader();

    /// [Primary#nextTransaction] may have something to make durable.
    void wakeKeeper();

    /// A parked piece may go to the disk now: carry on as after [Primary.Admission#GO].
    void granted(Op op);

    /// A parked piece will not be written: answer its client with an I/O error.
    void refused(Op op);

    /// A reply that was held back for the peer may go to the client (protocol C).
    void answered(Object waiter);

    /// Something an operator wants to know.
    ///
    /// @param kind a stable name such as `first-sync-done`
    void event(String kind, String text);
}
