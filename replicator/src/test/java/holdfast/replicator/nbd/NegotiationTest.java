package holdfast.replicator.nbd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.nbd.Negotiation.Next;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;

class NegotiationTest {
    private static final int ACK = 1;
    private static final byte[] NOTHING = {};

    private final MemoryExport disk = new MemoryExport("disk", 4096);
    private final MemoryExport other = new MemoryExport("other", 8192);
    private Negotiation negotiation = new Negotiation(Exports.of(List.of(disk, other)), true);

    @BeforeEach
    void agreeOnFixedNewstyle() {
        assertTrue(negotiation.clientFlags(3));
    }

    @Test
    void greetingIsAsTheProtocolHasIt() {
        assertEquals(
                "4e42444d41474943" + "49484156454f5054" + "0003",
                HexFormat.of().formatHex(Negotiation.greeting()));
    }

    @Test
    void clientFlagsThatWereNotOfferedAreRefused() {
        assertTrue(negotiation.clientFlags(0));
        for (int bit = 2; bit < 32; bit++) {
            assertFalse(negotiation.clientFlags(1 << bit | 3));
        }
    }

    @Test
    void exportNameIsAnsweredWithSizeFlagsAndPadding() {
        Negotiation padded = new Negotiation(Exports.of(List.of(disk)), true);
        padded.clientFlags(1);
        assertEquals(
                Next.TRANSMISSION,
                padded.option(1, ByteBuffer.wrap("disk".getBytes(StandardCharsets.UTF_8))));
        byte[] reply = padded.takeReplies();
        assertEquals(8 + 2 + 124, reply.length);
        assertEquals(4096, ByteBuffer.wrap(reply).getLong());
        assertEquals(
                Next.TRANSMISSION,
                negotiation.option(1, ByteBuffer.wrap("other".getBytes(StandardCharsets.UTF_8))));
        assertEquals(10, negotiation.takeReplies().length);
        assertEquals(1, other.opened.get());
    }

    @Test
    void infoAndGoGiveTheSameAnswers() throws IOException {
        List<String> info = answers(6, RawClient.info("disk", 1, 2, 3, 99));
        assertEquals(0, disk.opened.get(), "who only asks what it is has not opened it");
        assertNull(negotiation.export());
        List<String> go = answers(7, RawClient.info("disk", 1, 2, 3, 99));
        assertEquals(info, go);
        assertEquals(5, go.size());
        assertEquals("3:0000" + "0000000000001000" + "056d", go.get(0));
        assertEquals("3:0001" + "6469736b", go.get(1));
        assertEquals("3:0002" + "6d656d6f7279", go.get(2));
        assertEquals("3:0003" + "00000001" + "00001000" + "02000000", go.get(3));
        assertEquals("1:", go.get(4));
        assertEquals(disk, negotiation.export());
        assertEquals(1, disk.opened.get());
    }

    @Test
    void whatIsOpenedByAskingIsOpenUntilTheClientAsksForAnotherOrIsGone() throws IOException {
        disk.openedByAsking = true;
        other.openedByAsking = true;
        answers(6, RawClient.info("disk", 1));
        answers(6, RawClient.info("disk", 1));
        assertEquals(1, disk.opened.get() - disk.closed.get());
        answers(6, RawClient.info("other", 1));
        assertEquals(0, disk.opened.get() - disk.closed.get());
        answers(6, RawClient.info("nothing", 1));
        assertEquals(0, other.opened.get() - other.closed.get());
        answers(7, RawClient.info("disk", 1));
        negotiation.end();
        negotiation.end();
        assertEquals(0, disk.opened.get() - disk.closed.get());
    }

    @Test
    void emptyNameIsTheDefaultExportIfThereIsOne() throws IOException {
        assertEquals(List.of("80000006:"), codes(answers(7, RawClient.info(""))));
        Negotiation only = new Negotiation(Exports.of(List.of(disk)), true);
        only.clientFlags(3);
        assertEquals(Next.TRANSMISSION, only.option(7, ByteBuffer.wrap(RawClient.info(""))));
        assertEquals(disk, only.export());
    }

    @Test
    void exportThatRefusesLeavesTheClientInTheHandshake() throws IOException {
        disk.refuses = true;
        List<String> answers = answers(7, RawClient.info("disk"));
        assertEquals(List.of("80000002:"), codes(answers));
        assertTrue(
                answers.getFirst()
                        .endsWith(
                                HexFormat.of()
                                        .formatHex("not now".getBytes(StandardCharsets.UTF_8))));
        assertNull(negotiation.export());
        assertEquals(
                Next.CLOSE,
                negotiation.option(1, ByteBuffer.wrap("disk".getBytes(StandardCharsets.UTF_8))));
    }

