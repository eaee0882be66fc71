package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.control.EventLog;
import holdfast.replicator.state.Role;

import org.junit.jupiter.api.Test;

import java.time.Clock;
import java.util.ArrayList;
import java.util.List;

/// Whose word counts when a resource goes from role to role.
class StateChangesTest {
    private final EventLog log = new EventLog("backup", Clock.systemUTC());
    private final StateChanges states = new Events(log, Runnable::run).states("home");

    /// The disk of a role that is over fails while it is closed: the one that has followed stands
    /// on nothing of it.
    @Test
    void whatARoleThatIsOverSaysOfItsDiskCountsForNothing() throws Exception {
        StateChanges.Voice before = states.begin(Role.PRIMARY, false, null);
        before.is(StateChanges.DISK, "UP_TO_DATE");
        StateChanges.Voice now = states.begin(Role.PRIMARY, false, null);
        before.is(StateChanges.DISK, "FAILED");
        now.is(StateChanges.DISK, "UP_TO_DATE");
        assertEquals(List.of("UP_TO_DATE", "DISKLESS", "UP_TO_DATE"), told("disk"));
    }

    @Test
    void aPrimaryIsFailedWithTheCopyThatIsItsDevice() throws Exception {
        StateChanges.Voice copy = states.begin(Role.SECONDARY, false, null);
        copy.is(StateChanges.DISK, "UP_TO_DATE");
        StateChanges.Voice primary = states.begin(Role.PRIMARY, false, copy);
        primary.is(StateChanges.DISK, "UP_TO_DATE");
        copy.is(StateChanges.DISK, "FAILED");
        assertEquals(List.of("UP_TO_DATE", "DISKLESS", "UP_TO_DATE", "FAILED"), told("disk"));
        // Another moment was chosen: the same copy, another primary.
        StateChanges.Voice next = states.begin(Role.PRIMARY, false, copy);
        next.is(StateChanges.DISK, "UP_TO_DATE");
        assertEquals("FAILED", told("disk").getLast());
    }

    @Test
    void aRoleIsToldWhenItHasTakenOver() throws Exception {
        states.begin(Role.SECONDARY, false, null).takesOver();
        StateChanges.Voice primary = states.begin(Role.PRIMARY, false, null);
        assertEquals(List.of(), told("role"));
        primary.takesOver();
        primary.takesOver();
        assertEquals(List.of("PRIMARY"), told("role"));
    }

    private List<String> told(String what) throws InterruptedException {
        List<String> told = new ArrayList<>();
        log.stream(
                new ControlApi.EventsRequest(0, false),
                each ->
                        each.change()
                                .filter(change -> change.what().equals(what))
                                .ifPresent(change -> told.add(change.to())));
        return told;
    }
}
