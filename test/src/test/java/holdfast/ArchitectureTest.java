package holdfast;

import static com.tngtech.archunit.base.DescribedPredicate.describe;
import static com.tngtech.archunit.base.DescribedPredicate.not;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;

import static org.junit.jupiter.api.Assertions.assertTrue;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaAccess;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.domain.JavaModifier;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.lang.ArchCondition;
import com.tngtech.archunit.lang.ArchRule;
import com.tngtech.archunit.lang.ConditionEvent;
import com.tngtech.archunit.lang.ConditionEvents;
import com.tngtech.archunit.lang.SimpleConditionEvent;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.classfile.ClassFile;
import java.lang.classfile.ClassModel;
import java.lang.classfile.instruction.MonitorInstruction;
import java.util.Set;
import java.util.function.Function;
import java.util.function.Predicate;

/// What may know what: the arrows between the modules, and that what decides does not act.
///
/// It stands in the place of module-info files (docs/decisions/0001-build.md). A rule is a function
/// of the classes it is about, so that each is also held against classes of [Offenders] that break
/// it: a rule that sees nothing any more fails.
class ArchitectureTest {
    private static final JavaClasses PRODUCTION =
            new ClassFileImporter()
                    .withImportOption(new ImportOption.DoNotIncludeTests())
                    .importPackages(
                            "holdfast.throttle",
                            "holdfast.tunnel",
                            "holdfast.checksum",
                            "holdfast.replicator",
                            "holdfast.recovery");

    private static final DescribedPredicate<JavaClass> OFFENDERS =
            describe("offenders", c -> c.getName().startsWith(Offenders.class.getName()));

    /// What the daemon's threads and the simulator's single one run alike.
    private static final DescribedPredicate<JavaClass> DECIDING =
            resideInAnyPackage(
                            "holdfast.replicator.state..",
                            "holdfast.replicator.journal..",
                            "holdfast.replicator.metadata..",
                            "holdfast.tunnel.wire..",
                            "holdfast.checksum..",
                            "holdfast.throttle..")
                    // Paces readers, which may block; made of Guava's limiter, which sleeps.
                    .and(not(named("holdfast.throttle.BulkPacer")))
                    // Of the listeners' threads.
                    .and(not(named("holdfast.throttle.AcceptRetry")))
                    // The one place where the JVM's clock is read for whoever hands it on.
                    .and(not(named("holdfast.throttle.NanoClock")))
                    .as("classes that decide");

    // ---- modules --------------------------------------------------------------------------------

    @Test
    void throttleKnowsOnlyTheJdkAndGuava() {
        Function<DescribedPredicate<JavaClass>, ArchRule> rule =
                who -> knowsOnly(who, "java..", "com.google.common..", "holdfast.throttle..");
        holds(rule.apply(resideInAPackage("holdfast.throttle..")));
        fires(rule.apply(OFFENDERS), Offenders.KnowsPicocli.class);
    }

    @Test
    void checksumKnowsOnlyTheJdk() {
        Function<DescribedPredicate<JavaClass>, ArchRule> rule =
                who -> knowsOnly(who, "java..", "holdfast.checksum..");
        holds(rule.apply(resideInAPackage("holdfast.checksum..")));
        fires(rule.apply(OFFENDERS), Offenders.KnowsGuava.class);
    }

    @Test
    void theTunnelKnowsNothingOfWhatItCarries() {
        Function<DescribedPredicate<JavaClass>, ArchRule> rule =
                who ->
                        knowsNone(
                                who,
                                "holdfast.checksum..",
                                "holdfast.replicator..",
                                "holdfast.recovery..");
        holds(rule.apply(resideInAPackage("holdfast.tunnel..")));
        fires(rule.apply(OFFENDERS), Offenders.KnowsState.class);
    }

    @Test
    void theReplicatorKnowsNoCommandLineAndNoLogger() {
        Function<DescribedPredicate<JavaClass>, ArchRule> rule =
                who -> knowsNone(who, "holdfast.recovery..", "picocli..", "ch.qos.logback..");
        holds(rule.apply(resideInAPackage("holdfast.replicator..")));
        fires(rule.apply(OFFENDERS), Offenders.KnowsPicocli.class);
    }

    @Test
    void onlyTheLinkKnowsNetty() {
        Function<DescribedPredicate<JavaClass>, ArchRule> rule =
                who -> knowsNone(who, "io.netty..");
        holds(rule.apply(not(resideInAPackage("holdfast.tunnel.link.."))));
        fires(rule.apply(OFFENDERS), Offenders.KnowsNetty.class);
    }

    // ---- deciding -------------------------------------------------------------------------------

