/// The NBD server: what an application sees of Holdfast.
///
/// A client speaks the fixed newstyle protocol on a Unix socket or TCP.
/// [holdfast.replicator.nbd.NbdServer] accepts it, [holdfast.replicator.nbd.Negotiation] decides
/// the handshake, and one platform thread per connection ([holdfast.replicator.nbd.Connection])
/// reads requests, has the [holdfast.replicator.nbd.Export] carry them out and answers in batches.
/// The protocol's tables are in [holdfast.replicator.nbd.Protocol]; what is served and which
/// clients were run: `docs/nbd.md`.
package holdfast.replicator.nbd;
