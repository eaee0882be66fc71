package holdfast.sim;

import holdfast.replicator.state.Faults;
import holdfast.replicator.state.Limits;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/// One request of the application. It is issued at its time, or as soon after it as the machine is
/// there and the queue has room; its id is in every sector that it writes.
///
/// @param nanos after the beginning of the history
/// @param offsetBytes zero for a flush, like `lengthBytes`
/// @param sync force unit access
record Request(int id, long nanos, Kind kind, long offsetBytes, int lengthBytes, boolean sync) {
    enum Kind {
        WRITE,
        ZEROES,
        TRIM,
        FLUSH
    }

    /// How an application uses its device: one in each history.
    private record Habit(
            int deviceSectors,
            int pieceSectors,
            int writeBytesMax,
            int hotBlocks,
            int zeroesPercent,
            int flushPercent,
            int unalignedPercent) {}

    /// Several hundred, in bursts: most follow each other at once, some after a pause.
    static List<Request> of(long seed, Scenario scenario) {
        SplittableRandom r = Seeds.stream(seed, "requests");
        int blocks = (scenario.deviceBytes() + 4095) / 4096;
        Habit habit =
                new Habit(
                        scenario.deviceBytes() / SimDisk.SECTOR,
                        pieceSectors(scenario.limits()),
                        pick(r, 4096, 8192, 16384, 32768),
                        pick(r, 4, 16, blocks, blocks),
                        pick(r, 0, 10, 10, 40),
                        pick(r, 0, 5, 20),
                        pick(r, 0, 20, 60));
        int count = r.nextInt(200, 420);
        long mean = scenario.workNanos() / count;
        long nanos = 0;
        List<Request> requests = new ArrayList<>();
        for (int id = 1; id <= count; id++) {
            SplittableRandom own = Seeds.stream(seed, "request " + id);
            nanos += own.nextInt(8) == 0 ? own.nextLong(mean * 15) : own.nextLong(200_000);
            requests.add(one(own, id, nanos, habit));
        }
        return List.copyOf(requests);
    }

    /// A piece takes a part of the activity log at most (R6).
    private static int pieceSectors(Limits limits) {
        if (Faults.M42) {
            return Integer.MAX_VALUE;
        }
        return (limits.activeExtents() - 2) * limits.extentBlocks() * 8;
    }

    private static Request one(SplittableRandom r, int id, long nanos, Habit habit) {
        if (r.nextInt(100) < habit.flushPercent) {
            return new Request(id, nanos, Kind.FLUSH, 0, 0, false);
        }
        int sectors = habit.deviceSectors;
        int hotSectors = Math.min(sectors, habit.hotBlocks * 8);
        int offset;
        int length;
        Kind kind = Kind.WRITE;
        if (r.nextInt(100) < habit.zeroesPercent) {
            kind = r.nextBoolean() ? Kind.TRIM : Kind.ZEROES;
            switch (r.nextInt(4)) {
                case 0 -> {
                    offset = r.nextInt(sectors);
                    length = 1 + r.nextInt(sectors - offset);
                }
                case 1 -> {
                    offset = 8 * r.nextInt((sectors + 7) / 8);
                    length = 8 * (1 + r.nextInt(8));
                }
                default -> {
                    offset = r.nextInt(hotSectors);
                    length = 1 + r.nextInt(40);
                }
            }
        } else if (r.nextInt(100) < habit.unalignedPercent) {
            length = 1 + r.nextInt(Math.min(16, habit.writeBytesMax / 512));
            offset = r.nextInt(hotSectors);
        } else {
            length = 8 * (1 + r.nextInt(habit.writeBytesMax / 4096));
            offset = 8 * r.nextInt(Math.min(habit.hotBlocks, (sectors + 7) / 8));
        }
        length = Math.min(Math.min(length, habit.pieceSectors), sectors - offset);
        return new Request(id, nanos, kind, offset * 512L, length * 512, r.nextInt(12) == 0);
    }

    /// The same on a device that may have become larger: then every third goes to what came with
    /// that, as much of it as there is.
    Request within(int fromBytes, int bytes) {
        int more = bytes - fromBytes;
        if (more <= 0 || id % 3 != 0 || kind == Kind.FLUSH) {
            return this;
        }
        long into = offsetBytes % more;
        int length = (int) Math.min(lengthBytes, more - into);
        return new Request(id, nanos, kind, fromBytes + into, length, sync);
    }

    boolean isAligned() {
        return offsetBytes % 4096 == 0 && lengthBytes % 4096 == 0;
    }

    /// Null for zeroes.
    byte[] content() {
        return kind == Kind.WRITE ? Tags.content(id, offsetBytes, lengthBytes) : null;
    }

    private static int pick(SplittableRandom r, int... of) {
        return of[r.nextInt(of.length)];
    }
}