    @Test
    void whatDecidesReadsNoClock() {
        holds(callsNone(DECIDING, "a clock", ArchitectureTest::isClock));
        ArchRule offended = callsNone(OFFENDERS, "a clock", ArchitectureTest::isClock);
        fires(offended, Offenders.ReadsNanoTime.class);
        fires(offended, Offenders.ReadsNanoTimeByReference.class);
        fires(offended, Offenders.ReadsInstant.class);
        fires(offended, Offenders.ReadsSystemNanoClock.class);
    }

    private static boolean isClock(String owner, String name) {
        return (owner.equals("java.lang.System")
                        && Set.of("nanoTime", "currentTimeMillis").contains(name))
                || (owner.startsWith("java.time.") && name.equals("now"))
                || owner.equals("java.time.Clock")
                || (owner.equals("java.util.Date") && name.equals("<init>"))
                || (owner.equals("holdfast.throttle.NanoClock") && name.equals("system"));
    }

    @Test
    void whatDecidesHasNoThreadsLocksFilesSocketsOrLogs() {
        holds(actsNot(DECIDING));
        fires(actsNot(OFFENDERS), Offenders.StartsThread.class);
        fires(actsNot(OFFENDERS), Offenders.HoldsLock.class);
        fires(actsNot(OFFENDERS), Offenders.ReadsFile.class);
        fires(actsNot(OFFENDERS), Offenders.HoldsChannel.class);
        fires(actsNot(OFFENDERS), Offenders.OpensSocket.class);
        fires(actsNot(OFFENDERS), Offenders.Logs.class);
        fires(actsNot(OFFENDERS), Offenders.Prints.class);
    }

    private static ArchRule actsNot(DescribedPredicate<JavaClass> who) {
        return noClasses()
                .that(who)
                .should()
                .dependOnClassesThat(describe("act", ArchitectureTest::acts))
                .allowEmptyShould(true);
    }

    private static boolean acts(JavaClass known) {
        String name = known.getName();
        return switch (known.getPackageName()) {
            case "java.lang" ->
                    name.matches(
                            "java\\.lang\\.(Thread|ThreadLocal|Process|ProcessBuilder|Runtime)(\\$.*)?");
            case "java.util" -> name.startsWith("java.util.Timer");
            // Exceptions are values.
            case "java.io" -> !name.endsWith("Exception") && !name.equals("java.io.Serializable");
            case "java.util.concurrent" -> !name.equals("java.util.concurrent.TimeUnit");
            default ->
                    name.matches(
                            "java\\.(util\\.concurrent|util\\.logging|nio\\.file|nio\\.channels|net"
                                    + "|lang\\.foreign)\\..*|org\\.slf4j\\..*");
        };
    }

    @Test
    void whatDecidesDoesNotSynchronizeOrWait() {
        holds(isOfOneThread(DECIDING));
        fires(isOfOneThread(OFFENDERS), Offenders.SynchronizesMethod.class);
        fires(isOfOneThread(OFFENDERS), Offenders.SynchronizesBlock.class);
        holds(callsNone(DECIDING, "wait and notify", ArchitectureTest::isWait));
        fires(
                callsNone(OFFENDERS, "wait and notify", ArchitectureTest::isWait),
                Offenders.Waits.class);
    }

    private static boolean isWait(String owner, String name) {
        return Set.of("wait", "notify", "notifyAll").contains(name);
    }

    @Test
    void whatDecidesDrawsNoRandomNumbers() {
        holds(callsNone(DECIDING, "chance", ArchitectureTest::isChance));
        ArchRule offended = callsNone(OFFENDERS, "chance", ArchitectureTest::isChance);
        fires(offended, Offenders.DrawsUuid.class);
        fires(offended, Offenders.DrawsMath.class);
        fires(offended, Offenders.MakesRandom.class);
        fires(offended, Offenders.ChoosesGenerator.class);
        fires(offended, Offenders.AsksForAddress.class);
    }

    /// A generator that was handed in is a port, and not chance.
    private static boolean isChance(String owner, String name) {
        return Set.of(
                                "java.util.Random",
                                "java.util.SplittableRandom",
                                "java.security.SecureRandom",
                                "java.util.concurrent.ThreadLocalRandom")
                        .contains(owner)
                || (owner.equals("java.util.random.RandomGenerator")
                        && Set.of("of", "getDefault").contains(name))
                || (owner.equals("java.util.UUID") && name.equals("randomUUID"))
                || (owner.equals("java.lang.Math") && name.equals("random"))
                || (owner.equals("java.lang.System") && name.equals("identityHashCode"));
    }

