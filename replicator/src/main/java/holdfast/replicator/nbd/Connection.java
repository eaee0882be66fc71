package holdfast.replicator.nbd;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.EOFException;
import java.io.IOException;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.net.ProtocolException;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/// One client, from accept to close, on a thread of its own.
///
/// The thread reads as many requests as there are, decides on each ([RequestRules]), has the export
/// carry it out, and gathers the replies of this round in one buffer, which it sends when no
/// complete request is left, when it is large, or when the round takes long. A request that the
/// export answers later from another thread is answered from that thread.
///
/// The socket does not block, so the thread never waits for the client to read while the client
/// waits for it to read: it goes on reading requests while replies are unsent, up to [NbdLimits].
/// Where it waits is [#select]. The data of a write is read, or copied out of the read-ahead
/// buffer, once, into the [Payload] that the export then owns.
final class Connection implements Runnable {
    private static final Logger LOG = LoggerFactory.getLogger(Connection.class);

    /// 32 writes of 4 KiB, a usual queue depth, arrive in one read.
    private static final int INPUT_BYTES = 128 << 10;

    private static final int BATCH_BYTES = 128 << 10;

    /// A batch this large is sent: about what a Unix socket takes at once.
    private static final int BATCH_FULL_BYTES = 96 << 10;

    /// A round that takes longer sends what it has, so that the client's next requests overlap with
    /// it.
    private static final long BATCH_NANOS = 200_000;

    /// Reads above this get a buffer of their own, with the data on a page boundary.
    private static final int LONG_READ_BYTES = 32 << 10;

    /// With this much unsent, the client is given a moment to read before more is read from it,
    /// which keeps the replies in the processor's cache. Not longer: it may be waiting for us to
    /// read.
    private static final long REPLY_SOFT_BYTES = 1 << 20;

    private static final long SOFT_WAIT_MILLIS = 5;

    /// Payloads up to this are skipped when they are refused; a longer one ends the connection.
    private static final long SKIPPED_PAYLOAD_MAX = 2L * Protocol.MAX_PAYLOAD_BYTES;

    /// Options up to this are skipped when their data is too long; a longer one ends the
    /// connection.
    private static final long SKIPPED_OPTION_MAX = 32 << 20;

    /// Effect length and a few context numbers; there is only one that exists.
    private static final int STATUS_PAYLOAD_MAX = 8 + 4 * 1024;

    private static final int MAX_EXTENTS = 8192;

    private static final long WARN_EACH_NANOS = 10_000_000_000L;

    /// How long a client is given to close first, so that a TCP reset does not destroy the last
    /// replies.
    private static final long LINGER_MILLIS = 250;

    private final NbdServer server;
    private final NbdLimits limits;
    private final PayloadPool pool;
    private final SocketChannel channel;
    private final Negotiation negotiation;
    private final String client;
    private final long acceptedNanos = System.nanoTime();

    private final Selector selector;
    private final SelectionKey key;
    private final Payload inputMemory;

    /// Read ahead, not yet looked at: between position and limit.
    private final ByteBuffer in;

    private final Request request = new Request();
    private final Outbox outbox;

    /// Requests that the export has and has not answered.
    private final AtomicInteger inFlight = new AtomicInteger();

    private final AtomicLong inFlightBytes = new AtomicLong();

    /// The thread may be waiting for requests in flight to end, so their end must wake it.
    private volatile boolean waitsForInFlight;

    /// Reads what has arrived, then no more.
    private volatile boolean stopping;

    private volatile Thread thread;

    /// What the client has chosen; null in the handshake.
    private Export export;

    private ReplyStyle style;
    private RequestRules rules;
    private boolean ended;
    private boolean endOfInput;
    private boolean inputWasFull;
    private long progressNanos;

    /// Of requests that failed: when that was logged last, and how many were not since.
    private boolean hasWarned;

    private long warnedNanos;
    private long unsaid;
    private int readyOps;

    private Payload batch;
    private long batchNanos;

    /// The data of the WRITE in [#request], while it is arriving; else null.
    private Payload payload;

    private final ByteBuffer[] scatter = new ByteBuffer[2];

