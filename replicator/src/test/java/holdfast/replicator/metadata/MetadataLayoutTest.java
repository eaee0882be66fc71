package holdfast.replicator.metadata;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.state.BlockSet;
import holdfast.replicator.state.Kept;
import holdfast.replicator.state.PageMemory;
import holdfast.replicator.state.PeerCopy;
import holdfast.replicator.state.Transaction;
import holdfast.replicator.state.Transaction.Blank;
import holdfast.replicator.state.WriteTimes;
import holdfast.tunnel.wire.Position;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import java.util.UUID;
import java.util.function.Consumer;
import java.util.zip.CRC32C;

class MetadataLayoutTest {
    private static final UUID RESOURCE = new UUID(0x0102030405060708L, 0x090a0b0c0d0e0f10L);
    private static final Position AT = new Position(0x1122334455667788L, 7);
    private static final PeerCopy PEER = new PeerCopy(AT, AT.plus(3), 5, 0);
    private static final int EXTENT_BLOCKS = 64;
    private static final int PAGE_BLOCKS = 31 * EXTENT_BLOCKS;
    private static final long BLOCKS = 2 * PAGE_BLOCKS + 100;
    private static final int SLOTS = 4;

    private final MetadataLayout layout =
            new MetadataLayout(RESOURCE, BLOCKS * BlockSet.BLOCK_BYTES - 512, EXTENT_BLOCKS, SLOTS);
    private final byte[] file = new byte[Math.toIntExact(layout.fileBytes())];

    MetadataLayoutTest() {
        layout.beginning(MetadataLayout.first(Blank.MISSING, 1, PeerCopy.UNKNOWN))
                .forEach(this::put);
    }

    private static Transaction transaction(
            long number, long era, Blank blank, List<Transaction.Page> pages, Long... extents) {
        return new Transaction(number, era, blank, PEER, false, pages, List.of(extents));
    }

    /// Blocks of one page that are set.
    private static Transaction.Page page(long number, int suspectParts, int... blocks) {
        long[] bits = new long[31];
        for (int b : blocks) {
            bits[b / 64] |= 1L << b;
        }
        return new Transaction.Page(number, suspectParts, bits);
    }

    private void put(MetadataLayout.Piece piece) {
        piece.data().get(0, file, (int) piece.offsetBytes(), piece.data().remaining());
    }

    private void carryOut(Transaction t) {
        layout.pages(t).forEach(this::put);
        layout.records(t).forEach(this::put);
    }

    private MetadataLayout.Recovered recovered() throws IOException {
        return recovered(PageMemory.of(PageMemory.PAGE_BITS, Long.MAX_VALUE));
    }

    private MetadataLayout.Recovered recovered(PageMemory memory) throws IOException {
        return layout.recover(
                new MetadataLayout.Source() {
                    @Override
                    public void read(long offsetBytes, ByteBuffer into) {
                        into.put(file, (int) offsetBytes, into.remaining());
                    }

                    // Of pages, as a file system says it.
                    @Override
                    public long nextData(long offsetBytes) {
                        for (long at = offsetBytes; at < file.length; at += 4096) {
                            int from = (int) at;
                            byte[] zeroes = new byte[4096];
                            if (Arrays.mismatch(file, from, from + 4096, zeroes, 0, 4096) >= 0) {
                                return at;
                            }
                        }
                        return file.length;
                    }
                },
                memory);
    }

    private Kept kept() throws IOException {
        return recovered().kept();
    }

    @Test
    void aNewFileSaysThatEverythingIsMissing() throws Exception {
        assertEquals(BLOCKS, kept().dirty().count());
        assertEquals(BLOCKS, kept().onDisk().count());
        assertEquals(0, kept().suspect().count());
        assertEquals(1, kept().transaction());
    }

    @Test
    void whatPagesAndLogSayComesBack() throws Exception {
        carryOut(
                transaction(
                        2, 1, Blank.CLEAR, List.of(page(0, 0b10, 3, 70), page(2, 0, 99)), 5L, 33L));
        Kept kept = kept();
        assertTrue(kept.dirty().contains(3) && kept.dirty().contains(2 * PAGE_BLOCKS + 99));
        assertTrue(kept.suspect().contains(70), "its part is suspect");
        assertEquals(2, kept.dirty().count());
        assertEquals(3, kept.onDisk().count());
        assertEquals(
                EXTENT_BLOCKS, kept.suspect().runEnd(5 * EXTENT_BLOCKS, 999) - 5 * EXTENT_BLOCKS);
        assertEquals(1 + 2 * EXTENT_BLOCKS, kept.suspect().count());
        assertEquals(List.of(5L, 33L), kept.extents());
        assertEquals(PEER, kept.peer());
    }

