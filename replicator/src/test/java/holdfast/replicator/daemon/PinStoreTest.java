package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.device.DeviceException;
import holdfast.replicator.device.FileBlockDevice;
import holdfast.replicator.journal.JournalIndex;
import holdfast.replicator.nbd.Extent;
import holdfast.replicator.state.History.Moment;
import holdfast.replicator.state.Pins;
import holdfast.replicator.state.Pins.Pin;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.UUID;

/// The deltas on real files.
class PinStoreTest {
    private static final UUID ID = new UUID(1, 2);

    /// Not a whole number of blocks.
    private static final int SIZE = 1_000_448;

    private static final int HOLE_FROM = 512 << 10;
    private static final int HOLE_TO = 768 << 10;

    @TempDir Path dir;

    private FileBlockDevice base;
    private PinStore store;
    private byte[] content;

    @BeforeEach
    void open() throws IOException {
        base = FileBlockDevice.create(dir.resolve("home.img"), SIZE);
        content = new byte[SIZE];
        new Random(1).nextBytes(content);
        Arrays.fill(content, HOLE_FROM, HOLE_TO, (byte) 0);
        base.write(0, ByteBuffer.wrap(content, 0, HOLE_FROM));
        base.write(HOLE_TO, ByteBuffer.wrap(content, HOLE_TO, SIZE - HOLE_TO));
        store = PinStore.open(dir.resolve("home.pins"), ID);
    }

    @AfterEach
    void close() {
        store.close();
        base.close();
    }

    private void reopen() throws IOException {
        store.close();
        store = PinStore.open(dir.resolve("home.pins"), ID);
    }

    private static Pin pin(long id, String name, long address) {
        Moment moment =
                new Moment(address, new Position(1, address), Ancestry.EMPTY, 0, 0, 0, 1, 0);
        return new Pin(id, name, moment, SIZE, 0, 10, false);
    }

    private static JournalIndex index(long... offsetsAndLengths) {
        JournalIndex index = new JournalIndex();
        for (int i = 0; i < offsetsAndLengths.length; i += 2) {
            index.put(
                    new JournalIndex.Run(
                            offsetsAndLengths[i], offsetsAndLengths[i + 1], 0, 0, false));
        }
        return index;
    }

    /// As a roll does it.
    private void overwrite(long pin, int offset, int length, int with) throws IOException {
        assertNull(
                store.save(new Pins.Save(pin, List.of(pin)), index(offset, length), base, _ -> {}));
        byte[] other = new byte[length];
        Arrays.fill(other, (byte) with);
        base.write(offset, ByteBuffer.wrap(other));
    }

    private byte[] read(long pin) throws IOException {
        ByteBuffer found = ByteBuffer.allocate(SIZE);
        store.read(pin, 0, found, base);
        return found.array();
    }

    @Test
    void aPinReadsAsTheBaseWasAlsoAfterReopening() throws Exception {
        store.write(List.of(pin(1, "a", 100)), 1);
        assertArrayEquals(content, read(1));
        overwrite(1, 5000, 300_000, 1);
        overwrite(1, 0, 600_000, 2);
        overwrite(1, SIZE - 100, 100, 3);
        assertArrayEquals(content, read(1));
        reopen();
        assertEquals(List.of(), store.damages());
        assertArrayEquals(content, read(1));
        overwrite(1, 0, SIZE, 4);
        assertArrayEquals(content, read(1));
        // It was saved by two rolls: the first ended in the block from 598016 on.
        assertEquals(
                List.of(Extent.hole(602_112 - HOLE_FROM - 4096)),
                store.extents(1, HOLE_FROM + 4096, 400_000, 16, base));
    }

