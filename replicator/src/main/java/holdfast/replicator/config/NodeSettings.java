package holdfast.replicator.config;

import holdfast.throttle.Rate;
import holdfast.throttle.RateCalendar;
import holdfast.throttle.Rates;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.ZoneId;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/// What `node.toml` says. The meaning of each key stands in `docs/settings.md`.
///
/// @param name what this node is called in the files of the resources
/// @param bootGate how long an export waits for the peer after a reboot; absent: for ever
/// @param dial where the peer listens; at most one of `dial` and `listen` is set
/// @param calendarLines checked, see [RateCalendar]
/// @param sendBuffer one budget for all resources (R9)
/// @param drills those that are run by themselves
/// @param verifications those that are begun by themselves
/// @param handlers commands for what happens
public record NodeSettings(
        String name,
        Path stateDir,
        Optional<Duration> bootGate,
        Optional<Address> dial,
        Optional<Address> listen,
        Rate rate,
        Rate catchUp,
        List<String> calendarLines,
        ZoneId timeZone,
        Duration keepalive,
        Optional<Path> storagePath,
        Optional<Size> storageMax,
        Optional<Address> nbdListen,
        Optional<Address> metricsListen,
        Size sendBuffer,
        DrillSettings drills,
        VerifySettings verifications,
        HandlerSettings handlers) {
    /// Reads a whole `node.toml`.
    ///
    /// @param origin its path, for the report
    public static NodeSettings parse(String text, String origin) throws ConfigException {
        SettingsText toml = SettingsText.read(text, origin, Schema.NODE);
        NodeSettings settings = from(toml);
        if (!toml.problems().isEmpty()) {
            throw new ConfigException(toml.problems());
        }
        return settings;
    }

    /// What `toml` says where it is right; problems between keys are reported to it.
    static NodeSettings from(SettingsText toml) {
        if (toml.isGiven(Schema.DIAL) && toml.isGiven(Schema.LISTEN)) {
            toml.report(
                    Schema.LISTEN.path(),
                    "link.dial and link.listen are both set: the host that can be reached listens,"
                            + " the other one dials");
        }
        if (toml.isGiven(Schema.STORAGE_MAX) && !toml.isGiven(Schema.STORAGE_PATH)) {
            toml.report(
                    Schema.STORAGE_MAX.path(),
                    "storage.max is set without storage.path, which it would limit");
        }
        List<String> calendar = toml.getList(Schema.CALENDAR);
        if (calendar.size() > RateCalendar.MAX_ENTRIES) {
            toml.report(
                    Schema.CALENDAR.path(),
                    "link.calendar has %d entries, should have at most %d"
                            .formatted(calendar.size(), RateCalendar.MAX_ENTRIES));
        }
        List<DrillSettings.Entry> drills = toml.getList(Schema.DRILL_CALENDAR);
        if (drills.size() > DrillSettings.MAX_ENTRIES) {
            toml.report(
                    Schema.DRILL_CALENDAR.path(),
                    "drill.calendar has %d entries, should have at most %d"
                            .formatted(drills.size(), DrillSettings.MAX_ENTRIES));
        }
        List<VerifySettings.Entry> verifications = toml.getList(Schema.VERIFY_CALENDAR);
        if (verifications.size() > VerifySettings.MAX_ENTRIES) {
            toml.report(
                    Schema.VERIFY_CALENDAR.path(),
                    "verify.calendar has %d entries, should have at most %d"
                            .formatted(verifications.size(), VerifySettings.MAX_ENTRIES));
        }
        return new NodeSettings(
                toml.get(Schema.NODE_NAME).or(() -> hostName(toml)).orElse("invalid"),
                toml.get(Schema.STATE_DIR).orElseThrow(),
                toml.get(Schema.BOOT_GATE).orElseThrow(),
                toml.get(Schema.DIAL),
                toml.get(Schema.LISTEN),
                toml.get(Schema.RATE).orElseThrow(),
                toml.get(Schema.CATCH_UP).orElseThrow(),
                calendar,
                toml.get(Schema.TIME_ZONE).orElseThrow(),
                toml.get(Schema.KEEPALIVE).orElseThrow(),
                toml.get(Schema.STORAGE_PATH),
                toml.get(Schema.STORAGE_MAX),
                toml.get(Schema.NBD_LISTEN),
                toml.get(Schema.METRICS_LISTEN),
                toml.get(Schema.SEND_BUFFER).orElseThrow(),
                new DrillSettings(
                        drills,
                        toml.get(Schema.DRILL_TIME_ZONE).orElseThrow(),
                        toml.get(Schema.DRILL_TIMEOUT).orElseThrow()),
                new VerifySettings(verifications, toml.get(Schema.VERIFY_TIME_ZONE).orElseThrow()),
                handlers(toml));
    }

    private static HandlerSettings handlers(SettingsText toml) {
        Map<String, String> commands = new LinkedHashMap<>();
        for (Key<String> each : Schema.HANDLERS) {
            toml.get(each).ifPresent(command -> commands.put(each.path().getLast(), command));
        }
        return new HandlerSettings(
                Collections.unmodifiableMap(commands),
                toml.get(Schema.HANDLER_TIMEOUT).orElseThrow());
    }

    /// When which rates are in force.
    public RateCalendar calendar() {
        return RateCalendar.of(new Rates(rate, catchUp), calendarLines, timeZone);
    }

    private static Optional<String> hostName(SettingsText toml) {
        if (toml.isGiven(Schema.NODE_NAME)) {
            return Optional.empty(); // it is wrong, and said to be
        }
        try {
            // Without a look-up, which could wait for a name server.
            String host = Files.readString(Path.of("/proc/sys/kernel/hostname")).strip();
            return Optional.of(Type.name(host.split("\\.", 2)[0].toLowerCase(Locale.ROOT)));
        } catch (IOException | IllegalArgumentException e) {
            toml.report(
                    List.of(),
                    "the host name makes no node name (" + e.getMessage() + "): set node.name");
            return Optional.empty();
        }
    }
}
