package holdfast.recovery;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import holdfast.replicator.control.MetadataDump;

import org.junit.jupiter.api.Test;

import java.time.Instant;
import java.util.List;
import java.util.Optional;

class DumpTextTest {
    private static final MetadataDump DUMP =
            new MetadataDump(
                    "home",
                    "/var/lib/holdfast/resources/home",
                    Optional.of(4711L),
                    true,
                    "00000000-0000-0001-0000-000000000002",
                    "PRIMARY",
                    "/dev/vg0/home",
                    Optional.empty(),
                    "backup",
                    Optional.of(
                            new MetadataDump.Super(
                                    "/var/lib/holdfast/resources/home/superblock",
                                    1,
                                    17,
                                    "PRIMARY",
                                    10L << 30,
                                    List.of(),
                                    true,
                                    false,
                                    false,
                                    true,
                                    false,
                                    "3fa9012c00000001/1234",
                                    "3fa9012c00000001/1031",
                                    "0000000000000005",
                                    0,
                                    0,
                                    3,
                                    0,
                                    4)),
                    List.of(
                            new MetadataDump.Generation(
                                    "3fa9012c00000001",
                                    "none",
                                    "CREATE",
                                    "00000000-0000-0003-0000-000000000004",
                                    Instant.ofEpochSecond(1_700_000_000))),
                    Optional.of(
                            new MetadataDump.Tracking(
                                    "/var/lib/holdfast/resources/home/metadata",
                                    598_016,
                                    false,
                                    2,
                                    2,
                                    "CLEAR",
                                    "3fa9012c00000001/1031",
                                    "none",
                                    "0000000000000005",
                                    6,
                                    1,
                                    2,
                                    992,
                                    List.of(new MetadataDump.Range(4 << 20, 8 << 20)),
                                    new MetadataDump.Marks(
                                            3, 2, List.of(new MetadataDump.Range(0, 8192))),
                                    new MetadataDump.Marks(0, 0, List.of()))),
                    List.of("standalone"),
                    List.of());

    @Test
    void aPersonReadsEverythingInOnePage() {
        assertEquals(
                """
                home  Primary  /var/lib/holdfast/resources/home
                  read         beside the daemon with pid 4711
                  id           00000000-0000-0001-0000-000000000002
                  disk         /dev/vg0/home
                  peer         backup
                  marks        standalone

                superblock  /var/lib/holdfast/resources/home/superblock  slot 1, written 17 times
                  role         Primary
                  size         10 GiB (10737418240 bytes)
                  flags        clean, detached
                  position     3fa9012c00000001/1234
                  acknowledged 3fa9012c00000001/1031
                  peer mark    0000000000000005
                  watermark    0 by incarnation 0, rolling to 0
                  incarnation  3
                  filled       4

                ancestry, oldest first: 1
                  3fa9012c00000001  create   from none  by 00000000-0000-0003-0000-000000000004  2023-11-14T22:13:20Z

                activity log and bitmap  /var/lib/holdfast/resources/home/metadata  584 KiB
                  transaction  2 in era 2
                  else         what no page says is clear
                  acknowledged 3fa9012c00000001/1031
                  peer copy    0000000000000005, filled 6
                  told         transaction 1
                  active       2 of 992 extents
                             4194304 +8388608
                  to send      3 blocks, 12 KiB, in 2 ranges
                                   0 +8192
                                 and 1 more: --ranges 2
                  to compare   nothing
                """,
                DumpText.of(DUMP));
    }

    @Test
    void whatIsOfNoOneMomentSaysSo() {
        MetadataDump mixed =
                new MetadataDump(
                        "home",
                        "/r",
                        Optional.of(4711L),
                        false,
                        "id",
                        "SECONDARY",
                        "/srv/home.img",
                        Optional.of("/srv/home.journal"),
                        "server",
                        Optional.empty(),
                        List.of(),
                        Optional.empty(),
                        List.of(),
                        List.of());
        String text = DumpText.of(mixed);
        assertTrue(text.contains("changed it meanwhile: this is of no one moment\n"), text);
        assertTrue(text.contains("journal      /srv/home.journal\n"), text);
    }
}