    /// Bytes still to be skipped, after which [#request] is answered with [#refusal].
    private long skipBytes;

    private int refusal;

    /// @param client how logs call it
    Connection(NbdServer server, SocketChannel channel, Negotiation negotiation, String client)
            throws IOException {
        this.server = server;
        this.limits = server.limits();
        this.pool = server.pool();
        this.channel = channel;
        this.negotiation = negotiation;
        this.client = client;
        channel.configureBlocking(false);
        this.selector = Selector.open();
        try {
            this.key = channel.register(selector, SelectionKey.OP_READ);
            this.inputMemory = pool.acquire(INPUT_BYTES);
        } catch (IOException | RuntimeException | Error e) {
            selector.close();
            throw e;
        }
        this.in = inputMemory.data().limit(0);
        this.outbox = new Outbox(channel, pool);
    }

    /// The export that the client has open, or is being opened for it; null for none. Any thread.
    Export export() {
        return negotiation.export();
    }

    String client() {
        return client;
    }

    int inFlightRequests() {
        return inFlight.get();
    }

    /// Has the connection carry out what it has read, reply, and close. Any thread.
    void stop() {
        stopping = true;
        selector.wakeup();
    }

    /// Closes the socket under it; requests in flight still end. Any thread.
    void abort() {
        stopping = true;
        outbox.breakOff();
        try {
            channel.close();
        } catch (IOException e) {
            LOG.debug("{}: closing: {}", client, e.getMessage());
        }
        selector.wakeup();
    }

    @Override
    public void run() {
        thread = Thread.currentThread();
        try {
            if (handshake()) {
                transmission();
            }
        } catch (EOFException e) {
            LOG.debug("{}: {}", client, e.getMessage());
        } catch (ProtocolException e) {
            LOG.info("{}: closed: {}", client, e.getMessage());
        } catch (IOException e) {
            LOG.debug("{}: lost: {}", client, e.toString());
        } catch (RuntimeException | Error e) {
            LOG.error("{}: closed by a bug or for want of memory", client, e);
        } finally {
            end();
        }
    }

    // ---- Handshake: one message after the other, and one deadline for all that the client does.

    private boolean handshake() throws IOException {
        long deadline = acceptedNanos + limits.handshake().toNanos();
        sendAll(Negotiation.greeting(), deadline);
        need(4, deadline);
        if (!negotiation.clientFlags(in.getInt())) {
            throw new ProtocolException("unknown client flags");
        }
        while (true) {
            need(16, deadline);
            if (in.getLong() != Protocol.OPTION_MAGIC) {
                throw new ProtocolException("this is no NBD option");
            }
            int option = in.getInt();
            long length = Integer.toUnsignedLong(in.getInt());
            Negotiation.Next next;
            if (length <= Negotiation.MAX_OPTION_BYTES) {
                need((int) length, deadline);
                ByteBuffer data = in.slice(in.position(), (int) length);
                in.position(in.position() + (int) length);
                long before = System.nanoTime();
                next = negotiation.option(option, data);
                deadline += System.nanoTime() - before; // Opening an export is not the client's.
            } else if (length <= SKIPPED_OPTION_MAX) {
                skipOption(length, deadline);
                next = negotiation.oversizedOption(option);
            } else {
                throw new ProtocolException("an option of %d bytes".formatted(length));
            }
            sendAll(negotiation.takeReplies(), deadline);
            if (next == Negotiation.Next.TRANSMISSION) {
                export = negotiation.export();
                return true;
            }
            if (next == Negotiation.Next.CLOSE) {
                return false;
            }
        }
    }

    private void need(int bytes, long deadline) throws IOException {
        while (in.remaining() < bytes) {
            if (!awaitBefore(SelectionKey.OP_READ, deadline)) {
                throw new ProtocolException("the handshake took too long");
            }
            fill();
            if (endOfInput) {
                throw new EOFException("left in the handshake");
            }
        }
    }

    private void skipOption(long bytes, long deadline) throws IOException {
        long left = bytes;
        while (left > 0) {
            need(1, deadline);
            int step = (int) Math.min(left, in.remaining());
            in.position(in.position() + step);
            left -= step;
        }
    }

