package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.ProblemException;
import holdfast.replicator.state.DiskState;
import holdfast.tunnel.wire.AddressSpace;
import holdfast.tunnel.wire.Frame;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.InstantSource;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.FutureTask;

/// Orders on one resource that meet: of an operator here, and of a peer.
class ResourceOrdersTest {
    private static final int MIB = 1 << 20;
    private static final UUID ID = new UUID(1, 2);

    @TempDir Path dir;

    private LoneNode node;
    private Turns turns;
    private ResourceManager manager;

    @BeforeEach
    void start() throws Exception {
        node = new LoneNode(dir, "");
        turns = new Turns(node.shared, Duration.ZERO);
        manager = node.manager(turns, Duration.ofMinutes(5));
    }

    @AfterEach
    void stop() {
        manager.closeAll();
        node.close();
    }

    // ---- an offer and another order ----------------------------------------------------------

    /// A `remove` has closed its copy and deletes it; what comes now must not be taken for it.
    @Test
    void anOfferWaitsForTheRemovalOfItsNameAndMakesWhatStays() throws Exception {
        assertEquals("", offer("home").reason());
        FutureTask<Frame.OfferReply> again = new FutureTask<>(() -> offer("home"));
        Thread offering = Thread.ofPlatform().daemon().unstarted(again);
        try (var _ =
                HeldTurn.of(
                        turns,
                        "home",
                        "remove",
                        () -> {
                            remove("home");
                            assertEquals(Optional.empty(), manager.byName("home"));
                            assertFalse(Files.exists(node.shared.settingsFile("home")));
                        })) {
            offering.start();
            while (offering.getState() != Thread.State.TIMED_WAITING) {
                assertTrue(offering.isAlive(), () -> "not answered yet");
                Thread.onSpinWait();
            }
        }
        assertTrue(again.get().accepted(), () -> again.resultNow().reason());
        assertTrue(Files.exists(node.shared.settingsFile("home")), "it is the new one's");
        assertTrue(Files.exists(node.storage.resolve("home.img")));
        assertInstanceOf(LocalBackup.class, manager.get("home"));
    }

    @Test
    void anOfferThatHasWaitedInVainSaysForWhat() throws Exception {
        manager = node.manager(turns, Duration.ZERO);
        try (var _ = HeldTurn.of(turns, "home", "remove")) {
            Frame.OfferReply reply = offer("home");
            assertFalse(reply.accepted());
            assertTrue(
                    reply.reason()
                            .matches(
                                    "backup: another order on home is under way, nothing changed: remove, since .*"),
                    reply.reason());
        }
        assertTrue(offer("home").accepted());
    }

    @Test
    void anOfferOfAnotherNameDoesNotWait() throws Exception {
        try (var _ = HeldTurn.of(turns, "home", "remove")) {
            assertTrue(offer("mail").accepted());
        }
    }

    // ---- the start ----------------------------------------------------------------------------

    @Test
    void whatIsNotOpenYetIsKnown() throws Exception {
        offer("home");
        manager.closeAll();
        manager = node.manager(turns, Duration.ZERO);
        manager.find();
        ProblemException said = assertThrows(ProblemException.class, () -> manager.get("home"));
        assertTrue(said.getMessage().contains("home is not open"), said.getMessage());
        assertTrue(said.getMessage().contains("it is being opened"), said.getMessage());
        assertTrue(said.problem().next().orElse("").contains("status home"), said.problem().text());
        manager.openAll();
        assertInstanceOf(LocalBackup.class, manager.get("home"));
    }

    /// Who was to open it does not, so the next command is one that does.
    @Test
    void whatTheStartCouldNotOpenBesideAnotherOrderIsToBeConnected() throws Exception {
        offer("home");
        manager.closeAll();
        manager = node.manager(turns, Duration.ZERO);
        manager.find();
        try (var _ = HeldTurn.of(turns, "home", "promote")) {
            manager.openAll();
        }
        ProblemException said = assertThrows(ProblemException.class, () -> manager.get("home"));
        assertTrue(said.problem().text().contains("another order on home"), said.getMessage());
        assertTrue(said.problem().next().orElse("").contains("connect home"), said.getMessage());
        manager.setConnect("home", true);
        assertInstanceOf(LocalBackup.class, manager.get("home"));
    }