    /// Nothing of it is taken for being on the disk, so that it is written again when it must be.
    @Test
    void whatMemoryHasNoRoomForComesBackAsExtentsThatAreCompared() throws Exception {
        carryOut(
                transaction(
                        2, 1, Blank.CLEAR, List.of(page(0, 0, 3, 70), page(1, 0), page(2, 0, 99))));
        Kept kept = recovered(PageMemory.of(11, 0)).kept();
        assertEquals(0, kept.dirty().count());
        assertEquals(2 * EXTENT_BLOCKS + 36, kept.suspect().count());
        assertTrue(kept.suspect().contains(3) && kept.suspect().contains(70));
        assertTrue(kept.suspect().contains(2 * PAGE_BLOCKS + 99));
        assertTrue(kept.onDisk().isEmpty());
        assertEquals("{0, 2}", kept.unknown().toString());
    }

    @Test
    void theNewestOfTheSlotsCounts() throws Exception {
        for (int number = 1; number <= 3 * SLOTS + 2; number++) {
            carryOut(transaction(number, 1, Blank.CLEAR, List.of(), (long) number));
            assertEquals(number, kept().transaction());
            assertEquals(List.of((long) number), kept().extents());
        }
    }

    /// The table on [Transaction]: each step that a crash may be behind.
    @Test
    void aCrashBetweenPagesAndRecordLosesNothing() throws Exception {
        carryOut(transaction(7, 1, Blank.CLEAR, List.of(page(0, 0, 1, 2)), 4L));
        PeerCopy moved = new PeerCopy(AT.plus(5), AT.plus(7), 5, 3);
        Transaction next =
                new Transaction(8, 1, Blank.CLEAR, moved, true, List.of(page(0, 0, 2)), List.of());
        layout.pages(next).forEach(this::put);
        Kept kept = kept();
        assertEquals(List.of(4L), kept.extents());
        assertTrue(kept.dirty().contains(2) && !kept.dirty().contains(1));
        // What took block 1 off the page is durable with it.
        assertEquals(moved, kept.peer());
        assertEquals(8, kept.transaction());
    }

    @Test
    void pagesOfAnotherEraHaveNoMeaning() throws Exception {
        carryOut(transaction(2, 1, Blank.CLEAR, List.of(page(0, 0, 1), page(1, 0, 2))));
        carryOut(transaction(3, 2, Blank.SUSPECT, List.of()));
        assertEquals(BLOCKS, kept().suspect().count());
        carryOut(transaction(4, 2, Blank.SUSPECT, List.of(page(1, 0))));
        assertEquals(BLOCKS - PAGE_BLOCKS, kept().suspect().count());
        carryOut(transaction(5, 3, Blank.CLEAR, List.of()));
        assertEquals(0, kept().missingBytes());
    }

    @Test
    void aTornPageCostsComparingWhatItStandsFor() throws Exception {
        carryOut(transaction(2, 1, Blank.CLEAR, List.of(page(1, 0, 1))));
        int at = (2 * SLOTS + 1) * 4096;
        Arrays.fill(file, at + 2048, at + 2560, (byte) 0x55);
        MetadataLayout.Recovered found = recovered();
        assertNotNull(found.damage());
        assertEquals(PAGE_BLOCKS, found.kept().suspect().count());
        assertEquals(PAGE_BLOCKS, found.kept().suspect().next(0));
    }

    /// The copies of the record of this transaction.
    private int[] copiesOf(long number) {
        int slot = (int) number % SLOTS * 4096;
        return new int[] {slot, slot + SLOTS * 4096};
    }

    private void threeTransactions() {
        carryOut(transaction(2, 1, Blank.CLEAR, List.of(), 1L));
        carryOut(transaction(3, 1, Blank.CLEAR, List.of(page(0, 0, 1)), 2L));
        carryOut(transaction(4, 1, Blank.CLEAR, List.of(page(1, 0, 1)), 3L));
    }

    @Test
    void aDamagedCopyOfTheNewestTransactionCostsNothing() throws Exception {
        threeTransactions();
        for (int copy : copiesOf(4)) {
            byte[] good = file.clone();
            file[copy + 200] ^= 1;
            assertNull(recovered().damage());
            assertEquals(4, kept().transaction());
            assertEquals(List.of(3L), kept().extents());
            System.arraycopy(good, 0, file, 0, file.length);
        }
    }

