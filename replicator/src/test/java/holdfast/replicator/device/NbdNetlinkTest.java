package holdfast.replicator.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

import java.nio.ByteBuffer;
import java.util.HexFormat;

/// What is said to the kernel, and what this one answers, which has netlink even where it has no
/// nbd. A device changes its size in `test/guest`.
class NbdNetlinkTest {
    private final int socket = Native.netlinkSocket();

    @AfterEach
    void close() {
        Native.close(socket);
    }

    @Test
    void anOrderIsWhatTheKernelsHeadersSay() {
        ByteBuffer message = NbdNetlink.resizeMessage((short) 27, 3, 1L << 40);
        byte[] bytes = new byte[message.remaining()];
        message.get(bytes);
        // Both processors that this runs on are little-endian.
        assertEquals(
                "28000000"
                        + ("1b00" + "0500" + "00000000" + "00000000")
                        + ("03" + "01" + "0000")
                        + ("0800" + "0100" + "03000000")
                        + ("0c00" + "0200" + "0000000000010000"),
                HexFormat.of().formatHex(bytes));
    }

    @Test
    void theKernelNamesTheNumberOfAFamily() throws Exception {
        assertTrue(socket >= 0, "errno " + -socket);
        assertEquals(16, NbdNetlink.family(socket, "nlctrl", "test"));
    }

    @Test
    void whatTheKernelHasNotIsRefusedWithItsError() {
        DeviceException refused =
                assertThrows(
                        DeviceException.class,
                        () -> NbdNetlink.family(socket, "holdfast-none", "it cannot be"));
        assertEquals(2, refused.errno());
        assertTrue(refused.getMessage().startsWith("it cannot be: "), refused.getMessage());
    }

    /// The kernel sends what was asked for, and then that it is done: one must not be taken for the
    /// answer to what is asked next.
    @Test
    void aRefusalBehindAnAnswerIsHeardAndSoIsTheAnswerBehindARefusal() throws Exception {
        assertEquals(16, NbdNetlink.family(socket, "nlctrl", "test"));
        DeviceException refused =
                assertThrows(
                        DeviceException.class,
                        () -> NbdNetlink.family(socket, "holdfast-none", "it cannot be"));
        assertEquals(2, refused.errno());
        assertEquals(16, NbdNetlink.family(socket, "nlctrl", "test"));
    }
}
