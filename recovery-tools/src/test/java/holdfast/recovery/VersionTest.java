package holdfast.recovery;

import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class VersionTest {
    @Test
    void theBuildWritesItsVersionIntoTheProgram() {
        assertTrue(Version.number().matches("\\d+\\.\\d+\\.\\d+(-\\w+)?"), Version.number());
    }
}
