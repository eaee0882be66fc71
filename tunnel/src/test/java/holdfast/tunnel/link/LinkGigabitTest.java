package holdfast.tunnel.link;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.parallel.Isolated;

/// As [LinkRateTest], at a rate for which the machine has little else to do.
@Isolated
class LinkGigabitTest {
    @Test
    void aGigabitIsMetWithinThreePercentOverTenSeconds() throws Exception {
        LinkRateTest.requireMet("1 Gbit/s");
    }
}
