package holdfast.tunnel.link;

import static java.nio.charset.StandardCharsets.US_ASCII;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;

/// The invitations this node has given out: the hash of each secret, until when it holds, and who
/// used it.
///
/// One line for each, `sha256-of-secret expiry-in-ms pin-or-hyphen`, in a file of mode 0600 that is
/// replaced as a whole.
///
/// **Once**: an invitation is used up durably, together with the key that used it, *before* that
/// key is stored as a peer. A crash in between leaves an invitation that this one key, and no
/// other, may redeem again until it expires; so the one who joins just repeats its command, and
/// nobody else gains anything.
public final class Invitations {
    public static final Duration DEFAULT_VALIDITY = Duration.ofMinutes(30);

    /// What is older than this is forgotten; until then "used" and "expired" can be told from
    /// "unknown".
    private static final Duration REMEMBERED = Duration.ofDays(7);

    private static final int MAX_ENTRIES = 1000;
    private static final SecureRandom RANDOM = new SecureRandom();

    private final Path file;
    private final InstantSource clock;

    /// Guarded by this object's lock, which is held while the file is written.
    private final List<Entry> entries = new ArrayList<>();

    /// @param usedBy null while it is open
    private record Entry(String hash, long expiryMillis, Pin usedBy) {
        String line() {
            return "%s %d %s\n".formatted(hash, expiryMillis, usedBy == null ? "-" : usedBy.hex());
        }
    }

    private Invitations(Path file, InstantSource clock) {
        this.file = file;
        this.clock = clock;
    }

    /// @param file need not exist yet
    /// @throws IOException also if the file is damaged or open to others
    public static Invitations open(Path file, InstantSource clock) throws IOException {
        var opened = new Invitations(file, clock);
        if (Files.exists(file)) {
            int number = 0;
            for (String line : new String(PrivateFile.read(file), US_ASCII).lines().toList()) {
                number++;
                String[] parts = line.split(" ");
                try {
                    Pin usedBy = parts[2].equals("-") ? null : new Pin(parts[2]);
                    opened.entries.add(
                            new Entry(new Pin(parts[0]).hex(), Long.parseLong(parts[1]), usedBy));
                } catch (RuntimeException e) {
                    throw new IOException(
                            "%s:%d is no invitation: %s".formatted(file, number, line), e);
                }
            }
        }
        return opened;
    }

    /// Gives out a new one.
    public synchronized Invitation create(
            Identity inviter, String nodeName, List<HostPort> addresses, Duration validity)
            throws IOException {
        Instant now = clock.instant();
        byte[] secret = new byte[Invitation.SECRET_BYTES];
        RANDOM.nextBytes(secret);
        var made = new Invitation(inviter.pin(), secret, now.plus(validity), nodeName, addresses);
        entries.removeIf(e -> e.expiryMillis() < now.minus(REMEMBERED).toEpochMilli());
        if (entries.size() >= MAX_ENTRIES) {
            throw new IOException(
                    entries.size() + " invitations within " + REMEMBERED.toDays() + " days");
        }
        entries.add(new Entry(hash(secret), made.expiry().toEpochMilli(), null));
        save();
        return made;
    }

    /// Uses an invitation up, for one key.
    ///
    /// @return empty when it is that key's now; else a reason that begins with `expired`, `used` or
    ///   `unknown`
    synchronized String redeem(byte[] secret, Pin by) throws IOException {
        String hash = hash(secret);
        for (int i = 0; i < entries.size(); i++) {
            Entry entry = entries.get(i);
            if (!entry.hash().equals(hash)) {
                continue;
            }
            if (entry.usedBy() != null && !entry.usedBy().equals(by)) {
                return "used: another node has joined with this invitation";
            }
            if (clock.millis() > entry.expiryMillis()) {
                return "expired: at " + Instant.ofEpochMilli(entry.expiryMillis());
            }
            if (entry.usedBy() == null) {
                entries.set(i, new Entry(hash, entry.expiryMillis(), by));
                try {
                    save();
                } catch (IOException e) {
                    entries.set(i, entry);
                    throw e;
                }
            }
            return "";
        }
        return "unknown: this node has given out no such invitation";
    }

    /// How many can still be redeemed.
    public synchronized int open() {
        return (int)
                entries.stream()
                        .filter(e -> e.usedBy() == null && clock.millis() <= e.expiryMillis())
                        .count();
    }

    private void save() throws IOException {
        var text = new StringBuilder();
        entries.forEach(e -> text.append(e.line()));
        PrivateFile.write(file, text.toString().getBytes(US_ASCII));
    }

    private static String hash(byte[] secret) {
        return HexFormat.of().formatHex(Pin.sha256(secret));
    }
}
