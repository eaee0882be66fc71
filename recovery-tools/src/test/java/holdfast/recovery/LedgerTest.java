package holdfast.recovery;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

class LedgerTest {
    private final List<Long> slots = new ArrayList<>(List.of(8192L, 0L, 4096L, 40960L));
    private final Ledger ledger = new Ledger(slots, 1);
    private final byte[] volume = new byte[64 << 10];

    @Test
    void anUntouchedVolumeIsTheMomentBeforeTheFirstWrite() throws IOException {
        assertEquals(new Ledger.Reading(0, List.of()), read());
    }

    @Test
    void everyPrefixIsOneMoment() throws IOException {
        for (long n = 1; n <= 20; n++) {
            write(n);
            assertEquals(new Ledger.Reading(n, List.of()), read());
        }
    }

    @Test
    void aLostWriteAndOneThatCameTooEarlyAreSeen() throws IOException {
        for (long n = 1; n <= 9; n++) {
            if (n != 7) {
                write(n);
            }
        }
        assertEquals(List.of("slot 3 shows write 3 instead of 7"), read().wrong());
        write(7);
        assertTrue(read().isOneMoment());
        write(11);
        assertFalse(read().isOneMoment());
    }

    @Test
    void aTornBlockIsSeen() throws IOException {
        write(1);
        volume[4000] ^= 1;
        assertEquals(List.of("slot 1 is torn in write 1"), read().wrong());
    }

    private void write(long number) {
        byte[] block = ledger.block(number);
        System.arraycopy(block, 0, volume, Math.toIntExact(ledger.offset(number)), block.length);
    }

    private Ledger.Reading read() throws IOException {
        return ledger.read(
                (offset, into) -> System.arraycopy(volume, (int) offset, into, 0, into.length));
    }
}
