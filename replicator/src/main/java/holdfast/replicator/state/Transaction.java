package holdfast.replicator.state;

import java.util.List;

/// One change of what a primary durably knows of its peer's copy. It is carried out in this order,
/// each step only after the one before succeeded; a crash leaves:
///
/// | step                                  | a crash behind it leaves                              |
/// |---------------------------------------|-------------------------------------------------------|
/// | sync the device, if [#syncDevice]     | what was there before                                 |
/// | write [#pages], sync the metadata     | pages of this transaction, extents of the one before  |
/// | write the record, sync the metadata   | this transaction                                      |
///
/// A page may lose bits only because of what the peer acknowledged up to [PeerCopy#acknowledged],
/// and says so itself (R3); an extent that the record no longer lists has its bits in the pages
/// (R8).
///
/// @param number one more than that of the transaction before
/// @param era pages of another era have no meaning; they count as [#blank]
/// @param peer what is known of its copy
/// @param told the newest transaction that the peer may have been told of: this one while its
///   stream is open
/// @param wrote when the device was written
/// @param syncDevice extents leave the record: what was written in them must be durable first
/// @param extents active from now on, in no order
public record Transaction(
        long number,
        long era,
        Blank blank,
        PeerCopy peer,
        long told,
        WriteTimes wrote,
        boolean syncDevice,
        List<Page> pages,
        List<Long> extents) {
    /// One that the peer is told of.
    public Transaction(
            long number,
            long era,
            Blank blank,
            PeerCopy peer,
            boolean syncDevice,
            List<Page> pages,
            List<Long> extents) {
        this(number, era, blank, peer, number, WriteTimes.NONE, syncDevice, pages, extents);
    }

    /// What a page means that was never written in this era.
    public enum Blank {
        /// The peer lacks nothing of it.
        CLEAR,
        /// The peer lacks all of it.
        MISSING,
        /// Nobody knows: all of it is compared.
        SUSPECT
    }

    /// The bits of [#blocks] consecutive blocks: set, the peer may lack the block.
    ///
    /// @param number of the page, from the beginning of the device
    /// @param suspectParts bit i: in the i-th of [#PARTS] parts what is set is to be compared, not
    ///   sent
    /// @param bits a long for 64 blocks, lowest bit first
    public record Page(long number, int suspectParts, long[] bits) {
        /// Extents of 4 MiB whose bits fill one page of the file.
        public static final int PARTS = 31;

        /// Blocks of a page for extents of this many.
        public static int blocks(int extentBlocks) {
            return PARTS * extentBlocks;
        }
    }
}
