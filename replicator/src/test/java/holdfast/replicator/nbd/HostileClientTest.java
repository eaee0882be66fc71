package holdfast.replicator.nbd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import static java.nio.charset.StandardCharsets.UTF_8;

import holdfast.replicator.nbd.RawClient.OptionReply;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/// Clients that break the rules, by mistake or on purpose. None may harm another one; each test
/// ends with a client that keeps them. Commands are numbers here: 0 READ, 1 WRITE, 2 DISC, 3 FLUSH,
/// 4 TRIM, 5 CACHE, 6 WRITE_ZEROES, 7 BLOCK_STATUS.
@Timeout(20)
class HostileClientTest {
    private static final int EPERM = 1;
    private static final int EINVAL = 22;
    private static final int ENOSPC = 28;
    private static final int SIZE = ServerFixture.SIZE_BYTES;

    private ServerFixture fixture;

    @BeforeEach
    void start() throws IOException {
        fixture = new ServerFixture(ServerFixture.SMALL);
    }

    @AfterEach
    void othersAreServedAndNothingLeaks() throws IOException {
        try (ServerFixture open = fixture) {
            open.assertServesOthers();
        }
    }

    // ---- Handshake.

    @Test
    void garbageInsteadOfAHandshakeCloses() throws IOException {
        for (int seed = 0; seed < 20; seed++) {
            try (RawClient client = fixture.connect()) {
                byte[] garbage = new byte[1 + seed * 37];
                new Random(seed).nextBytes(garbage);
                garbage[0] |= (byte) 0x80; // An unknown client flag, whatever else it is.
                client.out.write(garbage);
                if (garbage.length < 4) {
                    client.out.writeInt(-1);
                }
                sendToWhoeverListens(client);
                assertTrue(client.closedByServer());
            }
        }
    }

    @Test
    void unknownClientFlagCloses() throws IOException {
        try (RawClient client = fixture.connect().greet(4)) {
            assertTrue(client.closedByServer());
        }
    }

    @Test
    void wrongOptionMagicCloses() throws IOException {
        try (RawClient client = fixture.connect().greet(3)) {
            client.out.writeLong(0x1234567890L);
            client.out.writeLong(0);
            client.send();
            assertTrue(client.closedByServer());
        }
    }

    @Test
    void optionLengthOfFourGibibytesCloses() throws IOException {
        try (RawClient client = fixture.connect().greet(3)) {
            client.out.writeLong(0x49484156454f5054L);
            client.out.writeInt(7);
            client.out.writeInt(-1);
            client.send();
            assertTrue(client.closedByServer());
        }
    }

    @Test
    void optionDataThatIsTooLongIsSkippedAndTheClientGoesOn() throws IOException {
        try (RawClient client = fixture.connect().greet(3)) {
            assertEquals(OptionReply.ERR_TOO_BIG, client.option(7, new byte[1 << 20]).type());
            client.go("disk");
            assertEquals(0, client.request(0, 3, 0, 0));
        }
    }

    @Test
    void lengthsThatLieAreInvalid() throws IOException {
        byte[] good = RawClient.info("disk", 3);
        try (RawClient client = fixture.connect().greet(3)) {
            for (int option : new int[] {6, 7}) {
                for (int length : new int[] {-1, 1 << 31, 5, good.length, 0x7fffffff, 4097}) {
                    byte[] bad = good.clone();
                    bad[0] = (byte) (length >>> 24);
                    bad[1] = (byte) (length >>> 16);
                    bad[2] = (byte) (length >>> 8);
                    bad[3] = (byte) length;
                    assertEquals(OptionReply.ERR_INVALID, client.option(option, bad).type());
                }
                for (int cut = 0; cut < good.length; cut++) {
                    byte[] bad = Arrays.copyOf(good, cut);
                    assertEquals(OptionReply.ERR_INVALID, client.option(option, bad).type());
                }
                byte[] longer = Arrays.copyOf(good, good.length + 1);
                assertEquals(OptionReply.ERR_INVALID, client.option(option, longer).type());
                byte[] notUtf8 = good.clone();
                notUtf8[4] = (byte) 0xff;
                assertEquals(OptionReply.ERR_INVALID, client.option(option, notUtf8).type());
            }
            client.go("disk");
        }
    }