    private void sendAll(byte[] bytes, long deadline) throws IOException {
        ByteBuffer out = ByteBuffer.wrap(bytes);
        while (out.hasRemaining()) {
            channel.write(out);
            if (out.hasRemaining() && !awaitBefore(SelectionKey.OP_WRITE, deadline)) {
                throw new ProtocolException("the handshake took too long");
            }
        }
    }

    private boolean awaitBefore(int ops, long deadline) throws IOException {
        if (stopping) {
            throw new EOFException("stopped in the handshake");
        }
        long leftMillis = (deadline - System.nanoTime()) / 1_000_000;
        if (leftMillis <= 0) {
            return false;
        }
        select(ops, leftMillis);
        return true;
    }

    // ---- Transmission.

    private void transmission() throws IOException {
        Thread.currentThread().setName("nbd " + client + " " + export.name());
        server.handshakeDone(this);
        style = negotiation.style();
        rules = negotiation.rules();
        LOG.info("{}: opened {}", client, export.name());
        batch = newBatch();
        progressNanos = System.nanoTime();
        while (true) {
            try {
                takeRequests();
            } finally {
                sendBatch(); // Also before a malformed request ends the connection.
                export.roundEnded();
            }
            if (ended || outbox.broken() || (stopping || endOfInput) && mayTakeMore()) {
                break;
            }
            await();
        }
        if (payload != null) {
            payload.release();
            payload = null;
        }
        drain();
    }

    /// Handles the complete requests that have been read.
    private void takeRequests() throws IOException {
        batchNanos = System.nanoTime();
        while (!ended && mayTakeMore() && step()) {
            if (batch.data().position() >= BATCH_FULL_BYTES
                    || System.nanoTime() - batchNanos > BATCH_NANOS) {
                sendBatch();
                export.roundEnded();
            }
        }
    }

    private boolean mayTakeMore() {
        return inFlight.get() < limits.inFlightRequests()
                && inFlightBytes.get() < limits.inFlightBytes()
                && outbox.queuedBytes() < limits.replyBytes();
    }

    /// Waits for the socket or for room, then reads and sends what goes.
    private void await() throws IOException {
        if (!mayTakeMore()) {
            // Set before the second look, so that whoever makes room in between sees it and wakes
            // us.
            waitsForInFlight = true;
            if (mayTakeMore()) {
                waitsForInFlight = false;
                return;
            }
            boolean unsent = outbox.queuedBytes() > 0;
            waitFor(unsent ? SelectionKey.OP_WRITE : 0, unsent);
            waitsForInFlight = false;
        } else if (outbox.queuedBytes() > REPLY_SOFT_BYTES
                && select(SelectionKey.OP_WRITE, SOFT_WAIT_MILLIS)) {
            // The client reads: no need to take more from it yet.
        } else if (!inputWasFull) {
            boolean unsent = outbox.queuedBytes() > 0;
            boolean halfRequest = payload != null || skipBytes > 0 || in.hasRemaining();
            waitFor(
                    SelectionKey.OP_READ | (unsent ? SelectionKey.OP_WRITE : 0),
                    unsent || halfRequest);
        } else {
            readyOps = SelectionKey.OP_READ;
        }
        if ((readyOps & SelectionKey.OP_WRITE) != 0) {
            progressNanos = System.nanoTime();
            outbox.flush();
        }
        if ((readyOps & SelectionKey.OP_READ) != 0) {
            fill();
            progressNanos = System.nanoTime();
        }
    }

    /// Like [#select], and ends a client that is the one to move and has not for the time of a
    /// stall.
    private void waitFor(int ops, boolean clientMustMove) throws IOException {
        if (!clientMustMove) {
            select(ops, 0);
            progressNanos = System.nanoTime();
        } else if (!select(ops, stallMillis())
                && System.nanoTime() - progressNanos > limits.stall().toNanos()) {
            throw new ProtocolException("no progress for %s".formatted(limits.stall()));
        }
    }

    private long stallMillis() {
        return Math.max(
                1,
                (limits.stall().toNanos() - (System.nanoTime() - progressNanos)) / 1_000_000 + 1);
    }