    /// Their order differs from one JVM to the next, and a simulated run must replay from its seed.
    /// LinkedHashMap, TreeMap and EnumMap have an order.
    @Test
    void stateAndJournalUseNoUnorderedCollections() {
        holds(
                callsNone(
                        resideInAnyPackage(
                                "holdfast.replicator.state..", "holdfast.replicator.journal.."),
                        "unordered collections",
                        ArchitectureTest::isUnordered));
        ArchRule offended =
                callsNone(OFFENDERS, "unordered collections", ArchitectureTest::isUnordered);
        fires(offended, Offenders.MakesHashMap.class);
        fires(offended, Offenders.MakesHashSetByReference.class);
        fires(offended, Offenders.MakesSetOf.class);
        fires(offended, Offenders.CollectsToMap.class);
        fires(offended, Offenders.StreamsInParallel.class);
    }

    private static boolean isUnordered(String owner, String name) {
        return Set.of(
                                "java.util.HashMap",
                                "java.util.HashSet",
                                "java.util.Hashtable",
                                "java.util.IdentityHashMap",
                                "java.util.WeakHashMap",
                                "java.util.concurrent.ConcurrentHashMap")
                        .contains(owner)
                || (Set.of("java.util.Set", "java.util.Map").contains(owner)
                        && Set.of("of", "ofEntries", "copyOf").contains(name))
                || (owner.equals("java.util.stream.Collectors")
                        && (name.startsWith("to") || name.startsWith("grouping"))
                        && !Set.of("toList", "toUnmodifiableList", "toCollection").contains(name))
                || Set.of("parallel", "parallelStream").contains(name);
    }

    // ---- how rules are made ---------------------------------------------------------------------

    private static void holds(ArchRule rule) {
        rule.check(PRODUCTION);
    }

    private static void fires(ArchRule rule, Class<?> offender) {
        JavaClasses one = new ClassFileImporter().importClasses(offender);
        assertTrue(
                rule.evaluate(one).hasViolation(),
                () -> offender.getSimpleName() + " does not offend: " + rule.getDescription());
    }

    private static DescribedPredicate<JavaClass> named(String name) {
        return describe(name, c -> c.getName().equals(name));
    }

    private static ArchRule knowsOnly(DescribedPredicate<JavaClass> who, String... packages) {
        return classes()
                .that(who)
                .should()
                .onlyDependOnClassesThat(
                        resideInAnyPackage(packages)
                                .or(describe("primitives", c -> c.getPackageName().isEmpty())))
                .allowEmptyShould(true);
    }

    private static ArchRule knowsNone(DescribedPredicate<JavaClass> who, String... packages) {
        return noClasses()
                .that(who)
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage(packages)
                .allowEmptyShould(true);
    }

    /// Whether a method, constructor or field is one of the forbidden: the name of its class, and
    /// its own.
    @FunctionalInterface
    private interface Forbidden {
        boolean test(String owner, String name);
    }

    private static ArchRule callsNone(
            DescribedPredicate<JavaClass> who, String what, Forbidden forbidden) {
        return classesWithout(
                who,
                "not use " + what,
                (item, events) -> {
                    for (JavaAccess<?> access : item.getAccessesFromSelf()) {
                        if (forbidden.test(
                                access.getTargetOwner().getName(), access.getTarget().getName())) {
                            events.add(violated(item, access.getDescription()));
                        }
                    }
                });
    }

    private static ArchRule isOfOneThread(DescribedPredicate<JavaClass> who) {
        return classesWithout(
                who,
                "not synchronize",
                (item, events) -> {
                    item.getMethods().stream()
                            .filter(m -> m.getModifiers().contains(JavaModifier.SYNCHRONIZED))
                            .forEach(m -> events.add(violated(item, m.getDescription())));
                    if (hasInstruction(item, MonitorInstruction.class::isInstance)) {
                        events.add(violated(item, item.getName() + " has a synchronized block"));
                    }
                });
    }

    /// ArchUnit does not show single instructions, and a synchronized block is nothing else.
    private static boolean hasInstruction(JavaClass item, Predicate<Object> wanted) {
        try (InputStream in = item.getSource().orElseThrow().getUri().toURL().openStream()) {
            ClassModel model = ClassFile.of().parse(in.readAllBytes());
            return model.methods().stream()
                    .flatMap(method -> method.code().stream())
                    .flatMap(code -> code.elementStream())
                    .anyMatch(wanted);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @FunctionalInterface
    private interface Check {
        void accept(JavaClass item, ConditionEvents events);
    }

    private static ArchRule classesWithout(
            DescribedPredicate<JavaClass> who, String description, Check check) {
        return classes()
                .that(who)
                .should(
                        new ArchCondition<JavaClass>(description) {
                            @Override
                            public void check(JavaClass item, ConditionEvents events) {
                                check.accept(item, events);
                            }
                        })
                .allowEmptyShould(true);
    }

    private static ConditionEvent violated(JavaClass item, String message) {
        return SimpleConditionEvent.violated(item, message);
    }
}
