package holdfast.replicator.daemon;

import holdfast.replicator.device.Disks;
import holdfast.replicator.device.JournalFiles;
import holdfast.replicator.metadata.Superblock;
import holdfast.replicator.state.OwnChanges;
import holdfast.replicator.state.Rest;
import holdfast.replicator.state.Role;
import holdfast.tunnel.wire.Position;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;

/// Makes a detached primary the copy of its peer, which gives up what it has by itself (R31): its
/// disk becomes the base of a copy whose only moment is what it is now, and the peer's primary
/// brings it on from there by an ordinary epoch. What is given up is kept under a name, and
/// whatever is cut off is gone on with. What it has changed by itself it says, where it knows: then
/// only that, and what the peer has changed, is compared.
///
/// | step                                       | a crash behind it leaves                      |
/// |--------------------------------------------|-----------------------------------------------|
/// | the primary is detached                    | the primary as it was, detached               |
/// | which journal is about to be made is noted | the same                                      |
/// | the journal, with all of its space         | the same, and a journal of nobody, which the next start deletes, or the next try |
/// | parts of the directory of the new role     | the same; the next start deletes both         |
/// | that directory is whole                    | a copy that says that it gives up its own; the primary's directory is deleted by the next start |
/// | what it is now is kept under a name        | the same; without the name the next start gives it one before anybody is told |
/// | the epoch's commit                         | an ordinary copy of the peer's primary        |
final class Demotion {
    private static final SecureRandom RANDOM = new SecureRandom();

    private final Shared shared;
    private final Path resources;
    private final TcpExports tcp;

    Demotion(Shared shared, Path resources, TcpExports tcp) {
        this.shared = shared;
        this.resources = resources;
        this.tcp = tcp;
    }

    /// @param primary detached, a plain disk, and over ([LocalPrimary#end]); it is closed
    /// @param storage where the journal goes
    /// @param watched whether the disk was held until this order, so that nobody wrote past us
    /// @throws IOException if it failed; what it is at the next opening, the disk says, and of a
    ///   primary [ResourceDir#endJournal] takes what is left of this
    LocalBackup of(LocalPrimary primary, Path storage, boolean watched) throws IOException {
        ResourceDir.Facts was = primary.dir().facts();
        ResourceDir.Facts facts =
                new ResourceDir.Facts(
                        was.id(),
                        Role.SECONDARY.name(),
                        was.disks(),
                        was.ownDisk(),
                        unused(storage, primary.name()).toString(),
                        LocalBackup.wholeSegments(primary.settings().journalSize().bytes()),
                        was.peer());
        Superblock superblock = superblock(primary.dir().superblock());
        long generation = superblock.ancestry().generation();
        OwnChanges changes = changes(primary.dir(), watched, generation);
        primary.dir().beginJournal(Path.of(facts.journal()));
        LocalBackup.create(facts);
        ResourceDir dir =
                ResourceDir.next(
                        resources,
                        primary.name(),
                        facts,
                        superblock,
                        primary.settings(),
                        ResourceDir.discarding(was.uuid(), generation, changes));
        primary.close();
        primary.dir().remove();
        try {
            return LocalBackup.open(shared, dir, tcp);
        } catch (IOException | RuntimeException e) {
            dir.close();
            throw e;
        }
    }

    /// What the disk holds that it did not hold at the last moment of both. What crashed is taken
    /// as an attach takes it: what was active may have changed, and nothing else. A disk that has
    /// failed, or is another one, may hold anything.
    ///
    /// @return null when that is not known for certain: then everything is compared
    private OwnChanges changes(ResourceDir dir, boolean watched, long generation)
            throws IOException {
        Superblock was = dir.superblock();
        if (Files.exists(dir.compareMark())
                || dir.grownFrom(was.sizeBytes()) < was.sizeBytes()
                || !dir.isSameDisk()
                || !watched && was.clean() && isDoubtful(dir)) {
            return null;
        }
        return OwnChanges.of(was.ancestry(), dir.recover().kept(), dir.heard(), generation);
    }

    private boolean isDoubtful(ResourceDir dir) throws IOException {
        Superblock was = dir.superblock();
        try (Disks disks =
                Disks.open(shared.lockDirectory(), dir.name(), dir.facts().paths(), was.space())) {
            return EvidenceFile.doubt(dir, disks).isPresent();
        }
    }

    /// A name for the journal. What is there under one is an earlier role's, or was left by a try
    /// that was cut off: it has no records then, and goes.
    private Path unused(Path storage, String name) throws IOException {
        Path journal = storage.resolve(name + ".journal").toAbsolutePath();
        for (int i = 2; Files.exists(journal); i++) {
            if (Files.isDirectory(journal)
                    && JournalFiles.isNothingElse(journal)
                    && JournalFiles.heldAt(journal).isEmpty()
                    && !ResourceDir.isUsed(resources, journal)) {
                ResourceDir.delete(journal);
                return journal;
            }
            journal = storage.resolve("%s.%d.journal".formatted(name, i)).toAbsolutePath();
        }
        return journal;
    }

    /// The disk as it is.
    private Superblock superblock(Superblock was) {
        long now = System.currentTimeMillis();
        Rest rest =
                Rest.of(
                        was.ancestry(),
                        was.position(),
                        was.clean(),
                        RANDOM.nextLong() | 1,
                        shared.nodeId(),
                        now);
        return new Superblock(
                was.resource(),
                Role.SECONDARY,
                was.space(),
                false,
                true,
                false,
                false,
                false,
                rest.position(),
                Position.NONE,
                0,
                0,
                0,
                0,
                0,
                0,
                now,
                now,
                rest.ancestry());
    }
}
