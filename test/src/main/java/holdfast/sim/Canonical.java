package holdfast.sim;

import holdfast.sim.Plan.Setting;
import holdfast.sim.Request.Kind;
import holdfast.sim.Strike.Fault;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/// Short plans, each of which goes through one thing, for loops that try a fault at every place of
/// it.
record Canonical(String name, Plan plan) {
    static final List<Canonical> ALL =
            List.of(
                    // A device with content, a first sync, and a few writes.
                    of(
                            "first sync",
                            List.of(new Setting("startsFilled", 1), new Setting("blank", 0)),
                            List.of(),
                            8,
                            4096),
                    // Requests of every kind that go to the peer in order.
                    of("stream", List.of(), List.of(), 40, 2048),
                    // Replies that wait for the peer.
                    of("protocol c", List.of(new Setting("protocolC", 1)), List.of(), 24, 2048),
                    // More than the buffer holds: it closes, and an epoch follows.
                    of(
                            "epoch",
                            List.of(
                                    new Setting("budgetBytes", 12 * 1024),
                                    new Setting("linkBytesPerSecond", 60_000)),
                            List.of(),
                            32,
                            8192),
                    // It is cut off when a part of it is staged, and the next goes on from that.
                    of(
                            "cut off",
                            List.of(
                                    new Setting("budgetBytes", 12 * 1024),
                                    new Setting("linkBytesPerSecond", 120_000)),
                            List.of(
                                    new Strike(
                                            1,
                                            0,
                                            Optional.of("backup < EpochBlocks"),
                                            3,
                                            Fault.CUT,
                                            0.1)),
                            32,
                            8192),
                    // The same in little, for loops over its bytes.
                    of(
                            "session",
                            List.of(
                                    new Setting("deviceBytes", 4 * 4096 - 512),
                                    new Setting("budgetBytes", 4 * 1024),
                                    new Setting("linkBytesPerSecond", 20_000)),
                            List.of(),
                            20,
                            2048),
                    // A primary without a clean end: all is compared, and what differs goes as an
                    // epoch.
                    of(
                            "compare",
                            List.of(),
                            List.of(
                                    new Strike(
                                            1,
                                            600_000_000L,
                                            Optional.empty(),
                                            0,
                                            Fault.PRIMARY_KILL,
                                            0.1)),
                            24,
                            4096),
                    // A clean restart with an outage before it.
                    of(
                            "restart",
                            List.of(),
                            List.of(
                                    new Strike(
                                            1,
                                            300_000_000L,
                                            Optional.empty(),
                                            0,
                                            Fault.OUTAGE,
                                            0.2),
                                    new Strike(
                                            2,
                                            600_000_000L,
                                            Optional.empty(),
                                            0,
                                            Fault.PRIMARY_RESTART,
                                            0)),
                            24,
                            4096),
                    // Its activity log is empty again and again, and extents come into it.
                    of(
                            "restarts",
                            List.of(),
                            List.of(
                                    new Strike(
                                            1,
                                            500_000_000L,
                                            Optional.empty(),
                                            0,
                                            Fault.PRIMARY_RESTART,
                                            0),
                                    new Strike(
                                            2,
                                            800_000_000L,
                                            Optional.empty(),
                                            0,
                                            Fault.PRIMARY_RESTART,
                                            0),
                                    new Strike(
                                            3,
                                            1100_000_000L,
                                            Optional.empty(),
                                            0,
                                            Fault.PRIMARY_RESTART,
                                            0),
                                    new Strike(
                                            4,
                                            1350_000_000L,
                                            Optional.empty(),
                                            0,
                                            Fault.PRIMARY_RESTART,
                                            0)),
                            32,
                            4096),
                    // The base is rolled forward again and again while the journal goes round.
                    of(
                            "roll",
                            List.of(new Setting("rollBytes", 24 * 1024)),
                            List.of(
                                    new Strike(1, 400_000_000L, Optional.empty(), 0, Fault.ROLL, 0),
                                    new Strike(
                                            2, 800_000_000L, Optional.empty(), 0, Fault.ROLL, 0)),
                            60,
                            16384),
                    // Two moments are kept, and the base is rolled past both.
                    of(
                            "keep",
                            List.of(new Setting("rollBytes", 24 * 1024)),
                            List.of(
                                    new Strike(1, 250_000_000L, Optional.empty(), 0, Fault.KEEP, 0),
                                    new Strike(2, 400_000_000L, Optional.empty(), 0, Fault.ROLL, 0),
                                    new Strike(3, 600_000_000L, Optional.empty(), 0, Fault.KEEP, 0),
                                    new Strike(
                                            4, 800_000_000L, Optional.empty(), 0, Fault.ROLL, 0)),
                            40,
                            8192),
                    // The copy is promoted beside its primary, which then is given up.
                    twoHistories("promote", 0),
                    // The same, and what was promoted is given up.
                    twoHistories("take back", 0.9));

