package holdfast.tunnel.wire;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/// Where the bytes of a resource's volumes lie in the one row of addresses that everything between
/// the exports and the disks counts in, so that all volumes share one order (protocol rule R28).
///
/// ```
///   volume 0        gap   volume 1     gap  volume 0, what it grew by
///  ├───────────────┤     ├────────────┤    ├──────────────┤
///  0                     n · 4 MiB         m · 4 MiB
/// ```
///
/// A resource of one volume has that volume's own offsets. With several, each begins at a whole
/// number of [#UNIT_BYTES], so that no extent of the activity log has bytes of two. In a gap
/// nothing is written, and it reads as zero on both sides. A growth appends: what has an address
/// keeps it.
///
/// @param segments in the order of addresses, one after the other never of the same volume; volumes
///   are numbered from 0 in the order in which they begin
public record AddressSpace(List<Segment> segments) {
    /// An extent of the activity log.
    public static final long UNIT_BYTES = 4 << 20;

    public static final int MAX_VOLUMES = 16;

    /// A volume that is not the last takes one with each growth.
    public static final int MAX_SEGMENTS = 256;

    /// 4 EiB: no sum of an address and a length overflows.
    private static final long MAX_BYTES = 1L << 62;

    /// What [#at] says of a gap.
    public static final int GAP = -1;

    /// The next bytes of a volume.
    public record Segment(int volume, long lengthBytes) {
        /// Bytes on the wire and on disk.
        public static final int BYTES = 12;
    }

    /// What an address stands for.
    ///
    /// @param volume or [#GAP]
    /// @param offsetBytes in the volume
    /// @param leftBytes how much from there on lies in one piece
    public record Place(int volume, long offsetBytes, long leftBytes) {}

    /// Addresses one after the other.
    public record Run(long addressBytes, long lengthBytes) {}

    public AddressSpace {
        segments = List.copyOf(segments);
        require(!segments.isEmpty(), "no volume at all");
        require(segments.size() <= MAX_SEGMENTS, "%d segments", segments.size());
        int volumes = 0;
        int last = GAP;
        long end = 0;
        for (Segment each : segments) {
            require(
                    each.volume >= 0 && each.volume <= volumes && each.volume < MAX_VOLUMES,
                    "volume %d after %d others",
                    each.volume,
                    volumes);
            require(each.volume != last, "two segments of volume %d in a row", last);
            long start = aligned(end);
            require(
                    each.lengthBytes > 0 && each.lengthBytes <= MAX_BYTES - start,
                    "%d bytes of volume %d",
                    each.lengthBytes,
                    each.volume);
            volumes = Math.max(volumes, each.volume + 1);
            last = each.volume;
            end = start + each.lengthBytes;
        }
    }

    private static void require(boolean holds, String otherwise, Object... facts) {
        if (!holds) {
            throw new IllegalArgumentException(
                    "no address space: ".concat(otherwise.formatted(facts)));
        }
    }

    /// That of a resource with one volume.
    public static AddressSpace of(long bytes) {
        return new AddressSpace(List.of(new Segment(0, bytes)));
    }

    /// @param volumeBytes the size of each volume
    public static AddressSpace ofVolumes(List<Long> volumeBytes) {
        List<Segment> segments = new ArrayList<>();
        for (long bytes : volumeBytes) {
            segments.add(new Segment(segments.size(), bytes));
        }
        return new AddressSpace(segments);
    }

    private static long aligned(long end) {
        return Math.ceilDiv(end, UNIT_BYTES) * UNIT_BYTES;
    }

    /// The end of the last address, gaps included.
    public long sizeBytes() {
        long end = 0;
        for (Segment each : segments) {
            end = aligned(end) + each.lengthBytes;
        }
        return end;
    }

    /// What the volumes hold together.
    public long dataBytes() {
        return segments.stream().mapToLong(Segment::lengthBytes).sum();
    }

    public int volumes() {
        return 1 + segments.stream().mapToInt(Segment::volume).max().orElseThrow();
    }

    public boolean hasSeveral() {
        return segments.size() > 1;
    }

    public long volumeBytes(int volume) {
        return segments.stream()
                .filter(each -> each.volume == volume)
                .mapToLong(Segment::lengthBytes)
                .sum();
    }

    /// The size of each volume.
    public List<Long> volumeSizes() {
        List<Long> sizes = new ArrayList<>();
        for (int i = 0; i < volumes(); i++) {
            sizes.add(volumeBytes(i));
        }
        return sizes;
    }

