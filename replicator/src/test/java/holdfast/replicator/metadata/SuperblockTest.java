package holdfast.replicator.metadata;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import holdfast.replicator.state.ClockCheck;
import holdfast.replicator.state.Role;
import holdfast.tunnel.wire.AddressSpace;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.UUID;

class SuperblockTest {
    private static Superblock sample(int flags) {
        return sample(flags, AddressSpace.of(3));
    }

    private static Superblock sample(int flags, AddressSpace space) {
        return new Superblock(
                new UUID(1, 2),
                Role.SECONDARY,
                space,
                (flags & 1) != 0,
                (flags & 2) != 0,
                (flags & 4) != 0,
                (flags & 8) != 0,
                (flags & 16) != 0,
                new Position(4, 5),
                new Position(6, 7),
                8,
                9,
                10,
                11,
                12,
                17,
                18,
                19,
                new ClockCheck(20, 21, 22),
                Ancestry.EMPTY.plus(
                        new Ancestry.Entry(
                                13, Position.NONE, Ancestry.Reason.CREATE, new UUID(14, 15), 16)));
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2, 4, 8, 16, 31})
    void everyFlagComesBackAndHasItsBit(int flags) {
        ByteBuffer bytes = sample(flags).encode();
        assertEquals(flags, bytes.getShort(6));
        assertEquals(sample(flags), Superblock.decode(bytes));
    }

    @Test
    void fieldsStandWhereThePageSays() {
        ByteBuffer bytes = sample(0).encode();
        assertEquals(9, bytes.getLong(72));
        assertEquals(10, bytes.getLong(80));
        assertEquals(11, bytes.getLong(88));
        assertEquals(12, bytes.getLong(96));
        assertEquals(17, bytes.getLong(104));
        assertEquals(18, bytes.getLong(112));
        assertEquals(19, bytes.getLong(120));
        assertEquals(20, bytes.getLong(128));
        assertEquals(21, bytes.getLong(136));
        assertEquals(22, bytes.getLong(144));
        assertEquals(49, bytes.getInt(152));
    }

    @Test
    void theBytesOfVersionOneStay() throws IOException {
        Superblock of = sample(31, AddressSpace.parse("0:4194816 1:512 0:1024"));
        byte[] bytes = new byte[of.encode().remaining()];
        of.encode().get(bytes);
        try (var in = SuperblockTest.class.getResourceAsStream("/golden/disk/superblock-v1.hex")) {
            String golden = new String(in.readAllBytes(), StandardCharsets.UTF_8).strip();
            assertEquals(golden, HexFormat.of().formatHex(bytes));
            assertEquals(of, Superblock.decode(ByteBuffer.wrap(HexFormat.of().parseHex(golden))));
        }
    }

    @Test
    void theSegmentsOfSeveralVolumesFollowTheAncestry() {
        AddressSpace space = AddressSpace.parse("0:4194816 1:512 0:1024");
        ByteBuffer bytes = sample(0, space).encode();
        assertEquals((12 << 20) + 1024, bytes.getLong(24));
        assertEquals(156 + 49 + 3 * 12, bytes.remaining());
        assertEquals(1, bytes.getInt(156 + 49 + 12));
        assertEquals(512, bytes.getLong(156 + 49 + 16));
        assertEquals(sample(0, space), Superblock.decode(bytes.duplicate()));
        for (int length = 156 + 49 + 1; length < bytes.limit(); length++) {
            ByteBuffer cut = bytes.slice(0, length);
            assertThrows(IllegalArgumentException.class, () -> Superblock.decode(cut));
        }
        bytes.putLong(24, 7);
        assertThrows(IllegalArgumentException.class, () -> Superblock.decode(bytes));
    }

    @Test
    void whatIsCutOrUnknownIsRefused() {
        ByteBuffer bytes = sample(0).encode();
        for (int length = 0; length < bytes.limit(); length++) {
            ByteBuffer cut = bytes.slice(0, length);
            assertThrows(IllegalArgumentException.class, () -> Superblock.decode(cut));
        }
        ByteBuffer unknown = sample(0).encode().putShort(6, (short) 32);
        assertThrows(IllegalArgumentException.class, () -> Superblock.decode(unknown));
    }
}
