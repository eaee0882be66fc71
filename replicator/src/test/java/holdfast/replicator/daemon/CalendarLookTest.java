package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

import java.time.Instant;
import java.util.List;

class CalendarLookTest {
    private static final Instant NOON = Instant.parse("2026-11-29T12:00:00Z");

    private final CalendarLook look = new CalendarLook(NOON);

    private List<String> at(long seconds) {
        return look.due(
                NOON.plusSeconds(seconds), (from, to) -> List.of("%s %s".formatted(from, to)));
    }

    @Test
    void eachMomentIsLookedAtOnceAlsoWhenTheClockIsSetBack() {
        assertEquals(List.of(), at(0));
        assertEquals(List.of("2026-11-29T12:00:00Z 2026-11-29T12:00:01Z"), at(1));
        assertEquals(List.of(), at(1));
        assertEquals(List.of(), at(-3600));
        assertEquals(List.of("2026-11-29T12:00:01Z 2026-11-29T13:00:00Z"), at(3600));
    }
}