    /// It was acknowledged as durable, and writes went into its extents.
    @Test
    void withoutTheNewestTransactionEverythingIsCompared() throws Exception {
        threeTransactions();
        byte[] good = file.clone();
        for (int copy : copiesOf(4)) {
            file[copy] ^= 1;
        }
        assertLost();
        for (int copy : copiesOf(4)) {
            Arrays.fill(file, copy, copy + 4096, (byte) 0);
        }
        assertLost();
        System.arraycopy(good, 0, file, 0, file.length);
        for (long number = 3; number <= 4; number++) {
            for (int copy : copiesOf(number)) {
                file[copy + 4095] ^= 1;
            }
        }
        assertLost();
        Arrays.fill(file, 0, 2 * SLOTS * 4096, (byte) 0);
        assertEquals(BLOCKS, kept().suspect().count());
    }

    /// As after a transaction of which a crash left only the pages: its number is used up.
    @Test
    void theNumberOfAnUnfinishedTransactionHidesNoLoss() throws Exception {
        threeTransactions();
        Transaction unfinished = transaction(5, 1, Blank.CLEAR, List.of(page(0, 0, 2)), 1L);
        layout.pages(unfinished).forEach(this::put);
        assertEquals(5, kept().transaction());
        carryOut(transaction(6, 1, Blank.CLEAR, List.of(), 7L));
        assertEquals(List.of(7L), kept().extents());
        for (int copy : copiesOf(6)) {
            file[copy] ^= 1;
        }
        assertLost();
    }

    private void assertLost() throws IOException {
        MetadataLayout.Recovered found = recovered();
        assertTrue(found.damage().contains("the newest transaction"), found.damage());
        assertTrue(found.kept().isLost());
        assertEquals(BLOCKS, found.kept().suspect().count());
    }

    /// Sector by sector, in any order, as long as one copy is as it was or as it should be: what a
    /// power cut leaves of a write that nobody was told of.
    @Test
    void aTornRecordLeavesTheOneBefore() throws Exception {
        threeTransactions();
        byte[] before = file.clone();
        carryOut(transaction(5, 1, Blank.CLEAR, List.of(), 9L));
        byte[] after = file.clone();
        int[] copies = copiesOf(5);
        for (int torn = 0; torn < 2; torn++) {
            for (int sectors = 0; sectors < 256; sectors++) {
                for (byte[] other : List.of(before, after)) {
                    System.arraycopy(other, copies[1 - torn], file, copies[1 - torn], 4096);
                    for (int sector = 0; sector < 8; sector++) {
                        byte[] from = (sectors >>> sector & 1) == 0 ? before : after;
                        int at = copies[torn] + sector * 512;
                        System.arraycopy(from, at, file, at, 512);
                    }
                    MetadataLayout.Recovered found = recovered();
                    assertNull(found.damage());
                    long newest = found.kept().transaction();
                    assertTrue(newest == 4 || newest == 5, "transaction " + newest);
                    assertEquals(
                            List.of(newest == 4 ? 3L : 9L),
                            found.kept().extents(),
                            "sectors " + sectors);
                }
            }
        }
    }

    /// Whatever happens to the slots: never an older transaction than the newest, unless everything
    /// is compared.
    @Test
    void damageIsNeverTakenForAnOlderState() throws Exception {
        for (int number = 2; number <= 3 * SLOTS; number++) {
            carryOut(transaction(number, 1, Blank.CLEAR, List.of(), (long) number));
        }
        byte[] good = file.clone();
        long seed = Long.getLong("holdfast.seed", System.nanoTime());
        Random random = new Random(seed);
        for (int round = 0; round < 20_000; round++) {
            System.arraycopy(good, 0, file, 0, file.length);
            int hits = 1 + random.nextInt(2 * SLOTS);
            for (int hit = 0; hit < hits; hit++) {
                int from = random.nextInt(2 * SLOTS) * 4096 + 512 * random.nextInt(8);
                if (random.nextBoolean()) {
                    Arrays.fill(file, from, from + 512 * (1 + random.nextInt(8)), (byte) 0);
                } else {
                    file[from + random.nextInt(512)] ^= (byte) (1 << random.nextInt(8));
                }
            }
            Kept kept = kept();
            assertTrue(
                    kept.isLost() || kept.transaction() == 3 * SLOTS,
                    "round %d: -Dholdfast.seed=%d".formatted(round, seed));
        }
    }

    /// A page of another resource, or in another place, is none.
    @Test
    void aPageKnowsWhereItBelongs() throws Exception {
        carryOut(transaction(2, 1, Blank.CLEAR, List.of(page(0, 0, 1))));
        System.arraycopy(file, 2 * SLOTS * 4096, file, (2 * SLOTS + 1) * 4096, 4096);
        assertEquals(PAGE_BLOCKS, kept().suspect().count());
        assertEquals(PAGE_BLOCKS, kept().suspect().next(0));
    }