    @Test
    void lengthsThatLieInAContextQueryAreInvalid() throws IOException {
        byte[] good = RawClient.contexts("disk", "base:allocation");
        try (RawClient client = fixture.connect().greet(3)) {
            assertEquals(
                    OptionReply.ERR_INVALID,
                    client.option(10, good).type()); // No structured replies yet.
            assertEquals(OptionReply.ACK, client.option(8, new byte[0]).type());
            for (int cut = 0; cut < good.length; cut++) {
                byte[] bad = Arrays.copyOf(good, cut);
                assertEquals(OptionReply.ERR_INVALID, client.option(10, bad).type());
            }
            byte[] manyQueries = good.clone();
            manyQueries[8] = (byte) 0xff;
            assertEquals(OptionReply.ERR_INVALID, client.option(10, manyQueries).type());
            client.go("disk");
        }
    }

    @Test
    void dataBehindOptionsThatHaveNoneIsInvalid() throws IOException {
        try (RawClient client = fixture.connect().greet(3)) {
            for (int option : new int[] {3, 5, 8, 11}) {
                assertEquals(OptionReply.ERR_INVALID, client.option(option, new byte[3]).type());
            }
            client.go("disk");
        }
    }

    @Test
    void unknownOptionsAreAnsweredAndSkipped() throws IOException {
        try (RawClient client = fixture.connect().greet(3)) {
            for (int option : new int[] {0, 4, 12, 999, -1}) {
                assertEquals(OptionReply.ERR_UNSUP, client.option(option, new byte[100]).type());
            }
            assertEquals(OptionReply.ERR_UNSUP, client.option(5, new byte[0]).type());
            client.go("disk");
        }
    }

    @Test
    void oldClientMaySendExportNameOnly() throws IOException {
        try (RawClient client = fixture.connect().greet(0)) {
            client.putOption(6, RawClient.info("disk")).send();
            assertTrue(client.closedByServer());
        }
    }

    @Test
    void unknownExportNameCloses() throws IOException {
        try (RawClient client = fixture.connect().greet(3)) {
            client.putOption(1, "nobody".getBytes(UTF_8)).send();
            assertTrue(client.closedByServer());
        }
    }

    @Test
    void exportNameAfterExtendedHeadersCloses() throws IOException {
        try (RawClient client = fixture.connect().greet(3)) {
            assertEquals(OptionReply.ACK, client.option(11, new byte[0]).type());
            client.putOption(1, "disk".getBytes(UTF_8)).send();
            assertTrue(client.closedByServer());
        }
    }

    @Test
    void fortyIdleHandshakesKeepNobodyOut() throws IOException {
        List<RawClient> idle = new ArrayList<>();
        try {
            for (int i = 0; i < 40; i++) {
                idle.add(fixture.connect());
                if (i % 2 == 0) {
                    idle.getLast().greet(3);
                }
                fixture.assertServesOthers();
            }
        } finally {
            for (RawClient client : idle) {
                client.close();
            }
        }
    }

    @Test
    void handshakeThatTricklesEndsAtTheDeadline() throws IOException {
        try (RawClient client = fixture.connect().greet(3)) {
            client.out.writeLong(0x49484156454f5054L);
            client.send();
            assertTrue(client.closedByServer());
        }
    }

    @Test
    void abortWithoutWaitingForItsAnswerIsFine() throws IOException {
        for (int i = 0; i < 10; i++) {
            try (RawClient client = fixture.connect().greet(3)) {
                client.putOption(2, new byte[0]).send();
            }
        }
    }

    // ---- Requests.

    @Test
    void wrongRequestMagicClosesAfterTheRepliesBeforeIt() throws IOException {
        try (RawClient client = fixture.open("disk")) {
            client.putRequest(0, 3, 5, 0, 0);
            client.out.write(new byte[64]);
            client.send();
            assertEquals(0, client.simpleReply(5));
            assertTrue(client.closedByServer());
        }
    }

    @Test
    void rangesThatEndBehindTheExportOrWrapAreRefused() throws IOException {
        long[][] ranges = {
            {SIZE, 1},
            {SIZE - 1, 2},
            {0, SIZE + 1},
            {-1, 1},
            {-1, 2},
            {-4096, 4096},
            {Long.MIN_VALUE, 4096},
            {Long.MAX_VALUE, 4096},
            {Long.MAX_VALUE, -1},
            {1, -1},
            {0, -1},
            {-4096, 8192},
        };
        try (RawClient client = fixture.open("disk")) {
            for (long[] range : ranges) {
                for (int command : new int[] {0, 4, 5}) {
                    assertEquals(EINVAL, client.request(0, command, range[0], (int) range[1]));
                }
                assertEquals(ENOSPC, client.request(0, 6, range[0], (int) range[1]));
                if (range[1] > 0 && range[1] <= 8192) {
                    client.putRequest(0, 1, 9, range[0], (int) range[1])
                            .out
                            .write(new byte[(int) range[1]]);
                    client.send();
                    assertEquals(ENOSPC, client.simpleReply(9));
                }
            }
            assertEquals(List.of(), fixture.disk.calls());
        }
    }

