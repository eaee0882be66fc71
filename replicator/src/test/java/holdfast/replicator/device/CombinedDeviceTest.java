package holdfast.replicator.device;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.tunnel.wire.AddressSpace;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

class CombinedDeviceTest {
    private static final int UNIT = (int) AddressSpace.UNIT_BYTES;
    private static final int MAX_LENGTH = 6 << 20;

    @TempDir private Path dir;

    private final List<Path> paths = new ArrayList<>();

    /// What each address reads; whether it is one of a volume.
    private byte[] model = new byte[0];

    private boolean[] isData = new boolean[0];

    private Disks open(AddressSpace space) throws Exception {
        for (int i = 0; i < space.volumes(); i++) {
            paths.add(dir.resolve("volume" + i));
            FileBlockDevice.create(paths.get(i), space.volumeBytes(i)).close();
        }
        return Disks.open(dir.resolve("locks"), "home", paths, space);
    }

    private void modelOf(AddressSpace space) {
        int size = Math.toIntExact(space.sizeBytes());
        model = Arrays.copyOf(model, size);
        isData = new boolean[size];
        for (int volume = 0; volume < space.volumes(); volume++) {
            for (AddressSpace.Run run : space.runs(volume, 0, space.volumeBytes(volume))) {
                int from = Math.toIntExact(run.addressBytes());
                Arrays.fill(isData, from, from + Math.toIntExact(run.lengthBytes()), true);
            }
        }
    }

    private void put(int at, byte[] data) {
        for (int i = 0; i < data.length; i++) {
            if (isData[at + i]) {
                model[at + i] = data[i];
            }
        }
    }

