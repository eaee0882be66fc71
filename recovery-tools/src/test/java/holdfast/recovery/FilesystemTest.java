package holdfast.recovery;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Optional;

class FilesystemTest {
    private static Filesystem of(String type) {
        return new Filesystem(type, "home", "8c");
    }

    /// What it comes to, however the pipe cuts what is printed.
    private static Programs.Ran ran(Filesystem of, String name, int code, String said) {
        var printed = new Programs.Printed(of.signOfLoss());
        byte[] bytes = said.getBytes(StandardCharsets.UTF_8);
        for (int at = 0; at < bytes.length; at += 1000) {
            printed.take(Arrays.copyOfRange(bytes, at, Math.min(bytes.length, at + 1000)));
        }
        return printed.ran(name, code);
    }

    private static Filesystem.Verdict verdict(String type, String name, int code, String said) {
        return of(type).verdict(ran(of(type), name, code, said));
    }

    @ParameterizedTest
    @CsvSource({
        "ext4,  0, Sound",
        "ext4,  1, Mended",
        "ext3,  2, Mended",
        "ext4,  3, Mended",
        "ext4,  4, Damaged",
        "ext2,  5, Damaged",
        "ext4,  8, Damaged",
        "ext4, 32, Damaged",
        "ext4, 33, Damaged",
        "xfs,   0, Sound",
        "xfs,   1, Damaged",
        "xfs,   2, Damaged",
        "btrfs, 1, Damaged",
        "vfat,  1, Damaged"
    })
    void theCodeOfACheckIsReadAsItsOwnPageHasIt(String type, int code, String verdict) {
        assertEquals(verdict, verdict(type, "fsck", code, "said").getClass().getSimpleName());
    }

    @Test
    void aCheckThatDidNotLookIsNotOneThatFoundDamage() {
        var damaged =
                assertInstanceOf(
                        Filesystem.Damaged.class, verdict("ext4", "e2fsck", 8, "no such file"));
        assertEquals("it could not be checked: e2fsck ended with 8: no such file", damaged.words());
    }

    /// What e2fsck 1.47 says, with code 1, of a block of inodes that was overwritten with zeroes.
    @Test
    void filesThatACheckGivesUpAreDamageAndNotMended() {
        String said =
                """
                nbd: Entry 'f50' in /d (12) has deleted/unused inode 59.  CLEARED.
                nbd: 96/16384 files (1.0% non-contiguous), 2150/16384 blocks""";
        var damaged =
                assertInstanceOf(Filesystem.Damaged.class, verdict("ext4", "e2fsck", 1, said));
        assertEquals("files are lost: e2fsck ended with 1: " + said, damaged.words());
    }

    /// The report has the end of what it printed; what is decided goes by all of it.
    @Test
    void aFileThatIsGivenUpCountsHoweverMuchComesBehindIt() {
        String lost = "nbd: Entry 'f50' in /d (12) has deleted/unused inode 59.  CLEARED.";
        String more = "nbd: Inode 14, i_blocks is 8, should be 16.  FIXED.\n".repeat(2000);
        var damaged =
                assertInstanceOf(
                        Filesystem.Damaged.class,
                        verdict("ext4", "e2fsck", 1, "first\n" + lost + "\n" + more));
        assertTrue(
                damaged.words().startsWith("files are lost: " + lost + " … e2fsck ended with 1: "),
                damaged.words());
        assertTrue(damaged.words().length() < 5000);
        assertInstanceOf(Filesystem.Mended.class, verdict("ext4", "e2fsck", 1, more));
        assertInstanceOf(Filesystem.Damaged.class, verdict("ext4", "e2fsck", 1, more + lost));
        assertInstanceOf(
                Filesystem.Damaged.class,
                verdict("ext4", "e2fsck", 1, "x".repeat(1 << 20) + lost + "\n" + more));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "nbd: Inode 14 is a zero-length directory.  CLEARED.",
                "nbd: Inode 14 has a bad block map.\nINODE CLEARED.",
                "nbd: Entry 'HTREE INDEX CLEARED.' in / (2) has deleted/unused inode 14.  CLEARED."
            })
    void eachEndOfALineByWhichAFileIsGivenUpIsDamage(String said) {
        assertInstanceOf(
                Filesystem.Damaged.class,
                verdict("ext4", "e2fsck", 1, said + "\nnbd: 96/16384 files"));
    }

    /// The first is what e2fsck 1.47 says, with code 1, of a file whose flags say that it is an
    /// indexed directory; the others are of its table and of names that look like its words.
    @ParameterizedTest
    @ValueSource(
            strings = {
                "nbd: Inode 2792 has INDEX_FL flag set but is not a directory.\nHTREE INDEX CLEARED.",
                "nbd: Inode 14 has a flag that it should not have.  FLAG CLEARED.",
                "nbd: Orphan file (inode 12) block 0 is not clean.  CLEARED.",
                "nbd: Entry 'INODE CLEARED.' in / (2) has an incorrect filetype (was 1, should be 2).  FIXED.",
                "nbd: Entry 'x has deleted/unused inode 9.  CLEARED.' in / (2) has filetype set.  FIXED."
            })
    void whatCostsNoFileIsMended(String said) {
        assertInstanceOf(
                Filesystem.Mended.class,
                verdict("ext4", "e2fsck", 1, said + "\nnbd: 96/16384 files"));
    }

    @Test
    void noTypeIsMountedWithDeviceNodesOrSetUidPrograms() {
        assertEquals("ro,nosuid,nodev", of("ext4").options(true));
        assertEquals("rw,noatime,nosuid,nodev,nouuid", of("xfs").options(false));
    }

    @Test
    void onlyABtrfsHasATwin() throws IOException {
        assertEquals(Optional.empty(), of("ext4").twin());
    }
}
