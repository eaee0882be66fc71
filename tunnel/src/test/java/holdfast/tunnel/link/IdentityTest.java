package holdfast.tunnel.link;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Locale;

class IdentityTest {
    @TempDir Path temp;

    @Test
    void anIdentityIsStoredOnceAndComesBackTheSame() throws Exception {
        Path dir = temp.resolve("holdfast");
        Identity made = Identity.create(dir);
        Identity loaded = Identity.load(dir);
        assertEquals(made.node(), loaded.node());
        assertEquals(made.pin(), loaded.pin());
        assertEquals(made.key(), loaded.key());
        assertThrows(FileAlreadyExistsException.class, () -> Identity.create(dir));
        assertEquals(
                "rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(dir)));
        assertEquals(
                "rw-------",
                PosixFilePermissions.toString(
                        Files.getPosixFilePermissions(dir.resolve("identity.pem"))));
        assertEquals(1, dir.toFile().list().length);
    }

    @Test
    void aKeyThatOthersMayReadIsNotUsed() throws Exception {
        Path dir = temp.resolve("holdfast");
        Identity.create(dir);
        Path file = dir.resolve("identity.pem");
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-r-----"));
        assertTrue(
                assertThrows(IOException.class, () -> Identity.load(dir))
                        .getMessage()
                        .contains("open to others"));
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-------"));
        Files.setPosixFilePermissions(dir, PosixFilePermissions.fromString("rwxr-xr-x"));
        assertThrows(IOException.class, () -> Identity.load(dir));
    }

    @Test
    void aDamagedFileIsRefused() throws Exception {
        Path dir = temp.resolve("holdfast");
        Identity.create(dir);
        Path file = dir.resolve("identity.pem");
        String text = Files.readString(file);
        for (String damaged :
                new String[] {
                    "",
                    text.substring(0, text.length() / 2),
                    text.replace("BEGIN PRIVATE", "BEGIN OTHER")
                }) {
            Files.writeString(file, damaged);
            assertThrows(IOException.class, () -> Identity.load(dir));
        }
    }

    @Test
    void aFingerprintCanBeReadAloudAndTypedBack() {
        Pin pin = Identity.generate().pin();
        assertEquals(79, pin.fingerprint().length());
        assertEquals(pin, Pin.parse(pin.fingerprint().toUpperCase(Locale.ROOT).replace('-', ':')));
        assertThrows(IllegalArgumentException.class, () -> Pin.parse("abcd"));
    }
}
