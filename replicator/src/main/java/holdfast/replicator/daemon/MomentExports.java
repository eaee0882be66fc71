package holdfast.replicator.daemon;

import holdfast.replicator.control.ControlApi;
import holdfast.replicator.nbd.Export;
import holdfast.replicator.nbd.Exports;
import holdfast.replicator.state.Marks;
import holdfast.tunnel.wire.AddressSpace;

import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/// The moments of one copy as clients find them by themselves: `home@latest`, `home@-15m`, a time,
/// a kept moment by its name, and each view that an operator has opened by its id, like `home@3`,
/// or without any when it is open under the resource's name. Listed are the first, the kept ones
/// and the open ones; any other is there when it is asked for.
final class MomentExports implements Exports {
    private static final String LATEST = "latest";

    private final LocalBackup copy;

    MomentExports(LocalBackup copy) {
        this.copy = copy;
    }

    @Override
    public List<Export> list() {
        List<Export> listed = new ArrayList<>();
        if (copy.resource().snapshot().hasPoint()) {
            add(listed, LATEST, "the newest moment when the first client asks for it");
        }
        for (ControlApi.Kept each : copy.kept()) {
            if (!each.damaged()) {
                add(
                        listed,
                        each.as(),
                        "as it was at %s, kept until %s".formatted(each.time(), each.expires()));
            }
        }
        for (Marks.Mark each : copy.marked()) {
            if (listed.stream()
                    .noneMatch(other -> other.name().equals(exportName(0, each.name())))) {
                add(
                        listed,
                        each.name(),
                        "as it was at %s, marked by the primary"
                                .formatted(Instant.ofEpochMilli(each.moment().labelMillis())));
            }
        }
        for (LocalBackup.OpenView each : copy.views()) {
            if (each.isUnderName()) {
                for (int i = 0; i < space().volumes(); i++) {
                    String name = VolumeExport.name(copy.name(), i);
                    String description = each.exports().get(i).description();
                    listed.add(new MomentExport(copy, name, "", i, description));
                }
            } else if (!each.asked()) {
                add(listed, each.number(), each.exports().getFirst().description());
            }
        }
        return listed;
    }

    private void add(List<Export> listed, String moment, String description) {
        for (int i = 0; i < space().volumes(); i++) {
            listed.add(new MomentExport(copy, exportName(i, moment), moment, i, description));
        }
    }

    private String exportName(int volume, String moment) {
        return VolumeExport.name(copy.name(), volume) + "@" + moment;
    }

    private AddressSpace space() {
        return copy.dir().superblock().space();
    }

    /// Whether there is such a moment is found out when it is opened. Without a name it is the
    /// newest one, if there is a single volume; while the name is a device's, that is asked for.
    @Override
    public Optional<Export> find(String name) {
        if (name.isEmpty()) {
            String only = copy.isDefault() ? copy.name() : exportName(0, LATEST);
            return space().hasSeveral() ? Optional.empty() : find(only);
        }
        for (int i = 0; i < space().volumes(); i++) {
            if (name.equals(VolumeExport.name(copy.name(), i))) {
                return Optional.of(new MomentExport(copy, name, "", i, ""));
            }
            String prefix = exportName(i, "");
            if (name.startsWith(prefix)) {
                String moment = name.substring(prefix.length());
                return Optional.of(new MomentExport(copy, name, moment, i, ""));
            }
        }
        return Optional.empty();
    }
}