    /// Takes one step with what has been read: a header, a piece of a payload, or skipped bytes.
    ///
    /// @return false if it needs more bytes
    private boolean step() throws IOException {
        if (payload != null) {
            return stepPayload();
        }
        if (skipBytes > 0) {
            int skipped = (int) Math.min(skipBytes, in.remaining());
            in.position(in.position() + skipped);
            skipBytes -= skipped;
            if (skipBytes == 0) {
                refuse(refusal);
            }
            return skipBytes == 0;
        }
        boolean extended = style == ReplyStyle.EXTENDED;
        int headerBytes = Request.headerBytes(extended);
        if (in.remaining() < headerBytes) {
            return false;
        }
        int start = in.position();
        request.read(in, extended);
        if (request.command == Protocol.CMD_DISC) {
            ended = true;
            return true;
        }
        long payloadLength = request.payloadLength(extended);
        int errno = rules.check(request);
        if (payloadLength == 0) {
            if (errno == Errno.OK) {
                carryOut();
            } else {
                refuse(errno);
            }
            return true;
        }
        if (errno == Errno.OK && request.command == Protocol.CMD_WRITE) {
            try {
                payload = pool.acquire((int) payloadLength);
                return stepPayload();
            } catch (OutOfMemoryError e) {
                LOG.warn("{}: no memory for a write of {} bytes", client, payloadLength);
                errno = Errno.ENOMEM;
            }
        } else if (errno == Errno.OK && payloadLength <= STATUS_PAYLOAD_MAX) {
            if (in.remaining() < payloadLength) {
                in.position(start); // Comes back when all of it is here.
                return false;
            }
            int end = in.position() + (int) payloadLength;
            statusOfPayload(end);
            in.position(end);
            return true;
        } else if (errno == Errno.OK) {
            errno = Errno.EINVAL;
        }
        if (payloadLength < 0 || payloadLength > SKIPPED_PAYLOAD_MAX) {
            throw new ProtocolException(
                    "a payload of %s bytes".formatted(Long.toUnsignedString(payloadLength)));
        }
        skipBytes = payloadLength;
        refusal = errno;
        return true;
    }

    private boolean stepPayload() {
        ByteBuffer data = payload.data();
        int piece = Math.min(data.remaining(), in.remaining());
        if (piece > 0) {
            data.put(data.position(), in, in.position(), piece);
            data.position(data.position() + piece);
            in.position(in.position() + piece);
        }
        if (data.hasRemaining()) {
            return false;
        }
        data.position(0);
        Payload whole = payload;
        payload = null;
        int length = data.limit();
        boolean fua = request.has(Protocol.CMD_FLAG_FUA);
        if (fua) {
            sendBatch();
        }
        Pending reply = new Pending(length, false);
        try {
            export.write(whole, request.offset, fua, reply);
        } catch (RuntimeException e) {
            reply.failed(e);
        }
        return true;
    }

    /// Carries out a request that is in order and has no payload.
    private void carryOut() throws IOException {
        boolean fua = request.has(Protocol.CMD_FLAG_FUA);
        long offset = request.offset;
        long length = request.length;
        switch (request.command) {
            case Protocol.CMD_READ -> read(offset, (int) length);
            case Protocol.CMD_BLOCK_STATUS -> status(length);
            case Protocol.CMD_CACHE -> cache(offset, length);
            case Protocol.CMD_FLUSH -> {
                sendBatch(); // A flush may take long, and what is done is done.
                mutate(0, false, reply -> export.flush(reply));
            }
            case Protocol.CMD_TRIM, Protocol.CMD_WRITE_ZEROES, Protocol.CMD_WRITE -> {
                if (length == 0) {
                    putDone(request.cookie, offset, Errno.OK);
                    return;
                }
                boolean noHole = request.has(Protocol.CMD_FLAG_NO_HOLE);
                boolean fast = request.has(Protocol.CMD_FLAG_FAST_ZERO);
                if (request.command == Protocol.CMD_TRIM) {
                    mutate(0, false, reply -> export.trim(offset, length, fua, reply));
                } else if (fast) {
                    mutate(0, true, reply -> export.fastZeroes(offset, length, noHole, fua, reply));
                } else {
                    mutate(
                            0,
                            false,
                            reply -> export.writeZeroes(offset, length, noHole, fua, reply));
                }
            }
            default -> throw new IllegalStateException("command " + request.command);
        }
    }

