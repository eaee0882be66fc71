package holdfast.replicator.daemon;

import holdfast.replicator.config.ResourceSettings;
import holdfast.replicator.metadata.Superblock;
import holdfast.replicator.state.History.Moment;
import holdfast.replicator.state.Role;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Position;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.Optional;

/// Makes a copy the primary of its resource (R23, R24), at once: base and journal are its device.
///
/// | step                                     | a crash behind it leaves                             |
/// |------------------------------------------|------------------------------------------------------|
/// | no peer writes to the copy any more      | the copy, which goes on as it did                    |
/// | an epoch commits the new generation: of nothing, or of what brings an older moment back | a copy that has gone on by itself; the peer stands apart from it, and the command can be given again |
/// | the directory of the new role is whole   | a primary, which is exported at the next start       |
///
/// The moments of before stay in the journal, those after the one that was chosen as well, until
/// they are too old or the promotion is made final.
final class Promotion {
    private static final SecureRandom RANDOM = new SecureRandom();

    private final Shared shared;
    private final Path resources;
    private final TcpExports tcp;

    Promotion(Shared shared, Path resources, TcpExports tcp) {
        this.shared = shared;
        this.resources = resources;
        this.tcp = tcp;
    }

    /// What a promotion has come to.
    ///
    /// @param primary detached
    /// @param from the moment from which it goes on
    record Promoted(LocalPrimary primary, Moment from) {}

    /// @param at the newest moment without it
    /// @return null when there is no such moment
    Promoted of(LocalBackup backup, Optional<AskedPoint> at) throws IOException {
        backup.promote();
        try {
            Moment from = begin(backup, at);
            return from == null
                    ? null
                    : new Promoted(
                            primary(backup, backup.resource().look(b -> b.ancestry())), from);
        } catch (IOException | RuntimeException e) {
            backup.demote();
            throw e;
        }
    }

    /// @return null when there is no such moment; nothing has changed then
    private Moment begin(LocalBackup backup, Optional<AskedPoint> at) throws IOException {
        OpenPoint point = backup.point(at.orElse(new AskedPoint.Newest()));
        if (point == null) {
            backup.demote();
            return null;
        }
        try {
            Moment from = point.moment();
            if (from.address() < backup.resource().look(each -> each.base().watermark())) {
                throw new IOException(
                        "what was kept of that moment lies behind the retention: it can be opened and copied from, but not gone on from yet");
            }
            Ancestry.Entry entry =
                    new Ancestry.Entry(
                            RANDOM.nextLong() | 1,
                            from.position(),
                            Ancestry.Reason.PROMOTE,
                            shared.nodeId(),
                            System.currentTimeMillis());
            backup.begin(from.ancestry().plus(entry), at.isPresent() ? point : null);
            return from;
        } finally {
            backup.resource().closePoint(point);
        }
    }

    private LocalPrimary primary(LocalBackup backup, Ancestry ancestry) throws IOException {
        ResourceDir.Facts was = backup.dir().facts();
        ResourceSettings settings = backup.dir().settings();
        ResourceDir.Facts facts =
                new ResourceDir.Facts(
                        was.id(),
                        Role.PRIMARY.name(),
                        was.disks(),
                        was.ownDisk(),
                        "",
                        was.journalBytes(),
                        was.peer());
        ResourceDir dir =
                ResourceDir.next(
                        resources,
                        backup.name(),
                        facts,
                        superblock(backup, ancestry),
                        settings,
                        ResourceDir.standalone(Files.exists(backup.dir().standaloneMark())));
        return new LocalPrimary(shared, dir, tcp, settings, Optional.of(backup));
    }

    /// Nothing is known of the peer: all is compared when it becomes a copy of this.
    private static Superblock superblock(LocalBackup backup, Ancestry ancestry) throws IOException {
        Superblock of = backup.dir().superblock();
        return new Superblock(
                of.resource(),
                Role.PRIMARY,
                of.space().upTo(backup.dir().pointBytes(ancestry)),
                true,
                false,
                false,
                false,
                false,
                new Position(ancestry.generation(), 0),
                Position.NONE,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                ancestry);
    }
}