    @Test
    void everyFlippedBitIsSeen() {
        MetadataLayout.Piece piece =
                layout.records(transaction(2, 1, Blank.CLEAR, List.of(), 1L, 2L)).getFirst();
        ByteBuffer record = piece.data();
        long address = piece.offsetBytes();
        for (int at = 0; at < MetadataCodec.PAGE_BYTES; at++) {
            for (int bit = 0; bit < 8; bit++) {
                record.put(at, (byte) (record.get(at) ^ 1 << bit));
                assertTrue(
                        MetadataCodec.decode(record, RESOURCE, address, 0, 31)
                                instanceof MetadataCodec.Found.Broken,
                        at + "." + bit);
                record.put(at, (byte) (record.get(at) ^ 1 << bit));
            }
        }
    }

    /// Whole, but by a program that knows of more peers than one, or of more fields.
    @Test
    void whatIsReservedIsZeroOrThePageIsNotTaken() {
        Transaction t = transaction(2, 1, Blank.CLEAR, List.of(page(0, 0, 3)), 1L, 2L);
        assertReserved(layout.records(t).getFirst(), List.of(6, 76, 79));
        assertReserved(layout.pages(t).getFirst(), List.of(6, 76, 79, 112, 119, 120, 123));
    }

    private static void assertReserved(MetadataLayout.Piece piece, List<Integer> places) {
        for (int at : places) {
            String why = brokenBy(piece, page -> page.put(at, (byte) 1));
            assertTrue(why.contains(at == 6 ? "of peer 1" : "reserved"), at + ": " + why);
        }
    }

    /// Why a page is refused that has this damage below a checksum that fits.
    private static String brokenBy(MetadataLayout.Piece piece, Consumer<ByteBuffer> damage) {
        ByteBuffer page = ByteBuffer.allocate(MetadataCodec.PAGE_BYTES);
        page.put(0, piece.data(), 0, MetadataCodec.PAGE_BYTES);
        damage.accept(page);
        CRC32C crc = new CRC32C();
        crc.update(page.slice(0, 124));
        crc.update(page.slice(128, MetadataCodec.PAGE_BYTES - 128));
        page.putInt(124, (int) crc.getValue());
        MetadataCodec.Found found =
                MetadataCodec.decode(page, RESOURCE, piece.offsetBytes(), 0, 31);
        return ((MetadataCodec.Found.Broken) found).why();
    }

    @Test
    void whatIsNoPositionIsDamageAndNoErrorOfTheProgram() throws Exception {
        Transaction t = transaction(0x0a0b, 3, Blank.SUSPECT, List.of(page(1, 0b101, 0, 65)), 9L);
        for (MetadataLayout.Piece piece :
                List.of(layout.records(t).getLast(), layout.pages(t).getFirst())) {
            for (int at : List.of(48, 96)) {
                for (long number : List.of(5L, -5L)) {
                    String why =
                            brokenBy(piece, page -> page.putLong(at, 0).putLong(at + 8, number));
                    assertTrue(why.contains("position"), why);
                }
            }
        }
    }

    @Test
    void theBytesOfVersionOneStay() throws Exception {
        Transaction t =
                transaction(
                        0x0a0b, 3, Blank.SUSPECT, List.of(page(1, 0b101, 0, 65)), 9L, 0x01020304L);
        assertEquals(golden("transaction"), hex(layout.records(t).getLast().data()));
        assertEquals(golden("bitmap"), hex(layout.pages(t).getFirst().data()));
    }

    @Test
    void whenTheDeviceWasWrittenStandsWhereThePageSays() throws Exception {
        Transaction t =
                new Transaction(
                        7,
                        1,
                        Blank.CLEAR,
                        PEER,
                        7,
                        new WriteTimes(0x0102_0304_0506L, WriteTimes.UNKNOWN),
                        false,
                        List.of(),
                        List.of());
        ByteBuffer record = layout.records(t).getFirst().data();
        assertEquals(0x0102_0304_0506_ffffL, record.getLong(112));
        assertEquals(-1, record.getInt(120));
        carryOut(t);
        assertEquals(t.wrote(), kept().wrote());
    }

    /// Without the zeroes at its end.
    private static String hex(ByteBuffer page) {
        byte[] bytes = new byte[MetadataCodec.PAGE_BYTES];
        page.get(0, bytes);
        int end = bytes.length;
        while (bytes[end - 1] == 0) {
            end--;
        }
        return HexFormat.of().formatHex(bytes, 0, end);
    }

    private static String golden(String name) throws IOException {
        String file = "/golden/disk/metadata-" + name + "-v1.hex";
        try (var in = MetadataLayoutTest.class.getResourceAsStream(file)) {
            return new String(in.readAllBytes(), java.nio.charset.StandardCharsets.UTF_8)
                    .replace("\n", "");
        }
    }
}