    private interface Mutation {
        void start(Reply reply);
    }

    private void mutate(int bytes, boolean fast, Mutation mutation) {
        Pending reply = new Pending(bytes, fast);
        try {
            mutation.start(reply);
        } catch (RuntimeException e) {
            reply.failed(e);
        }
    }

    private void read(long offset, int length) {
        if (length == 0) {
            style.putEmpty(room(ReplyStyle.MAX_BYTES), request.cookie, offset, Errno.OK);
            return;
        }
        if (length > LONG_READ_BYTES) {
            readLong(offset, length);
            return;
        }
        int headerBytes = style.readHeaderBytes();
        ByteBuffer out = room(headerBytes + length);
        int start = out.position();
        int end = start + headerBytes + length;
        int errno = readInto(offset, out.position(start + headerBytes).limit(end));
        out.clear().position(start);
        if (errno == Errno.OK) {
            style.putReadHeader(out, request.cookie, offset, length);
            out.position(end);
        } else {
            style.putEmpty(out, request.cookie, offset, errno);
        }
    }

    private void readLong(long offset, int length) {
        sendBatch();
        Payload reply = pool.acquire(PayloadPool.PAGE_BYTES + length);
        ByteBuffer out = reply.data();
        int start = PayloadPool.PAGE_BYTES - style.readHeaderBytes();
        int errno = readInto(offset, out.position(PayloadPool.PAGE_BYTES));
        out.clear().position(start);
        if (errno == Errno.OK) {
            style.putReadHeader(out, request.cookie, offset, length);
            out.limit(PayloadPool.PAGE_BYTES + length);
        } else {
            style.putEmpty(out, request.cookie, offset, errno);
            out.limit(out.position());
        }
        out.position(start);
        if (outbox.send(reply)) {
            reply.release();
        }
    }

    private int readInto(long offset, ByteBuffer into) {
        try {
            export.read(offset, into);
            if (into.hasRemaining()) {
                throw new IllegalStateException(
                        "%s left %d bytes unread".formatted(export.name(), into.remaining()));
            }
            return Errno.OK;
        } catch (ExportException e) {
            warn("read", offset, e);
            return Errno.toWire(e.errno(), false);
        } catch (RuntimeException e) {
            LOG.error("{}: read at {} of {}", client, offset, export.name(), e);
            return Errno.EIO;
        }
    }

    /// A client that repeats what fails does not fill the log.
    private void warn(String what, long offset, ExportException e) {
        long now = System.nanoTime();
        if (hasWarned && now - warnedNanos < WARN_EACH_NANOS) {
            unsaid++;
            return;
        }
        String others = unsaid == 0 ? "" : ", and %d more before".formatted(unsaid);
        LOG.warn(
                "{}: {} at {} of {}: {}{}",
                client,
                what,
                offset,
                export.name(),
                e.getMessage(),
                others);
        hasWarned = true;
        warnedNanos = now;
        unsaid = 0;
    }

    private void cache(long offset, long length) {
        int errno = Errno.OK;
        try {
            if (length > 0) {
                export.cache(offset, length);
            }
        } catch (ExportException e) {
            errno = Errno.toWire(e.errno(), false);
        }
        putDone(request.cookie, offset, errno);
    }

    /// A BLOCK_STATUS whose payload, from the input's position to `end`, says how long the range is
    /// and which contexts are wanted.
    private void statusOfPayload(int end) {
        if (end - in.position() < 8 || (end - in.position()) % 4 != 0) {
            refuse(Errno.EINVAL);
            return;
        }
        long effectLength = in.getLong();
        Set<Integer> wanted = new HashSet<>();
        boolean known = true;
        while (in.position() < end) {
            int id = in.getInt();
            known &= id == Protocol.BASE_ALLOCATION_ID && wanted.add(id);
        }
        int errno = rules.range(request.offset, effectLength, Errno.EINVAL);
        if (!known || wanted.isEmpty() || effectLength == 0 || errno != Errno.OK) {
            refuse(Errno.EINVAL);
        } else {
            status(effectLength);
        }
    }

