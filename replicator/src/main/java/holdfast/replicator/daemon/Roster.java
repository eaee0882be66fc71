package holdfast.replicator.daemon;

import java.util.Collection;
import java.util.Collections;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.UUID;
import java.util.stream.Stream;

/// The resources of this node. Each is open, or is not and has a reason; one that goes from one to
/// the other is never in neither: its name and its disks stay taken, and its peer is told the
/// truth. Reading waits for nobody, the link's event loop reads as well.
final class Roster {
    /// All of them at one moment, by name; nothing in it changes.
    record Now(SortedMap<String, LocalResource> open, SortedMap<String, Unopened> unopened) {
        /// What the resource of that peer is called here, open or not.
        Optional<String> nameOf(String peer, UUID id) {
            return Stream.concat(
                            open.values().stream()
                                    .filter(
                                            each ->
                                                    each.id().equals(id)
                                                            && each.dir()
                                                                    .facts()
                                                                    .peer()
                                                                    .equals(peer))
                                    .map(LocalResource::name),
                            unopened.values().stream()
                                    .filter(each -> each.is(peer, id))
                                    .map(Unopened::name))
                    .findFirst();
        }
    }

    private volatile Now now = new Now(Collections.emptySortedMap(), Collections.emptySortedMap());

    Now now() {
        return now;
    }

    Collection<LocalResource> open() {
        return now.open().values();
    }

    /// It is open from now on, and has its role.
    void put(LocalResource resource) {
        synchronized (this) {
            set(resource.name(), resource, null);
        }
        resource.states().takesOver(); // A handler of that looks it up here.
    }

    /// It is not open any more, or was not in the first place.
    synchronized void put(Unopened why) {
        set(why.name(), null, why);
    }

    /// Another reason for one that is not open still. It may have been opened meanwhile, or be
    /// gone: then it is left as it is.
    synchronized void putIfUnopened(Unopened why) {
        if (now.unopened().containsKey(why.name())) {
            put(why);
        }
    }

    synchronized void remove(String name) {
        set(name, null, null);
    }

    synchronized void clear() {
        now = new Now(Collections.emptySortedMap(), Collections.emptySortedMap());
    }

    /// @param resource null if it is not open
    /// @param why null if it is open, or gone
    private void set(String name, LocalResource resource, Unopened why) {
        SortedMap<String, LocalResource> open = new TreeMap<>(now.open());
        SortedMap<String, Unopened> unopened = new TreeMap<>(now.unopened());
        open.remove(name);
        unopened.remove(name);
        if (resource != null) {
            open.put(name, resource);
        } else if (why != null) {
            unopened.put(name, why);
        }
        now =
                new Now(
                        Collections.unmodifiableSortedMap(open),
                        Collections.unmodifiableSortedMap(unopened));
    }
}