    /// @throws IndexOutOfBoundsException behind [#sizeBytes]
    public Place at(long address) {
        Objects.checkIndex(address, Long.MAX_VALUE);
        long end = 0;
        for (int i = 0; i < segments.size(); i++) {
            Segment each = segments.get(i);
            long start = aligned(end);
            if (address < start) {
                return new Place(GAP, 0, start - address);
            }
            end = start + each.lengthBytes;
            if (address < end) {
                return new Place(each.volume, before(i) + (address - start), end - address);
            }
        }
        throw new IndexOutOfBoundsException("address %d of %d".formatted(address, end));
    }

    /// How much of the volume of this segment lies in segments before it.
    private long before(int segment) {
        long bytes = 0;
        for (int i = 0; i < segment; i++) {
            if (segments.get(i).volume == segments.get(segment).volume) {
                bytes += segments.get(i).lengthBytes;
            }
        }
        return bytes;
    }

    /// Where a range of a volume lies.
    ///
    /// @throws IndexOutOfBoundsException if the volume ends before the range does
    public List<Run> runs(int volume, long offsetBytes, long lengthBytes) {
        List<Run> runs = new ArrayList<>(1);
        long at = offsetBytes;
        long left = lengthBytes;
        long begin = 0;
        long end = 0;
        for (Segment each : segments) {
            long start = aligned(end);
            end = start + each.lengthBytes;
            if (each.volume != volume) {
                continue;
            }
            if (left > 0 && at < begin + each.lengthBytes) {
                long part = Math.min(left, begin + each.lengthBytes - at);
                runs.add(new Run(start + (at - begin), part));
                at += part;
                left -= part;
            }
            begin += each.lengthBytes;
        }
        if (left > 0) {
            throw new IndexOutOfBoundsException(
                    "%d bytes at %d of volume %d, which has %d"
                            .formatted(lengthBytes, offsetBytes, volume, begin));
        }
        return runs;
    }

    /// The same with larger volumes. The last segment becomes longer; for any other volume one is
    /// appended.
    ///
    /// @param volumeBytes of each volume, none smaller than it is
    /// @throws IllegalArgumentException if one is, or there are too many growths
    public AddressSpace grown(List<Long> volumeBytes) {
        require(volumeBytes.size() == volumes(), "%d sizes of volumes", volumeBytes.size());
        List<Segment> next = new ArrayList<>(segments);
        Segment last = segments.getLast();
        long more = volumeBytes.get(last.volume) - volumeBytes(last.volume);
        require(more >= 0, "volume %d would be smaller", last.volume);
        next.set(next.size() - 1, new Segment(last.volume, last.lengthBytes + more));
        for (int i = 0; i < volumeBytes.size(); i++) {
            more = volumeBytes.get(i) - volumeBytes(i);
            require(more >= 0, "volume %d would be smaller", i);
            if (i != last.volume && more > 0) {
                next.add(new Segment(i, more));
            }
        }
        return new AddressSpace(next);
    }

    /// Whether growths lead from this to `larger`, or nothing does: they are the same.
    public boolean growsTo(AddressSpace larger) {
        return sizeBytes() <= larger.sizeBytes()
                && volumes() == larger.volumes()
                && larger.upTo(sizeBytes()).equals(this);
    }

    /// The same as it was when it ended there. A size that it never had makes no space of it: then
    /// what is left ends before.
    public AddressSpace upTo(long sizeBytes) {
        List<Segment> kept = new ArrayList<>();
        long end = 0;
        for (Segment each : segments) {
            long start = aligned(end);
            if (start >= sizeBytes) {
                break;
            }
            long length = Math.min(each.lengthBytes, sizeBytes - start);
            kept.add(new Segment(each.volume, length));
            end = start + length;
        }
        return new AddressSpace(kept);
    }

    /// As [#parse] reads it: the size of a single volume, else `VOLUME:BYTES` for each segment.
    public String text() {
        if (!hasSeveral()) {
            return Long.toString(sizeBytes());
        }
        List<String> words = new ArrayList<>();
        for (Segment each : segments) {
            words.add(each.volume + ":" + each.lengthBytes);
        }
        return String.join(" ", words);
    }

    /// @throws IllegalArgumentException if it is no such text
    public static AddressSpace parse(String text) {
        if (!text.contains(":")) {
            return of(Long.parseLong(text));
        }
        List<Segment> segments = new ArrayList<>();
        for (String word : text.split(" ", -1)) {
            int colon = Math.max(0, word.indexOf(':'));
            segments.add(
                    new Segment(
                            Integer.parseInt(word.substring(0, colon)),
                            Long.parseLong(word.substring(colon + 1))));
        }
        return new AddressSpace(segments);
    }
}
