package holdfast.replicator.status;

import java.time.Instant;
import java.util.List;
import java.util.Optional;

/// Reports for tests: each method one situation, changed a little by its arguments.
public final class Samples {
    public static final Instant NOW = Instant.parse("2026-11-20T12:03:21Z");

    private Samples() {}

    public static StatusReport.Node node(String name) {
        return new StatusReport.Node(
                name, "b7d4", "ab12", "0.1.0", 4711, NOW.minusSeconds(3600), NOW, 256L << 20);
    }

    public static StatusReport.Link link(String peer, String connection, long awaySeconds) {
        return link(peer, connection, awaySeconds, -0.25);
    }

    /// @param aheadSeconds of the peer's clock
    public static StatusReport.Link link(
            String peer, String connection, long awaySeconds, double aheadSeconds) {
        return new StatusReport.Link(
                peer,
                connection,
                "DIAL",
                "backup.example.net:7788",
                NOW.minusSeconds(900),
                Optional.of(NOW.minusSeconds(awaySeconds)),
                Optional.of(31.4),
                Optional.of(new StatusReport.ClockOffset(aheadSeconds, 0.016)),
                Optional.of("connection refused"),
                Optional.of(NOW.plusSeconds(4)),
                2_000_000,
                5_000_000,
                1000,
                2000,
                new StatusReport.Rate(
                        Optional.of(2_250_000L),
                        Optional.of(250_000L),
                        Optional.of(NOW.plusSeconds(3600)),
                        Optional.empty(),
                        Optional.of(2_250_000L)));
    }

    /// A resource that replicates and lacks nothing.
    public static Builder resource(String name, String role) {
        return new Builder(name, role);
    }

    public static StatusReport.Unopened unopened(String name) {
        return new StatusReport.Unopened(
                name,
                Optional.of("SECONDARY"),
                Optional.of("server"),
                Optional.of("/srv/" + name + ".img"),
                "/srv/" + name + ".img: No such file or directory",
                "holdfast connect " + name,
                false);
    }

    /// One that is about to be opened.
    public static StatusReport.Unopened opening(String name) {
        return new StatusReport.Unopened(
                name,
                Optional.of("PRIMARY"),
                Optional.of("backup"),
                Optional.of("/dev/vg0/" + name),
                "it is being opened, the daemon has just started",
                "holdfast status " + name,
                true);
    }

    public static final StatusReport.Histories HISTORIES =
            new StatusReport.Histories(
                    Optional.of("3fa901/7"),
                    Optional.of(NOW.minusSeconds(7_200)),
                    List.of(
                            new StatusReport.Side(
                                    "server",
                                    "PRIMARY",
                                    "77aa00/0",
                                    List.of(
                                            new StatusReport.Begun(
                                                    "CRASH", "server", NOW.minusSeconds(3_000))),
                                    true,
                                    Optional.of(NOW.minusSeconds(7_199)),
                                    Optional.of(NOW.minusSeconds(3_600)),
                                    true,
                                    Optional.of(512L),
                                    Optional.of(512L << 12),
                                    true,
                                    Optional.of(1024L),
                                    Optional.of(1024L << 12)),
                            new StatusReport.Side(
                                    "backup",
                                    "PRIMARY",
                                    "91b300/3",
                                    List.of(
                                            new StatusReport.Begun(
                                                    "PROMOTE", "backup", NOW.minusSeconds(3_500))),
                                    true,
                                    Optional.of(NOW.minusSeconds(3_400)),
                                    Optional.of(NOW.minusSeconds(100)),
                                    false,
                                    Optional.of(1L),
                                    Optional.of(1L << 12),
                                    false,
                                    Optional.of(0L),
                                    Optional.of(0L))));

    public static final class Builder {
        private final String name;
        private final String role;
        private Optional<String> peer;
        private String connection = "CONNECTED";
        private String replication = "ESTABLISHED";
        private StatusReport.Behind behind = StatusReport.Behind.NOTHING;
        private Optional<Instant> copyTime = Optional.of(NOW.minusSeconds(14));
        private Optional<Instant> until = Optional.of(NOW);
        private Optional<StatusReport.Progress> progress = Optional.empty();
        private String position = "3fa901/1234";
        private String stored = "3fa901/1234";
        private String committed = "3fa901/1234";
        private long neededBytes = 31L << 30;
        private long uncountedSeconds;
        private boolean closed;
        private boolean syncPaused;
        private Optional<StatusReport.Drill> drill = Optional.empty();
        private Optional<StatusReport.Verify> verify = Optional.empty();
        private Optional<StatusReport.Promotion> promotion = Optional.empty();
        private Optional<StatusReport.Histories> histories = Optional.empty();
        private Optional<String> trouble = Optional.empty();

        private Builder(String name, String role) {
            this.name = name;
            this.role = role;
            this.peer = Optional.of(role.equals("PRIMARY") ? "backup" : "server");
        }

        public Builder alone() {
            peer = Optional.empty();
            return this;
        }

        public Builder connection(String state) {
            connection = state;
            return this;
        }

        public Builder replication(String state) {
            replication = state;
            return this;
        }

        public Builder behind(long operations, long bytes, long seconds) {
            behind = new StatusReport.Behind(operations, bytes);
            until = Optional.of(NOW.minusSeconds(seconds));
            return this;
        }

