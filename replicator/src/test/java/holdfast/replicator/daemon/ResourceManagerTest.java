package holdfast.replicator.daemon;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.List;

class ResourceManagerTest {
    @Test
    void whatCannotBeClosedKeepsNothingElseOpen() {
        List<String> closed = new ArrayList<>();
        List<String> failed = new ArrayList<>();
        ResourceManager.closeEach(
                List.of("a", "b", "c"),
                each -> {
                    if (each.equals("b")) {
                        throw new IllegalStateException("broken");
                    }
                    closed.add(each);
                },
                (each, e) -> failed.add(each + " " + e.getMessage()));
        assertEquals(List.of("a", "c"), closed);
        assertEquals(List.of("b broken"), failed);
    }
}
