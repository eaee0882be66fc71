package holdfast.replicator.state;

import holdfast.replicator.journal.SegmentIndex;
import holdfast.tunnel.wire.Frame;

import java.nio.ByteBuffer;
import java.util.List;

/// What [Backup] asks of the world, to be carried out in the order of the calls.
public interface BackupEffects {
    /// Sends on the control stream of the present session.
    void send(Frame.OfResource frame);

    /// Appends to the journal; `data` null for none. When it is on stable storage, with everything
    /// before it: [Backup#durable].
    void append(long address, ByteBuffer header, ByteBuffer data);

    /// First sync: writes to the base; `data` null: zeroes. After a sync of the base:
    /// [Backup#filling] is made durable, then [Backup#baseDurable] with the same `session`. Before
    /// the first such write to a blank base it must be durable that it is blank no longer: a
    /// primary that comes again and forgot this copy would not send it zeroes. Nor may it begin
    /// before `tracked` is durable: a primary that was set back could not be told.
    ///
    /// @param tracked under which transaction of the primary's metadata it was written
    /// @return false if there was no space: then [Backup#lacksSpace] was called, and the same write
    ///   comes again
    boolean writeBase(
            long session,
            long sequence,
            long offsetBytes,
            long lengthBytes,
            ByteBuffer data,
            long tracked);

    /// [Backup#nextDigest] or [Backup#nextSectors] has something to do. Writes to the base that
    /// were asked for before come first.
    void wakeDigester();

    /// Reads what a promotion would yield at this very moment: [Backup#committedIndex] over the
    /// base. At most 128 KiB.
    ///
    /// @return false if it cannot be read: then [Backup#failed] was called
    boolean readCommitted(long offsetBytes, ByteBuffer into);

    /// The receiver of the data stream can take this many more bytes.
    void grant(long bytes);

    /// [Backup#startRoll] has something to do.
    void wakeRoller();

    /// Nothing below this journal offset is needed any more.
    void free(long beforeAddress);

    /// These are the pins from now on, durably when it returns. The deltas of those that are not
    /// among them may go then.
    ///
    /// @return null, or why it could not be made durable: then those are that were before
    String pins(List<Pins.Pin> pins, long lastId);

    /// The journal is known to be damaged at `note.address()`. Where the note has parts, they are
    /// what is applied instead of the records from there up to where the last part ends. Durable
    /// when it returns, in the place of another of this address; a start hands it to
    /// [Backup#recover].
    ///
    /// @return null, or why it could not be made durable
    String damaged(SegmentIndex note);

    /// What [#damaged] was told of these journal offsets is needed no more. Durable before anything
    /// is written in the place of what was told.
    void damagePassed(long from, long before);

    /// What the clocks of both hosts showed, or that it is to be forgotten: in the place of what
    /// the superblock has ([Backup.Base#check]), durably when it returns.
    void checked(ClockCheck check);

    void event(String kind, String text);
}