    @Test
    void listNamesEveryExport() {
        assertEquals(
                List.of(
                        "2:" + "00000004" + "6469736b" + "6d656d6f7279",
                        "2:" + "00000005" + "6f74686572" + "6d656d6f7279",
                        "1:"),
                answers(3, NOTHING));
        Negotiation stranger = new Negotiation(Exports.of(List.of(disk)), false);
        stranger.clientFlags(3);
        negotiation = stranger;
        assertEquals(List.of("80000002:"), codes(answers(3, NOTHING)));
    }

    @Test
    void structuredRepliesTurnOnDf() throws IOException {
        assertEquals(List.of("1:"), answers(8, NOTHING));
        assertEquals(List.of("1:"), answers(8, NOTHING));
        answers(7, RawClient.info("disk"));
        assertEquals(ReplyStyle.STRUCTURED, negotiation.style());
        assertEquals(1 << 7, negotiation.rules().flags() & 1 << 7);
        assertEquals(0, negotiation.rules().flags() & 1 << 12);
    }

    @Test
    void extendedHeadersPrevailOverStructuredReplies() throws IOException {
        answers(8, NOTHING);
        assertEquals(List.of("1:"), answers(11, NOTHING));
        assertEquals(List.of("1:"), answers(11, NOTHING));
        assertEquals(List.of("8000000a:"), codes(answers(8, NOTHING)));
        answers(7, RawClient.info("disk"));
        assertEquals(ReplyStyle.EXTENDED, negotiation.style());
        assertEquals(1 << 7 | 1 << 12, negotiation.rules().flags() & (1 << 7 | 1 << 12));
    }

    @Test
    void listedContextsFollowTheQueries() throws IOException {
        answers(8, NOTHING);
        String base =
                "4:00000000"
                        + HexFormat.of()
                                .formatHex("base:allocation".getBytes(StandardCharsets.UTF_8));
        assertEquals(List.of(base, "1:"), answers(9, RawClient.contexts("disk")));
        assertEquals(List.of(base, "1:"), answers(9, RawClient.contexts("disk", "base:")));
        assertEquals(
                List.of(base, "1:"),
                answers(9, RawClient.contexts("disk", "x:y", "base:allocation")));
        assertEquals(
                List.of("1:"),
                answers(9, RawClient.contexts("disk", "base:nothing", "qemu:dirty-bitmap:x")));
        assertEquals(List.of("80000006:"), codes(answers(9, RawClient.contexts("nobody"))));
    }

    @Test
    void selectedContextIsBoundToItsExportAndReplacedByEachSelection() throws IOException {
        answers(8, NOTHING);
        assertFalse(selectsBlockStatus("disk", RawClient.contexts("disk")));
        assertFalse(selectsBlockStatus("disk", RawClient.contexts("disk", "base:")));
        assertTrue(selectsBlockStatus("disk", RawClient.contexts("disk", "base:allocation")));
        assertFalse(selectsBlockStatus("other", RawClient.contexts("disk", "base:allocation")));
        assertFalse(
                selectsBlockStatus(
                        "disk",
                        RawClient.contexts("disk", "base:allocation"),
                        RawClient.contexts("disk", "qemu:x")));
        assertFalse(
                selectsBlockStatus(
                        "disk", RawClient.contexts("disk", "base:allocation"), new byte[3]));
    }

    private boolean selectsBlockStatus(String export, byte[]... selections) throws IOException {
        for (byte[] selection : selections) {
            answers(10, selection);
        }
        answers(7, RawClient.info(export));
        return negotiation.rules().blockStatus();
    }

    /// Type in hexadecimal, a colon, and the data, of each reply to an option.
    private List<String> answers(int option, byte[] data) {
        negotiation.option(option, ByteBuffer.wrap(data));
        ByteBuffer replies = ByteBuffer.wrap(negotiation.takeReplies());
        List<String> answers = new ArrayList<>();
        while (replies.hasRemaining()) {
            assertEquals(0x3e889045565a9L, replies.getLong());
            assertEquals(option, replies.getInt());
            String type = Integer.toHexString(replies.getInt());
            byte[] body = new byte[replies.getInt()];
            replies.get(body);
            answers.add(type + ":" + HexFormat.of().formatHex(body));
        }
        assertArrayEquals(NOTHING, negotiation.takeReplies());
        assertTrue(answers.size() >= ACK);
        return answers;
    }

    private static List<String> codes(List<String> answers) {
        return answers.stream()
                .map(answer -> answer.substring(0, answer.indexOf(':') + 1))
                .toList();
    }
}