    private void status(long length) {
        List<Extent> found;
        boolean one = request.has(Protocol.CMD_FLAG_REQ_ONE);
        try {
            found = export.blockStatus(request.offset, length, one ? 1 : MAX_EXTENTS);
        } catch (ExportException e) {
            warn("status", request.offset, e);
            refuse(Errno.toWire(e.errno(), false));
            return;
        }
        List<Extent> extents = tidy(found, length, one ? 1 : MAX_EXTENTS);
        style.putExtents(
                room(style.extentsBytes(extents.size())), request.cookie, request.offset, extents);
    }

    /// Extents as the protocol wants them: at least one, none empty, neighbours different, inside
    /// the range.
    static List<Extent> tidy(List<Extent> found, long length, int maxExtents) {
        List<Extent> tidy = new ArrayList<>(Math.min(found.size(), maxExtents));
        long left = length;
        for (Extent extent : found) {
            long bytes = Math.min(left, extent.lengthBytes());
            if (bytes <= 0) {
                continue;
            }
            Extent last = tidy.isEmpty() ? null : tidy.getLast();
            if (last != null && last.hole() == extent.hole() && last.zero() == extent.zero()) {
                tidy.set(
                        tidy.size() - 1,
                        new Extent(last.lengthBytes() + bytes, last.hole(), last.zero()));
            } else if (tidy.size() == maxExtents) {
                break;
            } else {
                tidy.add(new Extent(bytes, extent.hole(), extent.zero()));
            }
            left -= bytes;
        }
        return tidy.isEmpty() ? List.of(Extent.data(length)) : tidy;
    }

    // ---- Replies.

    private void refuse(int errno) {
        boolean chunks =
                request.command == Protocol.CMD_READ
                        || request.command == Protocol.CMD_BLOCK_STATUS;
        ByteBuffer out = room(ReplyStyle.MAX_BYTES);
        if (chunks) {
            style.putEmpty(out, request.cookie, request.offset, errno);
        } else {
            style.putDone(out, request.cookie, request.offset, errno);
        }
    }

    private void putDone(long cookie, long offset, int errno) {
        style.putDone(room(ReplyStyle.MAX_BYTES), cookie, offset, errno);
    }

    /// The batch, with space for this many bytes.
    private ByteBuffer room(int bytes) {
        if (batch.data().remaining() < bytes) {
            sendBatch();
        }
        return batch.data();
    }

    private void sendBatch() {
        ByteBuffer data = batch.data();
        if (data.position() == 0) {
            return;
        }
        data.flip();
        if (outbox.send(batch)) {
            data.clear();
        } else {
            batch = newBatch();
        }
        batchNanos = System.nanoTime();
    }

    private Payload newBatch() {
        Payload fresh = pool.acquire(BATCH_BYTES);
        fresh.data().clear();
        return fresh;
    }

    /// The reply to one request that the export has.
    private final class Pending implements Reply {
        private static final VarHandle ANSWERED;

        static {
            try {
                ANSWERED =
                        MethodHandles.lookup()
                                .findVarHandle(Pending.class, "answered", boolean.class);
            } catch (ReflectiveOperationException e) {
                throw new ExceptionInInitializerError(e);
            }
        }

        private final long cookie = request.cookie;
        private final long offset = request.offset;
        private final int bytes;
        private final boolean fast;

        @SuppressWarnings("unused") // through ANSWERED
        private volatile boolean answered;

        Pending(int bytes, boolean fast) {
            this.bytes = bytes;
            this.fast = fast;
            inFlight.incrementAndGet();
            if (bytes > 0) {
                inFlightBytes.addAndGet(bytes);
            }
        }

