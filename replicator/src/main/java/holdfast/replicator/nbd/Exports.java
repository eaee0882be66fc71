package holdfast.replicator.nbd;

import java.util.List;
import java.util.Optional;

/// The exports there are at this moment; asked anew by every handshake, from many threads.
public interface Exports {
    /// What a client that asks for a list is told.
    List<Export> list();

    /// The export of this name, which need not be in [#list] (a view is made when it is opened).
    /// The empty name means the default export, if there is one.
    Optional<Export> find(String name);

    /// These and no others; the default export is the only one, if it is one.
    static Exports of(List<? extends Export> exports) {
        List<Export> all = List.copyOf(exports);
        return new Exports() {
            @Override
            public List<Export> list() {
                return all;
            }

            @Override
            public Optional<Export> find(String name) {
                if (name.isEmpty()) {
                    return all.size() == 1 ? Optional.of(all.getFirst()) : Optional.empty();
                }
                return all.stream().filter(export -> export.name().equals(name)).findFirst();
            }
        };
    }
}