    @Test
    void unknownCommandsAndFlagsAreRefused() throws IOException {
        try (RawClient client = fixture.open("disk")) {
            for (int command : new int[] {8, 9, 100, 0xffff}) {
                assertEquals(EINVAL, client.request(0, command, 0, 512));
            }
            for (int command : new int[] {0, 3, 4, 5, 6}) {
                int length = command == 3 ? 0 : 512;
                for (int bit = 1; bit < 16; bit++) {
                    boolean noHole = command == 6 && bit == 1;
                    assertEquals(noHole ? 0 : EINVAL, client.request(1 << bit, command, 0, length));
                }
                client.putRequest(1, command, 3, 0, length).send(); // FUA goes with every command.
                assertEquals(0, client.simpleReply(3));
                client.in.readNBytes(command == 0 ? length : 0);
            }
            client.putRequest(0x8000, 1, 4, 0, 512).out.write(new byte[512]);
            client.send();
            assertEquals(EINVAL, client.simpleReply(4)); // And its payload was consumed:
            assertEquals(EINVAL, client.request(0, 7, 0, 512)); // no context was selected,
            assertEquals(EINVAL, client.request(0, 3, 1, 0)); // a flush has no range,
            assertEquals(EINVAL, client.request(16, 6, 0, 512)); // FAST_ZERO was not offered.
        }
    }

    @Test
    void lengthOfZeroIsNoReasonToDisconnect() throws IOException {
        try (RawClient client = fixture.open("disk")) {
            for (int command : new int[] {0, 1, 4, 5, 6}) {
                assertEquals(0, client.request(0, command, 0, 0));
                assertEquals(0, client.request(0, command, SIZE, 0));
            }
            assertEquals(EINVAL, client.request(0, 7, 0, 0));
            assertEquals(List.of(), fixture.disk.calls());
        }
    }

    @Test
    void payloadAboveTheAdvertisedLimitIsSkippedAndRefused() throws IOException {
        fixture.disk.maxBlockBytes = 1 << 20;
        try (RawClient client = fixture.open("disk")) {
            client.putRequest(0, 1, 1, 0, 2 << 20).out.write(new byte[2 << 20]);
            client.putRequest(0, 3, 2, 0, 0).send();
            assertEquals(EINVAL, client.simpleReply(1));
            assertEquals(0, client.simpleReply(2));
            assertEquals(EINVAL, client.request(0, 0, 0, 2 << 20));
        }
    }

    @Test
    void payloadOfFourGibibytesCloses() throws IOException {
        try (RawClient client = fixture.open("disk")) {
            client.putRequest(0, 1, 1, 0, -1).send();
            assertTrue(client.closedByServer());
        }
    }

    @Test
    void changesToAReadOnlyExportAreRefusedAndTheirPayloadConsumed() throws IOException {
        fixture.disk.readOnly = true;
        try (RawClient client = fixture.connect().greet(3)) {
            assertEquals(2, client.go("disk") & (2 | 1 << 5 | 1 << 6));
            client.putRequest(0, 1, 1, 0, 512).out.write(new byte[512]);
            client.send();
            assertEquals(EPERM, client.simpleReply(1));
            assertEquals(EPERM, client.request(0, 4, 0, 512));
            assertEquals(EPERM, client.request(0, 6, 0, 512));
        }
    }

    @Test
    void requestsThatAreNotAlignedAreRefused() throws IOException {
        fixture.disk.minBlockBytes = 512;
        try (RawClient client = fixture.open("disk")) {
            assertEquals(EINVAL, client.request(0, 4, 1, 512));
            assertEquals(EINVAL, client.request(0, 0, 512, 511));
            assertEquals(0, client.request(0, 4, 512, 512));
        }
    }

    @Test
    void halfARequestThenGone() throws IOException {
        for (int bytes : new int[] {1, 27, 28, 100, 28 + 4095}) {
            try (RawClient client = fixture.open("disk")) {
                RawClient whole = client.putRequest(0, 1, 1, 0, 4096);
                whole.out.write(new byte[4096]);
                sendOnly(client, bytes);
            }
        }
        assertEquals(List.of(), fixture.disk.calls());
    }