    @Test
    void whatCannotBeClosedToBeOpenedAgainSaysSo() throws Exception {
        try (LoneNode other = new LoneNode(dir.resolve("other"), "")) {
            manager.closeAll();
            manager = other.manager(new Turns(other.shared, Duration.ZERO), Duration.ZERO);
            offer("home");
            LocalBackup copy = (LocalBackup) manager.get("home");
            copy.resource().failed("a test");
            assertEquals(DiskState.FAILED, copy.resource().look(at -> at.diskState()));
            while (!copy.resource().snapshot().isFailed()) {
                Thread.onSpinWait();
            }
            other.close(); // Whoever closes it finds no thread.
            ProblemException said =
                    assertThrows(ProblemException.class, () -> manager.setConnect("home", true));
            assertTrue(said.getMessage().contains("home is not open"), said.getMessage());
            assertTrue(
                    said.problem().next().orElse("").contains("connect home"), said.getMessage());
            assertTrue(other.saidOf("home").contains("open-failed"));
        }
    }

    @Test
    void aPeerIsToldWhyItIsNotThereYet() throws Exception {
        offer("home");
        manager.closeAll();
        manager = node.manager(turns, Duration.ZERO);
        manager.find();
        assertEquals(
                "it is not open at backup: it is being opened, the daemon has just started",
                manager.whyNot("server", ID));
        manager.openAll();
        // Who did not find it an instant ago asks why only now.
        assertEquals("it was opened at backup just now", manager.whyNot("server", ID));
        manager.setConnect("home", false);
        assertEquals("disconnected by an operator of backup", manager.whyNot("server", ID));
        assertEquals("there is no such resource at backup", manager.whyNot("other", ID));
    }

    @Test
    void whatAnOrderHasOpenedTheStartDoesNotOpenAgain() throws Exception {
        offer("home");
        offer("mail");
        manager.closeAll();
        manager = node.manager(turns, Duration.ZERO);
        manager.find();
        manager.setConnect("home", true);
        LocalResource first = manager.get("home");
        manager.setConnect("mail", true);
        remove("mail");
        manager.openAll();
        assertSame(first, manager.get("home"));
        assertThrows(ProblemException.class, () -> manager.get("mail"));
    }

    // ---- a withdrawal and another order ------------------------------------------------------

    @Test
    void aWithdrawalIsNotedWhenTheOrderBeforeItIsDone() throws Exception {
        offer("home");
        try (var _ = HeldTurn.of(turns, "home", "connect")) {
            manager.withdrawn("server", new Frame.Withdraw(ID, false));
            assertFalse(isWithdrawn("home"));
        }
        assertTrue(isWithdrawn("home"));
        assertTrue(offer("home").accepted(), "it may come again");
        assertFalse(isWithdrawn("home"));
    }

    /// While the peer withdraws it, it is not open; then it is.
    @Test
    void aWithdrawalThatComesWhileTheCopyIsOpenedAgainIsNotLost() throws Exception {
        offer("home");
        manager.closeAll();
        Path journal = node.storage.resolve("home.journal");
        Path elsewhere = dir.resolve("elsewhere");
        Files.move(journal, elsewhere);
        manager.find();
        manager.openAll();
        assertThrows(ProblemException.class, () -> manager.get("home"));
        try (var _ =
                HeldTurn.of(turns, "home", "connect", () -> manager.setConnect("home", true))) {
            manager.withdrawn("server", new Frame.Withdraw(ID, false));
            Files.move(elsewhere, journal);
        }
        assertTrue(isWithdrawn("home"));
    }

    @Test
    void anotherPeerWithdrawsNothing() throws Exception {
        offer("home");
        manager.withdrawn("other", new Frame.Withdraw(ID, false));
        assertFalse(isWithdrawn("home"));
        assertFalse(node.saidOf("home").contains("withdrawn"));
    }

    /// An operator has taken it off the link, which no offer undoes.
    @Test
    void whatAnOperatorHasDisconnectedIsNotWithdrawn() throws Exception {
        offer("home");
        manager.setConnect("home", false);
        manager.withdrawn("server", new Frame.Withdraw(ID, false));
        assertFalse(isWithdrawn("home"));
        assertFalse(offer("home").accepted());
    }

