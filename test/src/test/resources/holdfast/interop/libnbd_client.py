# A client through libnbd: every command, every flag, errors by number, many requests in flight.
#   libnbd_client.py URI READ_ONLY_URI
import os
import random
import sys

import nbd

h = nbd.NBD()
h.add_meta_context("base:allocation")
h.connect_uri(sys.argv[1])
size = h.get_size()
assert h.get_structured_replies_negotiated() and h.can_meta_context("base:allocation")
assert h.can_multi_conn() and h.can_df() and h.can_cache() and not h.can_fast_zero()
assert h.get_block_size(nbd.SIZE_MINIMUM) == 1


def fails(errno, call, *arguments):
    try:
        call(*arguments)
    except nbd.Error as e:
        assert e.errno == errno, (e.errno, errno)
    else:
        raise AssertionError("no " + errno)


# Plain commands.
data = os.urandom(1 << 20)
h.pwrite(data, 12345)
assert h.pread(len(data), 12345) == data
h.pwrite(b"fua", 5, nbd.CMD_FLAG_FUA)
assert h.pread(3, 5) == b"fua"
h.zero(65536, 12345, nbd.CMD_FLAG_NO_HOLE)
assert h.pread(65536, 12345) == bytes(65536)
h.zero(65536, 1 << 20, nbd.CMD_FLAG_FUA)
h.trim(1 << 20, 4 << 20, nbd.CMD_FLAG_FUA)
assert h.pread(1 << 20, 4 << 20) == bytes(1 << 20)
h.cache(1 << 20, 0)
h.flush()
big = os.urandom(32 << 20)
h.pwrite(big, 0)
assert h.pread(32 << 20, 0) == big

# Structured replies and block status.
chunks = []
h.pread_structured(
    65536, 0, lambda part, offset, status, error: chunks.append((offset, len(part))), nbd.CMD_FLAG_DF
)
assert chunks == [(0, 65536)], chunks
h.zero(1 << 20, 8 << 20)
extents = []
h.block_status(16 << 20, 0, lambda context, offset, entries, error: extents.extend(entries))
assert sum(extents[::2]) <= 16 << 20 and len(extents) >= 6, extents
assert extents[:4] == [8 << 20, 0, 1 << 20, 3], extents
one = []
h.block_status(
    16 << 20, 0, lambda context, offset, entries, error: one.extend(entries), nbd.CMD_FLAG_REQ_ONE
)
assert one == [8 << 20, 0], one

# Errors, checked by the server because the client is told not to.
h.set_strict_mode(0)
fails("EINVAL", h.pread, 512, size)
fails("EINVAL", h.pread, 512, 2**64 - 256)
fails("ENOSPC", h.pwrite, bytes(512), size - 511)
fails("ENOSPC", h.zero, 512, size)
fails("EINVAL", h.trim, 512, size)
fails("EINVAL", h.cache, 512, size)
fails("EINVAL", h.flush, nbd.CMD_FLAG_DF)
fails("EINVAL", h.zero, 512, 0, nbd.CMD_FLAG_FAST_ZERO)
fails("EINVAL", h.pwrite, bytes(512), 0, nbd.CMD_FLAG_REQ_ONE)
assert h.pread(32 << 20, 0)[:4096] == big[:4096]

# 64 requests in flight against a model.
rng = random.Random(11)
pages = {}
model = bytearray(h.pread(16 << 20, 0))
for step in range(3000):
    page = rng.randrange(len(model) // 4096)
    while page in pages or h.aio_in_flight() >= 64:
        h.poll(-1)
        for cookie, of in [(c, p) for p, c in pages.items()]:
            if h.aio_command_completed(cookie):
                del pages[of]
    content = rng.randbytes(4096)
    model[page * 4096 : page * 4096 + 4096] = content
    pages[page] = h.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(content)), page * 4096)
while h.aio_in_flight():
    h.poll(-1)
assert h.pread(len(model), 0) == model

# A second connection sees what the first has flushed.
other = nbd.NBD()
other.connect_uri(sys.argv[1])
h.pwrite(b"seen", 0)
h.flush()
assert other.pread(4, 0) == b"seen"
other.shutdown()

# Without structured replies.
simple = nbd.NBD()
simple.set_request_structured_replies(False)
simple.connect_uri(sys.argv[1])
assert simple.pread(4, 0) == b"seen"
simple.set_strict_mode(0)
fails("EINVAL", simple.pread, 512, size)
assert simple.pread(4, 0) == b"seen"
simple.shutdown()

fixed = nbd.NBD()
fixed.connect_uri(sys.argv[2])
assert fixed.is_read_only()
fixed.set_strict_mode(0)
fails("EPERM", fixed.pwrite, bytes(512), 0)
fails("EPERM", fixed.trim, 512, 0)
fails("EPERM", fixed.zero, 512, 0)
fixed.flush()
fixed.shutdown()
h.shutdown()
print("content")
