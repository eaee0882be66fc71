package holdfast.replicator.daemon;

import holdfast.replicator.nbd.Export;
import holdfast.replicator.nbd.ExportException;
import holdfast.replicator.nbd.Extent;
import holdfast.replicator.nbd.Payload;
import holdfast.replicator.nbd.Reply;

import java.nio.ByteBuffer;
import java.util.List;

/// A moment of a copy as one client asks for it; from [#opened] on it is an export of the view that
/// shows it.
final class MomentExport implements Export {
    private final LocalBackup copy;
    private final String name;
    private final String moment;
    private final int volume;
    private final String words;

    /// Null until it is opened, and when it is closed.
    private volatile Export shown;

    /// @param name as the client wrote it
    /// @param moment what follows the `@` of that
    /// @param words what a list says of it
    MomentExport(LocalBackup copy, String name, String moment, int volume, String words) {
        this.copy = copy;
        this.name = name;
        this.moment = moment;
        this.volume = volume;
        this.words = words;
    }

    /// Whether it shows one of these.
    boolean isOf(List<Export> exports) {
        Export now = shown;
        return now != null && exports.contains(now);
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public String description() {
        Export now = shown;
        return now == null ? words : now.description();
    }

    /// Its size is that of its moment.
    @Override
    public boolean isOpenedByAsking() {
        return true;
    }

    @Override
    public void opened() throws ExportException {
        copy.openFor(name, moment, volume, each -> shown = each);
    }

    @Override
    public void closed() {
        Export was = shown;
        shown = null; // What ends with its last client does not wait for that one.
        was.closed();
    }

    @Override
    public long sizeBytes() {
        return shown.sizeBytes();
    }

    @Override
    public boolean readOnly() {
        return shown.readOnly();
    }

    @Override
    public int minBlockBytes() {
        return shown.minBlockBytes();
    }

    @Override
    public int maxBlockBytes() {
        return shown.maxBlockBytes();
    }

    @Override
    public boolean rotational() {
        return shown.rotational();
    }

    @Override
    public boolean supportsFastZeroes() {
        return shown.supportsFastZeroes();
    }

    @Override
    public void roundEnded() {
        shown.roundEnded();
    }

    @Override
    public void read(long offsetBytes, ByteBuffer into) throws ExportException {
        shown.read(offsetBytes, into);
    }

    @Override
    public void write(Payload payload, long offsetBytes, boolean fua, Reply reply) {
        shown.write(payload, offsetBytes, fua, reply);
    }

    @Override
    public void writeZeroes(
            long offsetBytes, long lengthBytes, boolean noHole, boolean fua, Reply reply) {
        shown.writeZeroes(offsetBytes, lengthBytes, noHole, fua, reply);
    }

    @Override
    public void fastZeroes(
            long offsetBytes, long lengthBytes, boolean noHole, boolean fua, Reply reply) {
        shown.fastZeroes(offsetBytes, lengthBytes, noHole, fua, reply);
    }

    @Override
    public void trim(long offsetBytes, long lengthBytes, boolean fua, Reply reply) {
        shown.trim(offsetBytes, lengthBytes, fua, reply);
    }

    @Override
    public void flush(Reply reply) {
        shown.flush(reply);
    }

    @Override
    public void cache(long offsetBytes, long lengthBytes) throws ExportException {
        shown.cache(offsetBytes, lengthBytes);
    }

    @Override
    public List<Extent> blockStatus(long offsetBytes, long lengthBytes, int maxExtents)
            throws ExportException {
        return shown.blockStatus(offsetBytes, lengthBytes, maxExtents);
    }
}
