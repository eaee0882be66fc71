package holdfast.recovery;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.util.Optional;

class FilesystemTest {
    private static Filesystem of(String type) {
        return new Filesystem(type, "home", "8c");
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
        assertEquals(
                verdict,
                of(type).verdict(new Programs.Ran("fsck", code, "said"))
                        .getClass()
                        .getSimpleName());
    }

    @Test
    void aCheckThatDidNotLookIsNotOneThatFoundDamage() {
        var damaged =
                assertInstanceOf(
                        Filesystem.Damaged.class,
                        of("ext4").verdict(new Programs.Ran("e2fsck", 8, "no such file")));
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
                assertInstanceOf(
                        Filesystem.Damaged.class,
                        of("ext4").verdict(new Programs.Ran("e2fsck", 1, said)));
        assertEquals("files are lost: e2fsck ended with 1: " + said, damaged.words());
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
