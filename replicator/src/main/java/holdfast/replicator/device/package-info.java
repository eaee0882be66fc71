/// Devices, files and what the process asks of its kernel: the thin shell that acts where `state`,
/// `journal` and `metadata` decide.
///
/// Nothing here knows what a byte means, but for [TwoSlotFile] and the names of journal segments,
/// which docs/on-disk-format.md specifies.
package holdfast.replicator.device;
