package holdfast.replicator.daemon;

import holdfast.replicator.metadata.Superblock;
import holdfast.replicator.state.Backup;
import holdfast.replicator.state.History.Moment;
import holdfast.replicator.state.Role;
import holdfast.tunnel.wire.Ancestry;
import holdfast.tunnel.wire.Position;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/// Makes a copy the primary of its resource (R23, R24), at once: base and journal are its device.
/// Until that is final another moment can be chosen, as often as is wanted (R31).
///
/// | step                                     | a crash behind it leaves                             |
/// |------------------------------------------|------------------------------------------------------|
/// | no peer writes to the copy any more      | the copy, which goes on as it did                    |
/// | an epoch commits the new generation: of nothing, or of what brings an older moment back | a copy that has gone on by itself; the peer stands apart from it, and the command can be given again |
/// | the directory of the new role is whole   | a primary, which is exported at the next start       |
///
/// The moments of before stay in the journal, those after the one that was chosen as well, until
/// they are too old or the promotion is made final.
///
/// When another moment is chosen:
///
/// | step                                     | a crash behind it leaves                             |
/// |------------------------------------------|------------------------------------------------------|
/// | the primary is detached                  | the primary as it was, which is exported at the next start |
/// | an epoch commits the new generation, whose parent is the moment | a journal that stands in a generation of which its primary knows nothing: the choice was made, and the next start does the next step |
/// | the directory of the next role is whole  | the primary of the moment, which is exported at the next start |
/// | the directory of the role before is deleted | the same; the next start deletes it               |
///
/// The role is a new one and not the old one with another superblock, because all that one knows of
/// its peer is of a device that is no more: positions, bitmap, activity log.
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
    /// @return null when there is no such moment; nothing has changed then
    Promoted of(LocalBackup backup, Optional<AskedPoint> at) throws IOException {
        try {
            backup.promote(BackupResource.ANSWERS);
            OpenPoint point = backup.point(at.orElse(new AskedPoint.Newest()));
            if (point == null) {
                backup.demote();
                return null;
            }
            try {
                begin(backup, backup.dir(), point, at.isPresent());
            } finally {
                backup.resource().closePoint(point);
            }
            return new Promoted(primary(backup, backup.dir(), at.isEmpty()), point.moment());
        } catch (IOException | RuntimeException e) {
            backup.demote();
            throw e;
        }
    }

    /// The device of a promoted copy goes on from another moment: durable when this returns, and
    /// [#whole] does the rest. When it fails nothing has changed.
    ///
    /// @param primary detached
    void again(LocalPrimary primary, OpenPoint point) throws IOException {
        LocalBackup copy = primary.copy().orElseThrow();
        try {
            copy.promote(BackupResource.ANSWERS);
            begin(copy, primary.dir(), point, true);
        } finally {
            copy.fence();
        }
    }

    /// What the journal of a promoted copy says counts: where it stands in a generation that is in
    /// no past of its primary, another moment was chosen, and the primary of that takes over.
    ///
    /// The journal may also have lost the end of its history, and with it the choice; what is left
    /// then is of the role before, and of no peer is anything known beside it.
    ///
    /// @param primary detached
    /// @return the same, or the one that takes over
    /// @throws IOException if its role could not be written: the primary is as it was
    LocalPrimary whole(LocalPrimary primary) throws IOException {
        if (!isLeftBehind(primary)) {
            return primary;
        }
        LocalPrimary next = primary(primary.copy().orElseThrow(), primary.dir(), false);
        try {
            primary.handOver();
        } catch (UncheckedIOException e) {
            shared.events()
                    .of(primary.name())
                    .accept(
                            "metadata-error",
                            "what is left of the role before is deleted at the next start: "
                                    + e.getMessage());
        }
        return next;
    }

    /// Whether [#whole] has something to do. Not while the journal is damaged and nobody has gone
    /// on from what is left: another start may read all of it.
    static boolean isLeftBehind(LocalPrimary primary) {
        Ancestry known = primary.dir().superblock().ancestry();
        return primary.copy()
                .filter(
                        copy ->
                                copy.resource()
                                        .look(
                                                at ->
                                                        at.hasPoint()
                                                                && !at.isDamaged()
                                                                && known.indexOf(
                                                                                at.ancestry()
                                                                                        .generation())
                                                                        < 0))
                .isPresent();
    }

    /// @param before the role of before
    private void begin(LocalBackup backup, ResourceDir before, OpenPoint point, boolean restores)
            throws IOException {
        Moment from = point.moment();
        Ancestry.Entry entry =
                new Ancestry.Entry(
                        RANDOM.nextLong() | 1,
                        from.position(),
                        Ancestry.Reason.PROMOTE,
                        shared.nodeId(),
                        System.currentTimeMillis());
        note(before, entry, from);
        // The commit has no limit: nobody could say whether the choice was made.
        backup.begin(
                from.ancestry().plus(entry),
                restores ? point : null,
                BackupResource.ANSWERS,
                BackupResource.NO_LIMIT);
    }

    /// A label, without which the promotion is the same.
    private void note(ResourceDir before, Ancestry.Entry entry, Moment from) {
        try {
            before.part(entry.generation(), from.labelMillis());
        } catch (IOException | UncheckedIOException e) {
            shared.events()
                    .of(before.name())
                    .accept(
                            "metadata-error",
                            "when what it goes on from was written last is not noted: "
                                    + e.getMessage());
        }
    }

    /// @param before the role of before
    /// @param newest whether it goes on from the newest moment, so that what it writes is all that
    ///   is not in that
    private LocalPrimary primary(LocalBackup backup, ResourceDir before, boolean newest)
            throws IOException {
        Map<String, byte[]> marks = new LinkedHashMap<>(before.carried());
        if (newest) {
            marks.putAll(ResourceDir.promoted(backup.resource().look(Backup::tracked)));
        }
        ResourceDir.Facts was = before.facts();
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
                        superblock(backup, before),
                        before.settings(),
                        marks);
        return new LocalPrimary(shared, dir, tcp, before.settings(), Optional.of(backup));
    }

    /// Nothing is known of the peer, which may be another one, or have gone on.
    private static Superblock superblock(LocalBackup backup, ResourceDir before)
            throws IOException {
        Ancestry ancestry = backup.resource().look(Backup::ancestry);
        Position at = backup.resource().look(Backup::committed);
        Superblock of = backup.dir().superblock();
        Superblock was = before.superblock();
        boolean again = before.facts().isPrimary();
        return new Superblock(
                of.resource(),
                Role.PRIMARY,
                of.space().upTo(backup.dir().pointBytes(ancestry)),
                true,
                false,
                false,
                again && was.detached(),
                false,
                at,
                Position.NONE,
                0,
                0,
                0,
                again ? was.incarnation() + 1 : 0,
                0,
                0,
                0,
                0,
                ancestry);
    }
}
