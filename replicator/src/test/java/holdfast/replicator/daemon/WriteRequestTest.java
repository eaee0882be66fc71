package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;

import holdfast.replicator.nbd.Errno;

import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.List;

class WriteRequestTest {
    /// Three pieces, of which the first fails; says how the request is answered.
    static final class OneOfThreeFails {
        public static void main(String[] arguments) {
            answers(false).forEach(System.out::println);
        }
    }

    private static List<Integer> answers(boolean fua) {
        List<Integer> answers = new ArrayList<>();
        WriteRequest request = new WriteRequest(answers::add, fua, 3);
        assertEquals(false, request.pieceFailed(Errno.ENOSPC));
        request.writtenLocally();
        request.pieceDone();
        assertEquals(List.of(), answers);
        assertEquals(fua, request.writtenLocally());
        request.pieceDone();
        if (fua) {
            assertEquals(List.of(), answers);
            request.synced(Errno.OK);
        }
        return answers;
    }

    @Test
    void isAnsweredOnceWithTheErrorOfAnyPiece() {
        assertEquals(List.of(Errno.ENOSPC), answers(false));
        assertEquals(List.of(Errno.ENOSPC), answers(true));
    }

    @Test
    void isAnsweredWithTheFirstErrorOfSeveral() {
        List<Integer> answers = new ArrayList<>();
        WriteRequest request = new WriteRequest(answers::add, true, 2);
        request.pieceFailed(Errno.ENOSPC);
        assertEquals(true, request.pieceFailed(Errno.EIO));
        request.synced(Errno.EIO);
        assertEquals(List.of(Errno.ENOSPC), answers);
    }

    @Test
    void isSeenToForgetAnError() throws Exception {
        assertEquals("" + Errno.OK, MutantProcess.printed("M18", OneOfThreeFails.class));
        assertEquals("" + Errno.ENOSPC, MutantProcess.printed("", OneOfThreeFails.class));
        System.out.println("M18 caught, the error of a piece is forgotten");
    }
}
