package holdfast.replicator.status;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

import java.util.Optional;

class ProgressMeterTest {
    private long nanos = 5;
    private final ProgressMeter meter = new ProgressMeter(() -> nanos, "CATCH_UP", 0, 1000 << 20);

    @Test
    void theRateIsThatOfTheLastHalfMinute() {
        for (int second = 1; second <= 100; second++) {
            pass(1);
            meter.report(
                    Math.min(second, 50) * 1000L + Math.max(0, second - 50) * 4000L, 1000 << 20);
        }
        var progress = meter.progress();
        assertEquals(4000.0, progress.bytesPerSecond());
        assertEquals(
                Optional.of(Math.ceil(((1000 << 20) - 250_000L) / 4000.0)), progress.secondsLeft());
    }

    @Test
    void nothingIsGuessedInTheFirstSecond() {
        nanos += 500_000_000;
        meter.report(1 << 20, 1000 << 20);
        assertEquals(0.0, meter.progress().bytesPerSecond());
        assertEquals(Optional.empty(), meter.progress().secondsLeft());
    }

    @Test
    void aTransferThatStandsStillLosesItsRateAndItsEnd() {
        pass(10);
        meter.report(10_000, 1000 << 20);
        pass(40);
        meter.report(10_000, 1000 << 20);
        pass(31);
        assertEquals(0.0, meter.progress().bytesPerSecond());
        assertEquals(Optional.empty(), meter.progress().secondsLeft());
    }

    @Test
    void aPassThatBeginsAgainIsMeasuredAfresh() {
        pass(10);
        meter.report(10_000, 20_000);
        pass(1);
        meter.report(0, 20_000);
        pass(2);
        meter.report(1000, 20_000);
        assertEquals(500.0, meter.progress().bytesPerSecond());
        assertEquals(Optional.of(38.0), meter.progress().secondsLeft());
    }

    @Test
    void whatIsDoneHasNoTimeLeft() {
        pass(3);
        meter.report(1000 << 20, 1000 << 20);
        assertEquals(Optional.of(0.0), meter.progress().secondsLeft());
        assertEquals(100, meter.progress().percent());
    }

    private void pass(int seconds) {
        nanos += seconds * 1_000_000_000L;
    }
}
