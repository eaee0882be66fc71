package holdfast.sim;

import holdfast.replicator.json.Json;
import holdfast.replicator.json.JsonException;
import holdfast.replicator.state.Limits;

import java.lang.reflect.RecordComponent;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;

/// What one history plays: its settings, and the steps that are taken at their times. A seed draws
/// one; shrinking leaves steps out until nothing more can go; a file keeps it.
///
/// @param seed of whatever is left to chance between the steps, such as how long a disk takes
record Plan(long seed, Scenario scenario, List<Request> requests, List<Strike> strikes) {
    /// A plan that broke a promise, as a file says it. Settings that are not named are those of
    /// [Scenario#PLAIN], so that a new setting leaves old files readable.
    ///
    /// @param about why the plan is kept
    /// @param promise the id of what breaks
    /// @param mutant the deliberate mistake with which it breaks; empty if it once broke without
    record Saved(
            String about,
            String promise,
            Optional<String> mutant,
            long seed,
            List<Setting> settings,
            List<Request> requests,
            List<Strike> strikes) {
        static Saved of(Plan plan, String about, String promise, Optional<String> mutant) {
            return new Saved(
                    about,
                    promise,
                    mutant,
                    plan.seed,
                    Setting.of(plan.scenario),
                    plan.requests,
                    plan.strikes);
        }

        static Saved read(String text) throws JsonException {
            return Json.read(text, Saved.class);
        }

        Plan plan() {
            return new Plan(seed, Setting.apply(settings), requests, strikes);
        }

        /// One line for each step.
        String text() {
            StringBuilder out = new StringBuilder();
            String head =
                    Json.write(
                            new Saved(
                                    about, promise, mutant, seed, List.of(), List.of(), List.of()));
            out.append(head, 0, head.indexOf("\"settings\":"));
            append(out.append("\n  "), "settings", settings);
            append(out.append(",\n  "), "requests", requests);
            append(out.append(",\n  "), "strikes", strikes);
            return out.append("\n}\n").toString();
        }

        private static void append(StringBuilder out, String name, List<? extends Record> items) {
            out.append('"').append(name).append("\": [");
            String separator = "\n    ";
            for (Record item : items) {
                out.append(separator).append(Json.write(item));
                separator = ",\n    ";
            }
            out.append("]");
        }
    }

    /// A setting by its name in [Scenario] or in its limits; 0 and 1 are false and true.
    record Setting(String name, long value) {
        /// Those that are not plain.
        static List<Setting> of(Scenario scenario) {
            List<Setting> all = all(scenario);
            List<Setting> plain = all(Scenario.PLAIN);
            return all.stream().filter(s -> !plain.contains(s)).toList();
        }

        static List<Setting> all(Scenario scenario) {
            List<Setting> all = new ArrayList<>();
            addTo(all, scenario);
            return all;
        }

        private static void addTo(List<Setting> all, Record record) {
            for (RecordComponent component : record.getClass().getRecordComponents()) {
                switch (get(record, component)) {
                    case Record inner -> addTo(all, inner);
                    case Boolean b -> all.add(new Setting(component.getName(), b ? 1 : 0));
                    case Number n -> all.add(new Setting(component.getName(), n.longValue()));
                    default -> throw new IllegalStateException("no number: " + component);
                }
            }
        }

        private static Object get(Record record, RecordComponent component) {
            try {
                var accessor = component.getAccessor();
                accessor.setAccessible(true);
                return accessor.invoke(record);
            } catch (ReflectiveOperationException e) {
                throw new IllegalStateException(e);
            }
        }

        /// The plain settings but for these.
        static Scenario apply(List<Setting> settings) {
            List<String> unknown = new ArrayList<>(settings.stream().map(Setting::name).toList());
            Function<String, Optional<Long>> named =
                    name -> {
                        unknown.remove(name);
                        return settings.stream()
                                .filter(s -> s.name.equals(name))
                                .map(Setting::value)
                                .findFirst();
                    };
            Scenario scenario = with(Scenario.PLAIN, named);
            if (!unknown.isEmpty()) {
                throw new IllegalArgumentException("no such settings: " + unknown);
            }
            return scenario;
        }

        private static <T extends Record> T with(T record, Function<String, Optional<Long>> named) {
            RecordComponent[] components = record.getClass().getRecordComponents();
            Object[] values = new Object[components.length];
            Class<?>[] types = new Class<?>[components.length];
            for (int i = 0; i < components.length; i++) {
                types[i] = components[i].getType();
                Object plain = get(record, components[i]);
                values[i] =
                        switch (plain) {
                            case Limits limits -> with(limits, named);
                            case Boolean b ->
                                    named.apply(components[i].getName()).map(v -> v != 0).orElse(b);
                            case Integer n ->
                                    named.apply(components[i].getName())
                                            .map(Math::toIntExact)
                                            .orElse(n);
                            case Long n -> named.apply(components[i].getName()).orElse(n);
                            default -> throw new IllegalStateException("no number: " + plain);
                        };
            }
            try {
                @SuppressWarnings("unchecked")
                Class<T> type = (Class<T>) record.getClass();
                var constructor = type.getDeclaredConstructor(types);
                constructor.setAccessible(true);
                return constructor.newInstance(values);
            } catch (ReflectiveOperationException e) {
                throw new IllegalStateException(e);
            }
        }
    }

    static Plan of(long seed) {
        Scenario scenario = Scenario.of(seed);
        return new Plan(seed, scenario, Request.of(seed, scenario), Strike.of(seed, scenario));
    }

    int steps() {
        return requests.size() + strikes.size();
    }

    Plan withSeed(long seed) {
        return new Plan(seed, scenario, requests, strikes);
    }

    Plan with(Scenario scenario) {
        return new Plan(seed, scenario, requests, strikes);
    }

    Plan withSteps(List<Request> requests, List<Strike> strikes) {
        return new Plan(seed, scenario, List.copyOf(requests), List.copyOf(strikes));
    }
}