        @Override
        @SuppressWarnings("ReferenceEquality") // a thread is itself alone
        public void done(int errno) {
            if (!ANSWERED.compareAndSet(this, false, true)) {
                throw new IllegalStateException("this request was answered before");
            }
            int wire = Errno.toWire(errno, fast);
            boolean unsent = false;
            if (Thread.currentThread() == thread) {
                if (batch != null) {
                    putDone(cookie, offset, wire);
                }
            } else {
                ByteBuffer reply = ByteBuffer.allocate(ReplyStyle.MAX_BYTES);
                style.putDone(reply, cookie, offset, wire);
                unsent = outbox.sendLate(reply.flip());
            }
            // Not before the reply is on its way: an idle connection closes.
            if (bytes > 0) {
                inFlightBytes.addAndGet(-bytes);
            }
            inFlight.decrementAndGet();
            if (unsent || waitsForInFlight) {
                selector.wakeup();
            }
        }

        /// The export threw, which it must not.
        void failed(RuntimeException e) {
            LOG.error("{}: request at {} of {}", client, offset, export.name(), e);
            if (!(boolean) ANSWERED.getVolatile(this)) {
                done(Errno.EIO);
            }
        }
    }

    // ---- The socket.

    /// Reads what is there: first what the current payload lacks, straight into it, then ahead.
    private void fill() throws IOException {
        in.compact();
        long got;
        long wanted = in.remaining();
        try {
            if (payload == null) {
                got = channel.read(in);
            } else {
                wanted += payload.data().remaining();
                scatter[0] = payload.data();
                scatter[1] = in;
                got = channel.read(scatter);
                scatter[0] = null;
            }
        } finally {
            in.flip();
        }
        endOfInput = got < 0;
        inputWasFull = got == wanted;
    }

    /// Waits until one of `ops` is possible, somebody wakes the thread, or the time is over.
    ///
    /// @param millis 0 for no limit
    /// @return whether one is; which, is in [#readyOps]
    private boolean select(int ops, long millis) throws IOException {
        if (!channel.isOpen()) {
            throw new EOFException("closed under us");
        }
        if (key.interestOps() != ops) {
            key.interestOps(ops);
        }
        readyOps = 0;
        selector.select(ready -> readyOps = ready.readyOps(), millis);
        return readyOps != 0;
    }

    /// Waits for the requests in flight and sends what is unsent, as long as the client reads.
    private void drain() throws IOException {
        waitsForInFlight = true;
        progressNanos = System.nanoTime();
        while (!outbox.broken() && (inFlight.get() > 0 || outbox.queuedBytes() > 0)) {
            boolean unsent = outbox.queuedBytes() > 0;
            waitFor(unsent ? SelectionKey.OP_WRITE : 0, unsent);
            if (readyOps != 0) {
                progressNanos = System.nanoTime();
                outbox.flush();
            }
        }
        if (stopping && !endOfInput && !outbox.broken()) {
            linger();
        }
    }

    private void linger() throws IOException {
        channel.shutdownOutput();
        long deadline = System.nanoTime() + LINGER_MILLIS * 1_000_000;
        long leftMillis = LINGER_MILLIS;
        while (!endOfInput && leftMillis > 0) {
            if (select(SelectionKey.OP_READ, leftMillis)) {
                in.clear().limit(0);
                fill();
            }
            leftMillis = (deadline - System.nanoTime()) / 1_000_000;
        }
    }

    /// The last thing of a connection, also of one whose thread could not be started.
    ///
    /// Closes the socket at once, and the rest when no request is in flight any more.
    void end() {
        outbox.breakOff();
        closeQuietly();
        waitsForInFlight = true;
        try {
            while (inFlight.get() > 0) {
                selector.select();
            }
            selector.close();
        } catch (IOException e) {
            LOG.warn("{}: {}", client, e.toString());
        }
        if (payload != null) {
            payload.release();
            payload = null;
        }
        if (batch != null) {
            batch.release();
            batch = null;
        }
        inputMemory.release();
        try {
            negotiation.end();
        } catch (RuntimeException e) {
            LOG.error("{}: closing its export", client, e);
        }
        if (export != null) {
            LOG.info("{}: closed {}", client, export.name());
        }
        server.ended(this);
    }

    private void closeQuietly() {
        try {
            channel.close();
        } catch (IOException e) {
            LOG.debug("{}: closing: {}", client, e.getMessage());
        }
    }
}
