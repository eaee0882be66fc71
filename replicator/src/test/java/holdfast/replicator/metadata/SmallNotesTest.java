package holdfast.replicator.metadata;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import static java.nio.charset.StandardCharsets.UTF_8;

import org.junit.jupiter.api.Test;

import java.util.List;

/// The texts `grown` and `parted`.
class SmallNotesTest {
    private static String text(byte[] bytes) {
        return new String(bytes, UTF_8);
    }

    @Test
    void whatHasGrownIsOneNumberOrTwo() {
        assertEquals("16777216", text(new Grown(16_777_216, 0).encode()));
        assertEquals("16777216 -77", text(new Grown(16_777_216, -77).encode()));
        assertEquals(new Grown(5, 0), Grown.decode("5\n".getBytes(UTF_8)));
        assertEquals(new Grown(5, -77), Grown.decode("5 -77".getBytes(UTF_8)));
        for (String none : List.of("", "x", "-5", "5 x", "5  7", "99999999999999999999")) {
            assertThrows(
                    IllegalArgumentException.class, () -> Grown.decode(none.getBytes(UTF_8)), none);
        }
    }

    /// A damaged line costs what it says, and not the promotion that is under way.
    @Test
    void ofThePromotionsTheLastCountAndALineThatIsNoneMeansNothing() {
        Parted noted = Parted.NONE.with(new Parted.Promotion(700, 7));
        assertEquals("800 8\n700 7", text(noted.with(new Parted.Promotion(800, 8)).encode()));
        Parted read = Parted.decode("800 8\n\u0000\nx 9\n1 2 3\n 700 7 ".getBytes(UTF_8));
        assertEquals(800, read.millisOf(8));
        assertEquals(700, read.millisOf(7));
        assertEquals(0, read.millisOf(9));
        Parted bad = Parted.decode(new byte[] {(byte) 0xff, '\n', '5', ' ', '6'});
        assertEquals(List.of(new Parted.Promotion(5, 6)), bad.promotions());
        Parted many = Parted.NONE;
        for (int i = 1; i <= 20; i++) {
            many = many.with(new Parted.Promotion(i, i));
        }
        assertEquals(many, Parted.decode(many.encode()));
        assertEquals(16, many.promotions().size());
        assertEquals(0, many.millisOf(4));
        assertEquals(5, many.millisOf(5));
    }
}
