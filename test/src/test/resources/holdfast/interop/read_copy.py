# Reads a copy and writes the newest moment of it, each volume to a file: a reader of its own, made
# from docs/on-disk-format.md (and of docs/protocol.md "Several volumes") with nothing but Python's
# standard library and the command zstd. What it writes is compared with what `extract` does.
#   read_copy.py SUPERBLOCK JOURNAL BASE=IMAGE...        a pair for each volume, in their order
import os
import shutil
import struct
import subprocess
import sys

LIVE, EPOCH = (1, 2), (4, 5)
BEGIN, COMMIT, PAD, MARK = 3, 6, 7, 8
HEADER, ALIGNED, CHUNK = 128, 4 << 20, 1 << 20


def fail(why):
    sys.exit("read_copy: " + why)


def crc_table(bits):
    table = []
    for value in range(1 << bits):
        for _ in range(bits):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


CRC8, CRC16 = crc_table(8), crc_table(16)


def crc32c(data):
    crc = 0xFFFFFFFF
    for pair in memoryview(data)[: len(data) & ~1].cast("H") if sys.byteorder == "little" else ():
        crc = CRC16[(crc ^ pair) & 0xFFFF] ^ crc >> 16
    for byte in data[len(data) & ~1 :] if sys.byteorder == "little" else data:
        crc = CRC8[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


# ---- values in two slots, and the superblock -------------------------------------------------


def two_slots(path):
    """The value with the higher counter of those that are whole, and its owner."""
    content = open(path, "rb").read()
    half = len(content) // 2
    best = None
    for slot in (0, 1):
        at = slot * half
        magic, version, reserved, owner, counter, address, length, crc, size = struct.unpack_from(
            ">IHH16sQQIII", content, at
        )
        whole = magic == 0x48465453 and crc32c(content[at : at + 60]) == struct.unpack_from(
            ">I", content, at + 60
        )[0]
        if not whole:
            continue
        if version != 1 or reserved or any(content[at + 52 : at + 60]) or size != half:
            fail("%s: a slot that is not known here" % path)
        value = content[at + 64 : at + 64 + length]
        if address == at and counter % 2 == slot and crc32c(value) == crc:
            best = max(best or (-1,), (counter, value, owner))
    if best is None:
        fail("%s: no slot is whole" % path)
    return best[1:]


class Superblock:
    def __init__(self, path):
        value, owner = two_slots(path)
        magic, version, role, flags, self.resource, self.size = struct.unpack_from(">IBBH16sQ", value)
        if magic != 0x48465342 or version != 1 or role != 2 or owner != self.resource:
            fail("%s: no superblock of a copy" % path)
        self.ever_committed, mixture = flags & 2, flags & 16
        if mixture:
            fail("a mixture")
        self.watermark, self.rolling_to, _, self.moved_by = struct.unpack_from(">QQQQ", value, 72)
        at = 156 + struct.unpack_from(">I", value, 152)[0]
        self.segments = [(0, self.size)]
        if at < len(value):
            self.segments = list(struct.iter_unpack(">IQ", value[at:]))


def places(segments):
    """Where each segment begins: address, volume, offset in the volume, length."""
    found, end, filled = [], 0, {}
    for volume, length in segments:
        begin = -(-end // ALIGNED) * ALIGNED
        found.append((begin, volume, filled.get(volume, 0), length))
        filled[volume] = filled.get(volume, 0) + length
        end = begin + length
    return found, filled


# ---- segments of the journal, packed and not -------------------------------------------------


class Journal:
    def __init__(self, directory, watermark):
        self.files, self.unpacked = {}, (None, b"")
        for name in sorted(os.listdir(directory), reverse=True):
            number = name[:16]
            # The one without the suffix comes later here, and counts.
            if name in (number, number + ".packed") and len(number) == 16:
                self.files[int(number, 16)] = os.path.join(directory, name)
        sizes = {self.size(each) for each in self.files.values()}
        if len(sizes) != 1:
            fail("segments of sizes %s" % sizes)
        self.segment = sizes.pop()
        self.end = (max(self.files) + 1) * self.segment
        first = min(watermark // self.segment, max(self.files))
        if self.end < watermark or any(n not in self.files for n in range(first, max(self.files))):
            fail("a segment is missing")

    def size(self, path):
        if not path.endswith(".packed"):
            return os.path.getsize(path)
        return struct.unpack(">Q", open(path, "rb").read(16)[8:])[0]

    def content(self, number):
        if self.unpacked[0] != number:
            path = self.files[number]
            content = open(path, "rb").read()
            if path.endswith(".packed"):
                content = self.unpack(content, number)
            self.unpacked = (number, content)
        return self.unpacked[1]

    def unpack(self, packed, number):
        """What is damaged reads as zeroes, which are no record."""
        magic, version, size, its_number, chunk, table_crc = struct.unpack_from(">IIQQII", packed)
        count = -(-size // chunk)
        table = packed[64 : 64 + 8 * count]
        if (
            magic != 0x48464A50
            or version != 1
            or its_number != number
            or crc32c(packed[:60]) != struct.unpack_from(">I", packed, 60)[0]
            or crc32c(table) != table_crc
        ):
            return bytes(self.segment)
        content, frames, at = bytearray(size), [], 64 + 8 * count
        for i, (length, crc) in enumerate(struct.iter_unpack(">II", table)):
            stored, at = packed[at : at + length], at + length
            begin, plain = i * chunk, min(chunk, size - i * chunk)
            if len(stored) < length or crc32c(stored) != crc:
                continue
            if length == plain:
                content[begin : begin + plain] = stored
            else:
                frames.append((begin, plain, stored))
        # Frames behind each other are what they hold behind each other.
        joined = subprocess.run(
            ["zstd", "-d", "-q", "-c"],
            input=b"".join(stored for _, _, stored in frames),
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        at = 0
        for begin, plain, _ in frames:
            content[begin : begin + plain], at = joined[at : at + plain], at + plain
        return bytes(content)

    def read(self, address, length):
        """Of one record, so all of it lies in one segment; less where nothing is stored."""
        number, at = divmod(address, self.segment)
        return self.content(number)[at : at + length] if number in self.files else b""


# ---- records ---------------------------------------------------------------------------------


class Reader:
    """Runs of the committed image, the later one on top: address, length, journal offset or -1."""

    def __init__(self, superblock, journal):
        self.block, self.journal = superblock, journal
        self.image, self.staged, self.begun = [], [], False
        self.has_point = bool(superblock.ever_committed)
        self.incarnation = superblock.moved_by

    def drop_staged(self):
        self.staged, self.begun = [], False

    def begin(self, goes_on):
        if not goes_on or not self.begun:
            self.drop_staged()
        self.begun = True

    def commit(self):
        self.image += self.staged
        self.has_point = True
        self.drop_staged()

    def record(self, at):
        """The good record there, or None."""
        header = self.journal.read(at, HEADER)
        if len(header) < HEADER or crc32c(header[:124]) != struct.unpack_from(">I", header, 124)[0]:
            return None
        (magic, version, kind, encoding, flags, resource, address, _, incarnation, _, data_bytes) = (
            struct.unpack_from(">IBBBB16sQQQII", header)
        )
        offset, length = struct.unpack_from(">QQ", header, 80)
        good = (
            magic == 0x48464A52
            and version == 1
            and 1 <= kind <= 8
            and encoding == 0
            and resource == self.block.resource
            and address == at
            and incarnation >= self.incarnation
            and at % self.journal.segment + HEADER + data_bytes <= self.journal.segment
        )
        if not good:
            return None
        data = self.journal.read(at + HEADER, data_bytes)
        if crc32c(data) != struct.unpack_from(">I", header, 112)[0]:
            return None
        self.incarnation = incarnation
        return kind, flags, offset, length, data_bytes

    def read(self, at, until):
        """As far as to there, or to the first place without a good record, which it returns."""
        while at < until:
            left = self.journal.segment - at % self.journal.segment
            if left < HEADER:
                at += left
                continue
            found = self.record(at)
            if found is None:
                return at
            kind, flags, offset, length, data_bytes = found
            run = (offset, length, at + HEADER if kind in (1, 4) else -1)
            if kind in LIVE:
                self.drop_staged()
                self.image.append(run)
            elif kind in EPOCH:
                self.staged.append(run)
            elif kind == BEGIN:
                self.begin(flags & 2)
            elif kind == COMMIT:
                self.commit()
            elif kind == MARK:
                self.drop_staged()
            at += left if kind == PAD else -(-(HEADER + data_bytes) // 8) * 8
        return at

    def read_all(self, notes):
        at = self.block.watermark
        for place, incarnation, runs, end in notes:
            if at <= place and end <= self.journal.end:
                self.read(at, place)
                self.begin(False)
                self.staged = [run for run, record in runs if record >= self.block.watermark]
                self.commit()
                self.incarnation, at = incarnation, end
        return self.read(at, 1 << 63)


def notes_of_damage(directory, resource):
    """The bridges, in the order of their offsets: offset, incarnation, runs, end of the COMMIT."""
    found = []
    for name in sorted(os.listdir(directory)):
        if not name.endswith(".damage"):
            continue
        note = open(os.path.join(directory, name), "rb").read()
        magic, version, owner, address, incarnation, _, _, parts = struct.unpack_from(
            ">II16sQQqII", note
        )
        whole = crc32c(note[:-4]) == struct.unpack(">I", note[-4:])[0]
        if not whole or magic != 0x48464A58 or version != 1 or owner != resource:
            continue
        if address != int(name[:16], 16) or not parts:
            continue
        at, runs, end = 56, [], 0
        for _ in range(parts):
            end = struct.unpack_from(">Q", note, at + 9)[0]
            data_bytes, count = struct.unpack_from(">II", note, at + 65)
            at += 73 + data_bytes
            for _ in range(count):
                offset, length, data, record = struct.unpack_from(">QQqQ", note, at)
                runs.append(((offset, length, data), record & ~1))
                at += 32
        found.append((address, incarnation, runs, end))
    return found


# ---- the image -------------------------------------------------------------------------------


def write(journal, image, segments, volumes):
    """Lays the runs over the bases, each in the volumes in which its addresses lie."""
    for offset, length, data in image:
        for begin, volume, in_volume, segment_length in segments:
            start, end = max(offset, begin), min(offset + length, begin + segment_length)
            volumes[volume].seek(in_volume + start - begin)
            while start < end:
                part = min(CHUNK, end - start)
                volumes[volume].write(
                    bytes(part) if data < 0 else journal.read(data + start - offset, part)
                )
                start += part


def main(superblock_path, directory, *pairs):
    superblock = Superblock(superblock_path)
    segments, sizes = places(superblock.segments)
    if len(pairs) != len(sizes):
        fail("the copy has %d volumes" % len(sizes))
    journal = Journal(directory, superblock.watermark)
    reader = Reader(superblock, journal)
    end = reader.read_all(notes_of_damage(directory, superblock.resource))
    if end < superblock.rolling_to:
        fail("the journal ends at %d, the base was rolled on to %d" % (end, superblock.rolling_to))
    if not reader.has_point:
        fail("no moment yet")
    volumes = []
    for volume, pair in enumerate(pairs):
        base, image = pair.split("=")
        shutil.copyfile(base, image)
        os.truncate(image, sizes[volume])
        volumes.append(open(image, "r+b"))
    write(journal, reader.image, segments, volumes)
    for each in volumes:
        each.close()
    print("end %d" % end)


main(*sys.argv[1:])
