package holdfast.replicator.status;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

import java.time.ZoneOffset;
import java.util.List;
import java.util.Optional;

/// What the table says of ages and clocks.
class StatusTableTest {
    private static String line(String name, Optional<StatusReport.Link> link, Samples.Builder of) {
        var report =
                StatusReport.of(
                        Samples.node("backup"),
                        link,
                        List.of(of.build()),
                        List.of(),
                        List.of(),
                        ZoneOffset.UTC);
        return StatusTable.of(report, ZoneOffset.UTC)
                .lines()
                .filter(each -> each.startsWith("  " + name + " "))
                .findFirst()
                .orElseThrow()
                .substring(15);
    }

    private static Samples.Builder copy() {
        return Samples.resource("home", "SECONDARY");
    }

    @Test
    void anAgeIsWhatIsKnownOfItAndNotWhatTheMomentSays() {
        assertEquals(
                "of 12:03:07, 20 s old", line("copy", Optional.empty(), copy().behind(1, 1, 20)));
    }

    @Test
    void anAgeThatClocksAloneTellIsSaidToBeThat() {
        assertEquals(
                "of 12:03:07, 14 s old if the clocks of both hosts are right",
                line("copy", Optional.empty(), copy().ageUnknown()));
    }

    @Test
    void aMomentInTheFutureIsNotFresh() {
        assertEquals(
                "of 15:03:21, which is in the future, by 3 h; how old it is nobody knows",
                line(
                        "copy",
                        Optional.empty(),
                        copy().copyTime(Samples.NOW.plusSeconds(10_800)).ageUnknown()));
    }

    @Test
    void thePeersClockIsShown() {
        assertEquals(
                "0.250 s behind ours, give or take 0.016 s",
                line("clock", Optional.of(Samples.link("server", "CONNECTED", 0)), copy()));
    }
}
