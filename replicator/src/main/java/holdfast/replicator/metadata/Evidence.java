package holdfast.replicator.metadata;

import holdfast.replicator.state.BlockRun;
import holdfast.replicator.state.BlockSet;
import holdfast.replicator.state.Faults;
import holdfast.tunnel.wire.AddressSpace;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.UUID;
import java.util.random.RandomGenerator;
import java.util.zip.CRC32C;

/// What a primary's device was like when it was stopped cleanly, and its codec: by this a start
/// sees whether somebody wrote to it past us meanwhile (docs/on-disk-format.md). Integers are
/// big-endian.
///
/// | offset | bytes | field       | meaning                                                           |
/// |-------:|------:|-------------|-------------------------------------------------------------------|
/// |      0 |     4 | magic       | `0x48464556`, "HFEV"                                              |
/// |      4 |     1 | version     | [#VERSION]                                                        |
/// |      5 |     1 | signs       | how many                                                          |
/// |      6 |     2 | samples     | how many                                                          |
/// |      8 |    16 | resource    | id                                                                |
/// |     24 |     8 | incarnation | of the superblock that says "clean"; of another one it means nothing |
/// |     32 |     8 | sizeBytes   | of the device                                                     |
/// |     40 |     8 | takenMillis | wall clock of the stop                                            |
/// |     48 |       | signs       | each twice u8 length and so many bytes of UTF-8: name, value      |
/// |        |       | samples     | each i64 block, and the first 16 bytes of the SHA-256 of its bytes |
/// |        |     4 | crc         | CRC-32C of all bytes before                                       |
///
/// @param signs what the device says of itself: when the file was changed, when its filesystem was
///   mounted; at most 255, with names of their own
/// @param samples blocks and their digests, in order; at most 65,535
public record Evidence(
        UUID resource,
        long incarnation,
        long sizeBytes,
        long takenMillis,
        List<Sign> signs,
        List<Sample> samples) {
    public static final int VERSION = 1;

    private static final int MAGIC = 0x48464556;
    private static final int HEADER_BYTES = 48;
    private static final int SAMPLE_BYTES = 24;
    private static final int CRC_BYTES = 4;
    private static final int MAX_TEXT_BYTES = 255;

    /// Where the superblocks of filesystems, partition tables and LVM are: the first 68 KiB reach
    /// that of btrfs.
    private static final int FIRST_BLOCKS = 17;

    /// The second partition table, and what RAID and DRBD keep at the end.
    private static final int LAST_BLOCKS = 9;

    /// What a foreign mount writes first lies often where the last one wrote: journal, inodes.
    public static final int RECENT_BLOCKS = 32;

    /// 32 + 32 places cost half a second on a disk that seeks. Of a file nothing is missed, since
    /// its time of change tells; of a device, one place in the middle alone hardly ever is seen.
    private static final int CHOSEN_BLOCKS = 32;

    /// Something that the device says of itself, in words for people.
    ///
    /// @param name one of those that each version writes alike, so that values can be compared
    public record Sign(String name, String value) {
        public Sign {
            if (bytes(name).length > MAX_TEXT_BYTES || bytes(value).length > MAX_TEXT_BYTES) {
                throw new IllegalArgumentException("a sign of more than 255 bytes");
            }
        }
    }

    /// @param high first eight bytes of the digest
    /// @param low the next eight
    public record Sample(long block, long high, long low) {
        /// @param data the block's bytes; the last block of a device may be short
        public static Sample of(long block, ByteBuffer data) {
            try {
                MessageDigest digest = MessageDigest.getInstance("SHA-256");
                digest.update(data.duplicate());
                ByteBuffer made = ByteBuffer.wrap(digest.digest());
                return new Sample(block, made.getLong(), made.getLong());
            } catch (NoSuchAlgorithmException e) {
                throw new IllegalStateException("every Java platform has SHA-256", e);
            }
        }

        public BlockRun run() {
            return new BlockRun(block, 1);
        }
    }

    /// Which blocks to look at, in order: the first and the last ones of each volume, those written
    /// last, and some by chance.
    ///
    /// @param recent blocks written last; those beyond [#RECENT_BLOCKS] are left out
    public static List<Long> places(
            AddressSpace space, Collection<Long> recent, RandomGenerator random) {
        long blocks = BlockSet.blocksOf(space.sizeBytes());
        TreeSet<Long> places = new TreeSet<>();
        for (int volume = 0; volume < space.volumes(); volume++) {
            long size = space.volumeBytes(volume);
            for (long i = 0; i < FIRST_BLOCKS && i * BlockSet.BLOCK_BYTES < size; i++) {
                places.add(blockOf(space, volume, i * BlockSet.BLOCK_BYTES));
            }
            for (long i = 0; i < LAST_BLOCKS && i * BlockSet.BLOCK_BYTES < size; i++) {
                places.add(blockOf(space, volume, size - 1 - i * BlockSet.BLOCK_BYTES));
            }
        }
        recent.stream().limit(RECENT_BLOCKS).forEach(places::add);
        for (int i = 0; i < CHOSEN_BLOCKS; i++) {
            places.add(random.nextLong(blocks));
        }
        return List.copyOf(places);
    }

    private static long blockOf(AddressSpace space, int volume, long offsetBytes) {
        return space.runs(volume, offsetBytes, 1).getFirst().addressBytes() / BlockSet.BLOCK_BYTES;
    }

    /// What of this no longer holds, in words; empty when all of it does.
    ///
    /// @param now of the same device, with samples of the same blocks
    /// @param space to name the volume by, of several
    public List<String> differences(Evidence now, AddressSpace space) {
        if (Faults.M36) {
            return List.of();
        }
        List<String> found = new ArrayList<>();
        if (sizeBytes != now.sizeBytes) {
            found.add("it has %d bytes, it had %d".formatted(now.sizeBytes, sizeBytes));
        }
        Map<String, String> values = new LinkedHashMap<>();
        now.signs.forEach(sign -> values.put(sign.name(), sign.value()));
        for (Sign was : signs) {
            String value = values.remove(was.name());
            if (!was.value().equals(value)) {
                found.add(
                        "%s is %s, was %s"
                                .formatted(
                                        was.name(), value == null ? "gone" : value, was.value()));
            }
        }
        values.forEach(
                (name, value) -> found.add("%s is %s, was not there".formatted(name, value)));
        List<Sample> other = new ArrayList<>(samples);
        other.removeAll(now.samples);
        if (!other.isEmpty()) {
            found.add(
                    "%d of %d sampled blocks differ, the first at %s"
                            .formatted(
                                    other.size(),
                                    samples.size(),
                                    words(other.getFirst().run().offsetBytes(), space)));
        }
        return found;
    }

    private static String words(long address, AddressSpace space) {
        if (!space.hasSeveral()) {
            return "byte " + address;
        }
        AddressSpace.Place place = space.at(address);
        return place.volume() == AddressSpace.GAP
                ? "a gap between the volumes"
                : "byte %d of volume %d".formatted(place.offsetBytes(), place.volume());
    }

    public ByteBuffer encode() {
        int length = HEADER_BYTES + samples.size() * SAMPLE_BYTES + CRC_BYTES;
        for (Sign sign : signs) {
            length += 2 + bytes(sign.name()).length + bytes(sign.value()).length;
        }
        ByteBuffer out = ByteBuffer.allocate(length);
        out.putInt(MAGIC).put((byte) VERSION);
        out.put((byte) signs.size()).putShort((short) samples.size());
        out.putLong(resource.getMostSignificantBits()).putLong(resource.getLeastSignificantBits());
        out.putLong(incarnation).putLong(sizeBytes).putLong(takenMillis);
        for (Sign sign : signs) {
            putText(out, sign.name());
            putText(out, sign.value());
        }
        for (Sample sample : samples) {
            out.putLong(sample.block()).putLong(sample.high()).putLong(sample.low());
        }
        return out.putInt(crc(out, out.position())).flip();
    }

    /// @throws IllegalArgumentException if the bytes are no evidence of a version known here; the
    ///   caller names the file
    public static Evidence decode(ByteBuffer in) {
        int end = in.limit() - CRC_BYTES;
        require(end >= HEADER_BYTES, "it is too short");
        require(in.getInt(end) == crc(in, end), "its checksum differs");
        require(in.getInt() == MAGIC, "its magic is missing");
        int version = in.get();
        require(version == VERSION, "version " + version + ", this program knows " + VERSION);
        int signCount = Byte.toUnsignedInt(in.get());
        int sampleCount = Short.toUnsignedInt(in.getShort());
        UUID resource = new UUID(in.getLong(), in.getLong());
        long incarnation = in.getLong();
        long sizeBytes = in.getLong();
        long takenMillis = in.getLong();
        require(sizeBytes >= 0, "a size of " + sizeBytes);
        List<Sign> signs = new ArrayList<>();
        for (int i = 0; i < signCount; i++) {
            signs.add(new Sign(text(in, end), text(in, end)));
        }
        require(
                end - in.position() == sampleCount * SAMPLE_BYTES,
                sampleCount + " samples in " + (end - in.position()) + " bytes");
        List<Sample> samples = new ArrayList<>();
        long least = 0;
        for (int i = 0; i < sampleCount; i++) {
            Sample sample = new Sample(in.getLong(), in.getLong(), in.getLong());
            require(
                    sample.block() >= least && sample.block() < BlockSet.blocksOf(sizeBytes),
                    "a sample of block " + sample.block());
            least = sample.block() + 1;
            samples.add(sample);
        }
        return new Evidence(resource, incarnation, sizeBytes, takenMillis, signs, samples);
    }

    private static void putText(ByteBuffer out, String text) {
        byte[] bytes = bytes(text);
        out.put((byte) bytes.length).put(bytes);
    }

    private static String text(ByteBuffer in, int end) {
        require(in.position() < end, "a text is cut off");
        int length = Byte.toUnsignedInt(in.get());
        require(length <= end - in.position(), "a text is cut off");
        byte[] bytes = new byte[length];
        in.get(bytes);
        String text = new String(bytes, StandardCharsets.UTF_8);
        require(java.util.Arrays.equals(bytes(text), bytes), "a text is not UTF-8");
        return text;
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static int crc(ByteBuffer of, int length) {
        var crc = new CRC32C();
        crc.update(of.slice(0, length));
        return (int) crc.getValue();
    }

    private static void require(boolean holds, String otherwise) {
        if (!holds) {
            throw new IllegalArgumentException("no evidence of a clean stop: " + otherwise);
        }
    }
}