    /// @param givenUp the amount of its strike
    private static Canonical twoHistories(String name, double givenUp) {
        return of(
                name,
                List.of(),
                List.of(
                        new Strike(1, 400_000_000L, Optional.empty(), 0, Fault.PROMOTE, 0.9),
                        new Strike(2, 800_000_000L, Optional.empty(), 0, Fault.DISCARD, givenUp)),
                30,
                8192);
    }

    private static Canonical of(
            String name, List<Setting> settings, List<Strike> strikes, int requests, int bytesMax) {
        List<Setting> all = new ArrayList<>(settings);
        setUnlessNamed(all, "deviceBytes", 16 * 4096 - 512);
        setUnlessNamed(all, "rollBytes", 64 * 1024);
        all.add(new Setting("journalBytes", 256 * 1024));
        all.add(new Setting("workNanos", 1_500_000_000L));
        Scenario scenario = Setting.apply(all);
        return new Canonical(
                name,
                new Plan(
                        name.hashCode(),
                        scenario,
                        requests(requests, bytesMax, scenario.deviceBytes()),
                        strikes));
    }

    private static void setUnlessNamed(List<Setting> all, String name, long value) {
        if (all.stream().noneMatch(s -> s.name().equals(name))) {
            all.add(new Setting(name, value));
        }
    }

    static Canonical named(String name) {
        return ALL.stream().filter(c -> c.name.equals(name)).findFirst().orElseThrow();
    }

    /// The plan with these strikes as well.
    Plan with(Strike... more) {
        List<Strike> strikes = new ArrayList<>(plan.strikes());
        strikes.addAll(List.of(more));
        return plan.withSteps(plan.requests(), strikes);
    }

    private static List<Request> requests(int count, int bytesMax, int deviceBytes) {
        List<Request> requests = new ArrayList<>();
        for (int id = 1; id <= count; id++) {
            Kind kind =
                    switch (id % 9) {
                        case 4 -> Kind.ZEROES;
                        case 6 -> Kind.TRIM;
                        case 8 -> Kind.FLUSH;
                        default -> Kind.WRITE;
                    };
            boolean flush = kind == Kind.FLUSH;
            // Half of them aligned, overlapping each other now and then.
            long offset =
                    id % 2 == 0
                            ? id * 5L % 11 * 4096 % deviceBytes
                            : id * 7L % 80 * 512 % deviceBytes;
            int length = id % 2 == 0 ? bytesMax / (1 + id % 3) / 512 * 512 : 512 * (1 + id % 4);
            length = (int) Math.min(length, deviceBytes - offset);
            requests.add(
                    new Request(
                            id,
                            id * 1_000_000_000L / count,
                            kind,
                            flush ? 0 : offset,
                            flush ? 0 : length,
                            id % 10 == 3));
        }
        return List.copyOf(requests);
    }
}