    @Test
    void anOlderPinReadsThroughTheNewerOnesAlsoWhenTheyAreDropped() throws Exception {
        store.write(List.of(pin(1, "a", 100)), 1);
        overwrite(1, 0, 100_000, 1);
        byte[] second = content.clone();
        Arrays.fill(second, 0, 100_000, (byte) 1);
        store.write(List.of(pin(1, "a", 100), pin(2, "b", 200)), 2);
        overwrite(2, 50_000, 200_000, 2);
        assertArrayEquals(content, read(1));
        assertArrayEquals(second, read(2));
        store.write(List.of(pin(1, "a", 100), pin(2, "", 200)), 2);
        reopen();
        assertArrayEquals(content, read(1));
        store.write(List.of(), 2);
        assertEquals(0, store.usedBytes());
        assertEquals(List.of("pins"), names());
        assertThrows(DeviceException.class, () -> read(1));
    }

    private List<String> names() throws IOException {
        try (var files = Files.list(dir.resolve("home.pins"))) {
            return files.map(each -> each.getFileName().toString()).sorted().toList();
        }
    }

    /// The base is half written over, and the same roll comes again.
    @Test
    void whatIsSavedIsNotSavedAgain() throws Exception {
        store.write(List.of(pin(1, "a", 100)), 1);
        overwrite(1, 0, 100_000, 1);
        long used = store.usedBytes();
        reopen();
        overwrite(1, 0, 100_000, 2);
        assertEquals(used, store.usedBytes());
        assertArrayEquals(content, read(1));
    }

    @Test
    void withoutRoomNothingChangesAndWithRoomItGoesOn() throws Exception {
        store.write(List.of(pin(1, "a", 100)), 1);
        overwrite(1, 0, 100_000, 1);
        long used = store.usedBytes();
        store.maxBytes(used + 100_000);
        Pins.Save save = new Pins.Save(1, List.of(1L));
        PinStore.NoRoom lacks = store.save(save, index(0, SIZE), base, _ -> {});
        assertNotNull(lacks);
        assertEquals(PinStore.Bound.SETTING, lacks.bound());
        assertTrue(lacks.why().contains("keep-max"), lacks.why());
        assertEquals(used, store.usedBytes());
        assertArrayEquals(content, read(1));
        store.maxBytes(2 * SIZE);
        overwrite(1, 0, SIZE, 5);
        assertArrayEquals(content, read(1));
        reopen();
        assertArrayEquals(content, read(1));
    }

    @Test
    void whatACrashLeftBehindTheEndMeansNothing() throws Exception {
        store.write(List.of(pin(1, "a", 100)), 1);
        overwrite(1, 0, 100_000, 1);
        store.close();
        Path delta = dir.resolve("home.pins/delta-0000000000000001");
        try (var file = new RandomAccessFile(delta.toFile(), "rw")) {
            file.seek(file.length());
            file.write(new byte[12_345]);
        }
        Path stray = Files.write(dir.resolve("home.pins/delta-0000000000000009"), new byte[5]);
        store = PinStore.open(dir.resolve("home.pins"), ID);
        assertFalse(Files.exists(stray));
        overwrite(1, 200_000, 100_000, 2);
        reopen();
        assertArrayEquals(content, read(1));
    }

    @Test
    void damageOfABlockIsSeenWhenItIsReadAndOfATableAtOnce() throws Exception {
        store.write(List.of(pin(1, "a", 100)), 1);
        overwrite(1, 0, 100_000, 1);
        store.close();
        Path delta = dir.resolve("home.pins/delta-0000000000000001");
        flip(delta, 4096 + 10);
        store = PinStore.open(dir.resolve("home.pins"), ID);
        assertEquals(List.of(), store.damages());
        assertThrows(DeviceException.class, () -> read(1));
        ByteBuffer rest = ByteBuffer.allocate(4096);
        store.read(1, 8192, rest, base);
        assertArrayEquals(Arrays.copyOfRange(content, 8192, 12288), rest.array());
        flip(delta, 4096 + 10);
        flip(delta, Files.size(delta) - 4096);
        reopen();
        assertEquals(1, store.damages().getFirst().pin());
        flip(dir.resolve("home.pins/pins"), 30);
        assertThrows(IOException.class, this::reopen);
        flip(dir.resolve("home.pins/pins"), 30);
        reopen();
    }

    private static void flip(Path file, long at) throws IOException {
        byte[] bytes = Files.readAllBytes(file);
        bytes[(int) at] ^= 1;
        Files.write(file, bytes);
    }
}
