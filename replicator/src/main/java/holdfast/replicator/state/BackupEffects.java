package holdfast.replicator.state;

import holdfast.tunnel.wire.Frame;

import java.nio.ByteBuffer;

/// What [Backup] asks of the world, to be carried out in the order of the calls.
public interface BackupEffects {
    /// Sends on the control stream of the present session.
    void send(Frame.OfResource frame);

    /// Appends to the journal; `data` null for none. When it is on stable storage, with everything
    /// before it: [Backup#durable].
    void append(long address, ByteBuffer header, ByteBuffer data);

    /// First sync: writes to the base; `data` null: zeroes. After a sync of the base:
    /// [Backup#baseDurable] with the same `session`. Before the first such write to a blank base it
    /// must be durable that it is blank no longer: a primary that comes again and forgot this copy
    /// would not send it zeroes.
    ///
    /// @return false if there was no space: then [Backup#lacksSpace] was called, and the same write
    ///   comes again
    boolean writeBase(
            long session, long sequence, long offsetBytes, long lengthBytes, ByteBuffer data);

    /// Reads the range as the committed image has it ([Backup#committedIndex] over the base) and
    /// answers with [Backup#digested]. While there is no point yet ([Backup#everCommitted]) the
    /// base is synced before the answer: a block that is found equal is not sent again, and the
    /// first commit rests on it.
    void digest(long session, long offsetBytes, int lengthBytes, byte[] root);

    /// The receiver of the data stream can take this many more bytes.
    void grant(long bytes);

    /// [Backup#startRoll] has something to do.
    void wakeRoller();

    /// Nothing below this journal offset is needed any more.
    void free(long beforeAddress);

    void event(String kind, String text);
}
