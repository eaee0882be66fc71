package holdfast.recovery;

import holdfast.replicator.nbd.Errno;
import holdfast.replicator.nbd.Export;
import holdfast.replicator.nbd.ExportException;
import holdfast.replicator.nbd.Payload;
import holdfast.replicator.nbd.Reply;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;

/// A file as an export, with what the demonstration's client needs.
record FileExport(String name, FileChannel file, boolean readOnly) implements Export {
    @Override
    public long sizeBytes() {
        try {
            return file.size();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public void read(long offsetBytes, ByteBuffer into) throws ExportException {
        try {
            int start = into.position();
            while (into.hasRemaining()) {
                if (file.read(into, offsetBytes + into.position() - start) < 0) {
                    throw new IOException("beyond the end of the file");
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public void write(Payload payload, long offsetBytes, boolean fua, Reply reply) {
        try {
            file.write(payload.view(), offsetBytes);
            reply.done(Errno.OK);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } finally {
            payload.release();
        }
    }

    @Override
    public void writeZeroes(
            long offsetBytes, long lengthBytes, boolean noHole, boolean fua, Reply reply) {
        throw new UnsupportedOperationException();
    }

    @Override
    public void flush(Reply reply) {
        reply.done(Errno.OK);
    }

    @Override
    public void trim(long offsetBytes, long lengthBytes, boolean fua, Reply reply) {
        reply.done(Errno.OK);
    }
}
