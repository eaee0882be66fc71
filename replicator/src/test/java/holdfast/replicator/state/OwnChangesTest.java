package holdfast.replicator.state;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.tunnel.wire.Frame;

import org.junit.jupiter.api.Test;

import java.util.List;
import java.util.Random;

/// The ranges by which a copy says what it has changed hold all of it, however scattered it is.
class OwnChangesTest {
    @Test
    void nothingIsLeftOutWhenThereAreTooManyRuns() {
        Random random = new Random(7);
        for (int most : new int[] {1, 2, 10, 1000}) {
            BlockSet changed = new BlockSet(5000);
            for (int i = 0; i < 400; i++) {
                changed.add(random.nextInt(5000));
            }
            List<Frame.KeptRange> ranges = KeptRanges.around(changed, most);
            assertTrue(ranges.size() <= most);
            BlockSet told = new BlockSet(5000);
            ranges.forEach(each -> told.addBytes(each.offsetBytes(), each.lengthBytes()));
            if (most == 1000) {
                assertEquals(changed.count(), told.count());
            }
            changed.removeAll(told);
            assertTrue(changed.isEmpty());
        }
        assertEquals(List.of(), KeptRanges.around(new BlockSet(5000), 1));
    }
}