        public Builder noCopy() {
            copyTime = Optional.empty();
            until = Optional.empty();
            return this;
        }

        public Builder copyTime(Instant moment) {
            copyTime = Optional.of(moment);
            return this;
        }

        /// Nobody knows how old the copy is.
        public Builder ageUnknown() {
            until = Optional.empty();
            return this;
        }

        public Builder positions(String newest, String durable, String visible) {
            position = newest;
            stored = durable;
            committed = visible;
            return this;
        }

        public Builder progress(String kind, long done, long total, double secondsLeft) {
            progress =
                    Optional.of(
                            new StatusReport.Progress(
                                    kind, done, total, 2_000_000, Optional.of(secondsLeft)));
            return this;
        }

        public Builder uncounted(long seconds) {
            uncountedSeconds = seconds;
            return this;
        }

        public Builder neededBytes(long bytes) {
            neededBytes = bytes;
            return this;
        }

        public Builder closed() {
            closed = true;
            return this;
        }

        public Builder syncPaused() {
            syncPaused = true;
            return this;
        }

        public Builder drill(boolean passed, double seconds, String text) {
            return drill(passed, "files 1000", seconds, text);
        }

        /// @param check empty: it was mounted only
        public Builder drill(boolean passed, String check, double seconds, String text) {
            drill =
                    Optional.of(
                            new StatusReport.Drill(
                                    NOW.minusSeconds(3 * 86_400),
                                    passed,
                                    check.isEmpty() ? Optional.empty() : Optional.of(check),
                                    seconds,
                                    text.isEmpty() ? Optional.empty() : Optional.of(text),
                                    Optional.of(NOW.minusSeconds(4 * 86_400))));
            return this;
        }

        public Builder verify(long differingBlocks, String trouble, boolean mended) {
            verify =
                    Optional.of(
                            new StatusReport.Verify(
                                    NOW.minusSeconds(3 * 86_400 + 60),
                                    NOW.minusSeconds(3 * 86_400),
                                    trouble.isEmpty(),
                                    trouble.isEmpty() ? Optional.empty() : Optional.of(trouble),
                                    differingBlocks,
                                    mended
                                            ? Optional.of(NOW.minusSeconds(86_400))
                                            : Optional.empty()));
            return this;
        }

        /// It was promoted a minute ago, and is not final.
        public Builder promoted(List<String> kept) {
            promotion =
                    Optional.of(
                            new StatusReport.Promotion(
                                    NOW.minusSeconds(60),
                                    "3fa901/7",
                                    Optional.of(NOW.minusSeconds(3_600)),
                                    Optional.of(NOW),
                                    kept));
            return this;
        }

        /// Of a server that crashed, and a copy that was promoted.
        public Builder apart() {
            histories = Optional.of(HISTORIES);
            return this;
        }

        public Builder trouble(String text) {
            trouble = Optional.of(text);
            return this;
        }

        public StatusReport.Resource build() {
            boolean primary = role.equals("PRIMARY");
            return new StatusReport.Resource(
                    name,
                    "6e0c",
                    role,
                    peer,
                    peer.map(_ -> primary ? "SECONDARY" : "PRIMARY"),
                    connection,
                    "UP_TO_DATE",
                    peer.map(_ -> "UP_TO_DATE"),
                    replication,
                    primary ? Optional.of("A") : Optional.empty(),
                    "/dev/vg0/" + name,
                    10L << 30,
                    List.of(),
                    primary
                            ? Optional.of(
                                    new StatusReport.Export(
                                            "nbd+unix:///"
                                                    + name
                                                    + "?socket=/run/holdfast/"
                                                    + name
                                                    + ".nbd",
                                            "/run/holdfast/" + name + ".nbd",
                                            Optional.empty(),
                                            1))
                            : Optional.empty(),
                    position,
                    stored,
                    committed,
                    primary ? Optional.of(behind) : Optional.empty(),
                    copyTime,
                    until,
                    progress,
                    StatusReport.Traffic.of(2_000_000, 5_000_000, 1000, 2000),
                    Optional.of(
                            new StatusReport.SendBuffer(
                                    1 << 20, 64 << 20, closed, Optional.of(90.0))),
                    Optional.of(
                            new StatusReport.Journal(
                                    "/var/lib/holdfast/home/journal",
                                    3L << 30,
                                    40L << 30,
                                    Optional.of(NOW.minusSeconds(86_400)),
                                    0,
                                    86_400,
                                    Optional.of(neededBytes),
                                    uncountedSeconds)),
                    primary
                            ? List.of()
                            : List.of(
                                    new StatusReport.View(
                                            "v1",
                                            committed,
                                            NOW.minusSeconds(14),
                                            Optional.of(14.0),
                                            "nbd+unix:///home@latest?socket=/run/holdfast/v1.nbd",
                                            "/run/holdfast/v1.nbd",
                                            0,
                                            List.of(),
                                            Optional.of(
                                                    new StatusReport.Overlay(
                                                            12 << 20, 1L << 30, false)))),
                    drill,
                    verify,
                    syncPaused,
                    false,
                    promotion,
                    histories,
                    trouble);
        }
    }
}
