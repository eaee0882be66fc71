package holdfast.throttle;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

class AcceptRetryTest {
    private final IOException full = new IOException("Too many open files");

    private final ManualClock clock = new ManualClock();
    private final List<String> said = new ArrayList<>();
    private final AcceptRetry retry =
            new AcceptRetry(
                    new AcceptRetry.Told() {
                        @Override
                        public void fails(String why, AcceptRetry retry) {
                            said.add(why);
                        }

                        @Override
                        public void worksAgain(long tries) {
                            said.add("works again behind " + tries);
                        }
                    },
                    clock);

    @Test
    void anHourWithoutDescriptorsIsToldOnceAndTriedOnceASecond() {
        long end = clock.nanoTime() + Duration.ofHours(1).toNanos();
        int tries = 0;
        for (; clock.nanoTime() - end < 0; tries++) {
            clock.advance(Duration.ofNanos(retry.failed(full)));
        }
        assertEquals(3603, tries, "0.1 s, 0.2 s, 0.4 s, 0.8 s, then each second");
        assertEquals(List.of("Too many open files"), said);
        clock.advance(Duration.ofSeconds(10));
        retry.took();
        retry.took();
        assertEquals(List.of("Too many open files", "works again behind 3603"), said);
    }

    /// Each client that is taken costs the descriptor that the next one lacks.
    @Test
    void atTheEdgeOfTheLimitItIsOverWhenItHasBeenQuiet() {
        for (int i = 0; i < 100; i++) {
            clock.advance(Duration.ofNanos(retry.failed(full)));
            retry.took();
        }
        assertEquals(List.of("Too many open files"), said);
        clock.advance(Duration.ofSeconds(11));
        retry.took();
        assertEquals(List.of("Too many open files", "works again behind 100"), said);
    }

    /// The client that waited is taken at once, and no other comes.
    @Test
    void itIsOverAlsoWhenNobodyComesAnyMore() {
        retry.failed(full);
        clock.advance(Duration.ofSeconds(11));
        retry.look();
        assertEquals(List.of("Too many open files"), said, "nobody was taken");
        retry.failed(full);
        retry.took();
        clock.advance(Duration.ofSeconds(9));
        retry.look();
        assertEquals(List.of("Too many open files", "Too many open files"), said, "not quiet yet");
        clock.advance(Duration.ofSeconds(1));
        retry.look();
        retry.look();
        assertEquals("works again behind 1", said.getLast());
        assertEquals(3, said.size());
    }

    /// Nobody came in between who could have shown that it was over.
    @Test
    void anotherTimeIsToldAgain() {
        retry.failed(full);
        clock.advance(Duration.ofHours(1));
        retry.failed(full);
        assertEquals(List.of("Too many open files", "Too many open files"), said);
    }

    @Test
    void aTakenClientIsFollowedByAQuickTry() {
        retry.failed(full);
        retry.failed(full);
        retry.took();
        assertEquals(100_000_000, retry.failed(full));
    }
}