    /// Requests of any place and length, also over gaps and the ends of volumes, growths in
    /// between; all read back as a plain array does, and each volume's file has what its own
    /// offsets say.
    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4})
    void itReadsAsAnArrayDoes(long seed) throws Exception {
        Random random = new Random(seed);
        List<Long> sizes = new ArrayList<>();
        for (int i = 0; i < 2 + random.nextInt(2); i++) {
            sizes.add(512L * (1 + random.nextInt(12_000)));
        }
        AddressSpace space = AddressSpace.ofVolumes(sizes);
        modelOf(space);
        try (Disks disks = open(space)) {
            BlockDevice device = disks.device();
            for (int i = 0; i < 60; i++) {
                int at = random.nextInt(model.length);
                int length = random.nextInt(Math.min(MAX_LENGTH, model.length - at) + 1);
                byte[] data = new byte[length];
                switch (random.nextInt(5)) {
                    case 0 -> {
                        device.zero(at, length, random.nextBoolean());
                        put(at, data);
                    }
                    case 1, 2 -> {
                        random.nextBytes(data);
                        int cut = random.nextInt(length + 1);
                        ByteBuffer first = ByteBuffer.wrap(data, 0, cut).slice();
                        ByteBuffer second = ByteBuffer.wrap(data, cut, length - cut).slice();
                        device.write(at, first, second);
                        assertEquals(0, first.remaining() + second.remaining());
                        put(at, data);
                    }
                    case 3 -> {
                        ByteBuffer into = ByteBuffer.allocate(length + 10).limit(length);
                        device.read(at, into);
                        assertEquals(length, into.position());
                        assertEquals(length, into.limit());
                        assertArrayEquals(
                                Arrays.copyOfRange(model, at, at + length),
                                Arrays.copyOf(into.array(), length));
                    }
                    default -> {
                        int volume = random.nextInt(sizes.size());
                        sizes.set(volume, sizes.get(volume) + 512L * random.nextInt(3_000));
                        space = space.grown(sizes);
                        disks.grow(space);
                        modelOf(space);
                        assertEquals(model.length, device.sizeBytes());
                    }
                }
            }
            requireHolesAreZero(device);
            device.sync();
        }
        for (int volume = 0; volume < sizes.size(); volume++) {
            ByteBuffer expected = ByteBuffer.allocate(Math.toIntExact(sizes.get(volume)));
            for (AddressSpace.Run run : space.runs(volume, 0, sizes.get(volume))) {
                expected.put(
                        model,
                        Math.toIntExact(run.addressBytes()),
                        Math.toIntExact(run.lengthBytes()));
            }
            assertArrayEquals(expected.array(), Files.readAllBytes(paths.get(volume)));
        }
    }

    /// Every address is walked over by [BlockDevice#nextData] and [BlockDevice#nextHole] in turn.
    private void requireHolesAreZero(BlockDevice device) throws Exception {
        for (long at = 0; at < model.length; ) {
            long data = device.nextData(at);
            assertTrue(data >= at && data <= model.length);
            for (long i = at; i < data; i++) {
                assertEquals(0, model[(int) i], "byte " + i + " is said to be in a hole");
            }
            if (data == model.length) {
                return;
            }
            assertTrue(isData[(int) data], "a gap has no data");
            long hole = device.nextHole(data);
            assertTrue(hole > data && hole <= model.length);
            for (long i = data; i < hole; i++) {
                assertTrue(isData[(int) i], "a gap is a hole");
            }
            at = hole;
        }
    }

    @Test
    void outsideItIsNothing() throws Exception {
        try (Disks disks = open(AddressSpace.ofVolumes(List.of(512L, 512L)))) {
            BlockDevice device = disks.device();
            assertEquals(UNIT + 512, device.sizeBytes());
            assertEquals(device.sizeBytes(), device.nextData(device.sizeBytes()));
            assertThrows(
                    IndexOutOfBoundsException.class,
                    () -> device.read(UNIT, ByteBuffer.allocate(513)));
            assertThrows(IndexOutOfBoundsException.class, () -> device.zero(-1, 1, true));
            assertThrows(IndexOutOfBoundsException.class, () -> device.nextHole(UNIT + 513));
        }
    }

    /// A log on one disk does not wait for the data on the other.
    @Test
    void aSyncOfOneVolumeIsOfThatAlone() throws Exception {
        List<Counting> volumes = List.of(new Counting(), new Counting());
        CombinedDevice device =
                new CombinedDevice(volumes, AddressSpace.ofVolumes(List.of(512L, 512L)));
        device.sync(UNIT + 100);
        assertEquals(List.of(0, 1), volumes.stream().map(each -> each.syncs).toList());
        device.sync();
        assertEquals(List.of(1, 2), volumes.stream().map(each -> each.syncs).toList());
    }

    /// Else the other volumes would go on to a moment that the failed one never has.
    @Test
    void afterAFailedSyncOfOneNoneTakesWrites() throws Exception {
        List<Counting> volumes = List.of(new Counting(), new Counting());
        CombinedDevice device =
                new CombinedDevice(volumes, AddressSpace.ofVolumes(List.of(512L, 512L)));
        volumes.get(1).fails = true;
        device.write(0, ByteBuffer.allocate(8));
        assertThrows(DeviceException.class, () -> device.sync(UNIT));
        assertThrows(DeviceException.class, () -> device.write(0, ByteBuffer.allocate(8)));
        assertThrows(DeviceException.class, () -> device.zero(0, 8, true));
        assertThrows(DeviceException.class, device::sync);
        assertThrows(DeviceException.class, () -> device.sync(0));
        device.read(0, ByteBuffer.allocate(8));
    }

    /// A growth and a look at the signs sync a volume by itself.
    @Test
    void aVolumeThatHasFailedByItselfEndsTheWritesOfAll() throws Exception {
        List<Counting> volumes = List.of(new Counting(), new Counting());
        CombinedDevice device =
                new CombinedDevice(volumes, AddressSpace.ofVolumes(List.of(512L, 512L)));
        device.write(0, ByteBuffer.allocate(8));
        volumes.get(1).failure = new DeviceException(Errno.EIO, "it does not sync");
        assertThrows(DeviceException.class, () -> device.write(0, ByteBuffer.allocate(8)));
    }

    @Test
    void asManyDisksAsVolumesAreOpenedOrNone() {
        AddressSpace space = AddressSpace.ofVolumes(List.of(512L, 512L));
        Path locks = dir.resolve("locks");
        assertThrows(
                DeviceException.class,
                () -> Disks.open(locks, "home", List.of(dir.resolve("a")), space));
    }

    @Test
    void theMissingOneOfSeveralIsNamedAndNoneIsHeld() throws Exception {
        AddressSpace space = AddressSpace.ofVolumes(List.of(512L, 512L));
        open(space).close();
        Files.delete(paths.get(1));
        DeviceException missing =
                assertThrows(
                        DeviceException.class,
                        () -> Disks.open(dir.resolve("locks"), "home", paths, space));
        assertTrue(missing.getMessage().contains("volume 1 of home: "), missing.getMessage());
        Disks.open(dir.resolve("locks"), "other", paths.subList(0, 1), AddressSpace.of(512))
                .close();
    }

    /// Bytes that are nowhere, whose syncs are counted or fail.
    private static final class Counting implements BlockDevice {
        private int syncs;
        private boolean fails;
        private DeviceException failure;

        @Override
        public long sizeBytes() {
            return 512;
        }

        @Override
        public int logicalBlockBytes() {
            return 512;
        }

        @Override
        public void read(long offsetBytes, ByteBuffer into) {
            into.position(into.limit());
        }

        @Override
        public void write(long offsetBytes, ByteBuffer... parts) {}

        @Override
        public void zero(long offsetBytes, long lengthBytes, boolean punch) {}

        @Override
        public void sync() throws DeviceException {
            syncs++;
            if (fails) {
                failure = new DeviceException(Errno.EIO, "it does not sync");
                throw failure;
            }
        }

        @Override
        public DeviceException syncFailure() {
            return failure;
        }

        @Override
        public long nextData(long offsetBytes) {
            return offsetBytes;
        }

        @Override
        public long nextHole(long offsetBytes) {
            return 512;
        }

        @Override
        public boolean discardZeroes() {
            return true;
        }

        @Override
        public void close() {}
    }
}