    @Test
    void halfARequestThenSilenceIsEnded() throws IOException {
        try (RawClient client = fixture.open("disk")) {
            client.putRequest(0, 1, 1, 0, 4096).out.write(new byte[5]);
            client.send();
            assertTrue(client.closedByServer());
        }
    }

    @Test
    void goneWith64RequestsInFlight() throws Exception {
        fixture.disk.hold();
        try (RawClient client = fixture.open("disk")) {
            for (int i = 0; i < 64; i++) {
                client.putRequest(0, 1, i, i * 4096L, 4096).out.write(new byte[4096]);
            }
            client.send();
            assertTrue(fixture.disk.awaitFirstHeld());
        }
        fixture.assertServesOthers();
        fixture.disk.letGo();
    }

    @Test
    void goneWith64ReadsInFlight() throws IOException {
        for (int i = 0; i < 10; i++) {
            try (RawClient client = fixture.open("disk")) {
                for (int cookie = 0; cookie < 64; cookie++) {
                    client.putRequest(0, 0, cookie, 0, 1 << 20);
                }
                client.send();
            }
        }
    }

    @Test
    void disconnectRightBehindAWriteLosesNothing() throws IOException {
        try (RawClient client = fixture.open("disk")) {
            client.putRequest(0, 1, 1, 4096, 4096).out.write(new byte[4096]);
            client.putRequest(0, 2, 2, 0, 0);
            client.putRequest(0, 1, 3, 8192, 16)
                    .out
                    .write(new byte[16]); // Nothing counts after it.
            client.send();
            assertEquals(0, client.simpleReply(1));
            assertTrue(client.closedByServer());
        }
        assertEquals(List.of("write 4096+4096"), fixture.disk.calls());
    }

    @Test
    void clientThatNeverReadsIsBoundedAndEnded() throws IOException {
        try (RawClient client = fixture.open("disk")) {
            for (int i = 0; i < 200; i++) {
                client.putRequest(0, 0, i, 0, 1 << 20);
            }
            client.send();
            client.channel.shutdownOutput();
            fixture.assertServesOthers();
            long limit = ServerFixture.SMALL.replyBytes() + (8L << 20);
            assertTrue(fixture.pool.usedBytes() < limit, "buffers of " + fixture.pool.usedBytes());
        }
    }

    /// A reply of 16 bytes must not cost a whole buffer, in whatever rounds the server meets them:
    /// a slow one finds more requests at once. The usual limits: with short ones the server would
    /// be right to close such a client, and on a busy machine did so before it had sent all.
    @ParameterizedTest
    @ValueSource(ints = {16, 600, 4000})
    void clientThatNeverReadsShortRepliesHoldsLittleMemory(int requestsAtOnce) throws IOException {
        try (var patient = new ServerFixture(NbdLimits.DEFAULT);
                RawClient client = patient.open("disk")) {
            for (int i = 0; i < 64_000; i++) {
                client.putRequest(0, 4, i, 0, 512);
                if (i % requestsAtOnce == requestsAtOnce - 1) {
                    client.send();
                }
            }
            // 1 MB of replies, half of a buffer unused at most, and what one round works on.
            long used = patient.pool.usedBytes();
            assertTrue(used < 2560 << 10, "buffers of " + used);
        }
    }

    @Test
    void seededGarbageInTransmissionHarmsNobody() throws IOException {
        for (int seed = 0; seed < 200; seed++) {
            Random random = new Random(seed);
            try (RawClient client = fixture.open("disk")) {
                for (int i = random.nextInt(6); i >= 0; i--) {
                    int command = random.nextInt(9);
                    int length = random.nextInt(5) == 0 ? random.nextInt() : random.nextInt(5000);
                    long offset = random.nextInt(5) == 0 ? random.nextLong() : random.nextInt(SIZE);
                    client.putRequest(
                            random.nextInt(4) == 0 ? random.nextInt(64) : 0,
                            command,
                            i,
                            offset,
                            length);
                    client.out.write(
                            new byte[command == 1 && length > 0 ? Math.min(length, 5000) : 0]);
                }
                sendToWhoeverListens(client);
            }
        }
    }

    private static void sendToWhoeverListens(RawClient client) {
        try {
            client.send();
        } catch (IOException e) {
            // The server had heard enough.
        }
    }

    private static void sendOnly(RawClient client, int bytes) throws IOException {
        ByteBuffer all = ByteBuffer.wrap(client.takeUnsent(), 0, bytes);
        while (all.hasRemaining()) {
            client.channel.write(all);
        }
    }
}
