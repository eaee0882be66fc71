package holdfast.replicator.nbd;

import java.nio.ByteBuffer;
import java.util.List;

/// One block device as clients see it; all that the server knows of storage.
///
/// Every method may be called by several connection threads at once. The server has checked each
/// request before it gets here: it lies inside [#sizeBytes], has a length above zero, is a whole
/// number of [#minBlockBytes] and does not change a read-only export. It need not be aligned to
/// anything larger and may be up to [#maxBlockBytes] long (zeroes and trims: up to the size), so an
/// export that replicates splits it.
///
/// Requests that change data are answered through their [Reply], either before the method returns
/// or later from any thread; the connection reads on meanwhile. Such a method must not wait for
/// another request of the same connection, whose thread it occupies.
public interface Export {
    /// What clients ask for, at most 255 bytes of UTF-8; never empty.
    String name();

    /// One line for a person, shown by `nbdinfo`.
    default String description() {
        return "";
    }

    /// Constant while a connection is open.
    long sizeBytes();

    /// Asked once for each connection; an export that loses its write permission later answers
    /// `EPERM`.
    boolean readOnly();

    /// Whether seeks are expensive; told to the client.
    default boolean rotational() {
        return false;
    }

    /// Power of two up to 65,536. Odd clients ignore anything but 1.
    default int minBlockBytes() {
        return 1;
    }

    default int preferredBlockBytes() {
        return 4096;
    }

    /// Longest read or write, at most 32 MiB.
    default int maxBlockBytes() {
        return Protocol.MAX_PAYLOAD_BYTES;
    }

    /// Whether [#fastZeroes] is more than a refusal.
    default boolean supportsFastZeroes() {
        return false;
    }

    /// Whether a client that only asks what this is has it open already, so that what it is told
    /// stays true until it chooses it. Else it is open from when it is chosen.
    default boolean isOpenedByAsking() {
        return false;
    }

    /// Called when a client has chosen this export, or asks what it is and [#isOpenedByAsking].
    /// Before that nothing is asked of the latter but its name and description.
    ///
    /// @throws ExportException if it cannot be served now; the client is told the message
    default void opened() throws ExportException {}

    /// Called once for each [#opened] that returned, after the last request was answered.
    default void closed() {}

    /// Fills `into` to its limit from the device, waiting for it.
    ///
    /// @param into direct; aligned to 4 KiB in memory when longer than 32 KiB
    void read(long offsetBytes, ByteBuffer into) throws ExportException;

    /// Writes the payload, whose ownership passes: whatever happens, the export releases it, now or
    /// when its send buffer no longer needs it.
    ///
    /// @param fua reply only when the data is durable
    void write(Payload payload, long offsetBytes, boolean fua, Reply reply);

    /// Makes the range read back as zero.
    ///
    /// @param noHole the space must stay allocated
    void writeZeroes(long offsetBytes, long lengthBytes, boolean noHole, boolean fua, Reply reply);

    /// Like [#writeZeroes] if that is much faster than writing, else [Errno#ENOTSUP] with the data
    /// untouched.
    default void fastZeroes(
            long offsetBytes, long lengthBytes, boolean noHole, boolean fua, Reply reply) {
        reply.done(Errno.ENOTSUP);
    }

    /// Tells that the client no longer needs the range; an export may ignore it.
    void trim(long offsetBytes, long lengthBytes, boolean fua, Reply reply);

    /// The connection has carried out all requests that had arrived, and sent their replies. What
    /// would disturb it while there are more can be done now; it must not wait.
    default void roundEnded() {}

    /// Makes durable all that was answered, on any connection, before this call.
    void flush(Reply reply);

    /// Hint that the range will be read soon.
    default void cache(long offsetBytes, long lengthBytes) throws ExportException {}

    /// Where the range holds data: extents from `offsetBytes` on, without gaps. They may end before
    /// the range does, when finding out more is expensive; the client asks again.
    ///
    /// @param maxExtents more are not looked at
    default List<Extent> blockStatus(long offsetBytes, long lengthBytes, int maxExtents)
            throws ExportException {
        return List.of(Extent.data(lengthBytes));
    }
}