    // ---- looking, and failing ----------------------------------------------------------------

    @Test
    void whatOnlyLooksWaitsForNoOrder() throws Exception {
        offer("home");
        try (var _ = HeldTurn.of(turns, "home", "connect")) {
            assertFalse(remove("home", Optional.empty()).done());
            assertFalse(
                    manager.reconnect(
                                    new ControlApi.ReconnectRequest(
                                            "home", Optional.empty(), Optional.empty()))
                            .done());
            assertThrows(ProblemException.class, () -> manager.setConnect("home", false));
        }
    }

    /// What is in the way is a directory with something in it, where the settings should be.
    @Test
    void aCopyWhoseSettingsStayIsRemovedAllTheSame() throws Exception {
        offer("home");
        Path pins = node.storage.resolve("home.pins");
        assertTrue(remove("home", Optional.empty()).effects().size() > 1);
        Path settings = node.shared.settingsFile("home");
        Files.delete(settings);
        Files.createDirectories(settings.resolve("in-the-way"));
        remove("home");
        assertTrue(node.saidOf("home").contains("metadata-error"));
        assertEquals(Optional.empty(), manager.byName("home"));
        assertFalse(Files.exists(pins));
        Files.delete(settings.resolve("in-the-way"));
        Files.delete(settings);
        assertTrue(offer("home").accepted(), "its name is free");
    }

    // ---- room --------------------------------------------------------------------------------

    /// Two copies that are made at once must not both count on the same room.
    @Test
    void whatIsPromisedToOneIsNotPromisedToAnother() throws Exception {
        try (LoneNode small = new LoneNode(dir.resolve("small"), "max = \"100 MiB\"\n")) {
            var offers =
                    new Offers(
                            small.shared,
                            () -> small.settings,
                            small.resources(),
                            new Permits(InstantSource.system()),
                            new Adding(),
                            new Roster(),
                            null);
            assertEquals(small.storage, offers.promise("home", 64 * MIB));
            IOException e = assertThrows(IOException.class, () -> offers.promise("mail", 64 * MIB));
            assertEquals(
                    "storage.max is 100 MiB, with this copy 128 MiB would be used, 64 MiB of it by what is being made just now",
                    e.getMessage());
            offers.kept("mail");
            offers.kept("home");
            assertEquals(small.storage, offers.promise("mail", 64 * MIB));
        }
    }

    /// What only looks is told whether there is room, and takes it from nobody.
    @Test
    void aDryRunPromisesNoRoom() throws Exception {
        try (LoneNode small = new LoneNode(dir.resolve("small"), "max = \"100 MiB\"\n")) {
            var offers =
                    new Offers(
                            small.shared,
                            () -> small.settings,
                            small.resources(),
                            new Permits(InstantSource.system()),
                            new Adding(),
                            new Roster(),
                            null);
            assertTrue(offers.accept("server", offerOf("home", true)).reply().accepted());
            assertEquals(small.storage, offers.promise("mail", 96 * MIB));
            IOException e =
                    assertThrows(
                            IOException.class,
                            () -> offers.accept("server", offerOf("home", true)));
            assertTrue(e.getMessage().contains("by what is being made just now"), e.getMessage());
        }
    }

    private Frame.OfferReply offer(String name) {
        return manager.offered("server", offerOf(name, false));
    }

    private static Frame.Offer offerOf(String name, boolean dryRun) {
        return new Frame.Offer(
                name.equals("home") ? ID : new UUID(7, name.hashCode()),
                name,
                AddressSpace.of(4 * MIB),
                "[journal]\nsize = \"16 MiB\"\n[on.server]\ndisk = \"/x\"\n",
                dryRun);
    }

    private ControlApi.RemoveReply remove(String name) throws ProblemException {
        return remove(name, Optional.of(remove(name, Optional.empty()).confirm()));
    }

    private ControlApi.RemoveReply remove(String name, Optional<String> confirm)
            throws ProblemException {
        return manager.remove(
                new ControlApi.RemoveRequest(name, false, confirm.isEmpty(), confirm));
    }

    private boolean isWithdrawn(String name) throws Exception {
        Path mark = manager.get(name).dir().standaloneMark();
        return Files.exists(mark) && Files.readString(mark).equals("withdrawn");
    }
}
