package holdfast.replicator.config;

import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;

/// The settings of a node: `node.toml`, and one file for each resource in `conf.d/`.
public final class Settings {
    private static final String SUFFIX = ".toml";

    /// What was read.
    ///
    /// @param resources by name, which is that of the file
    public record Loaded(NodeSettings node, SortedMap<String, ResourceSettings> resources) {
        public Loaded {
            resources = Collections.unmodifiableSortedMap(new TreeMap<>(resources));
        }
    }

    private final List<Problem> problems = new ArrayList<>();

    private Settings() {}

    /// Reads everything and opens none of what it names. Without `node.toml` all is at its default;
    /// files in `conf.d/` that do not end in `.toml` are left alone.
    ///
    /// @param etcDir `/etc/holdfast`
    /// @throws ConfigException with all problems of all files
    public static Loaded load(Path etcDir) throws ConfigException {
        return new Settings().loadAll(etcDir);
    }

    /// Checks a resource's name.
    ///
    /// @throws IllegalArgumentException its message says what would be right
    public static String checkResourceName(String name) {
        return Type.name(name);
    }

    private Loaded loadAll(Path etcDir) throws ConfigException {
        Path nodeFile = etcDir.resolve("node.toml");
        SettingsText nodeText =
                SettingsText.read(text(nodeFile).orElse(""), nodeFile.toString(), Schema.NODE);
        NodeSettings node = NodeSettings.from(nodeText);
        problems.addAll(nodeText.problems());

        var resources = new TreeMap<String, ResourceSettings>();
        var takenDisks = new HashMap<String, String>();
        for (Path file : resourceFiles(etcDir.resolve("conf.d"))) {
            String fileName = file.getFileName().toString();
            String name = fileName.substring(0, fileName.length() - SUFFIX.length());
            if (!Type.NAME.matcher(name).matches()) {
                problems.add(
                        new Problem(
                                file.toString(),
                                0,
                                0,
                                "resource \"%s\" should be %s".formatted(name, Type.NAME_RULE)));
            }
            Optional<String> text = text(file);
            if (text.isEmpty()) {
                continue; // unreadable, and said to be
            }
            SettingsText toml = SettingsText.read(text.get(), file.toString(), Schema.RESOURCE);
            ResourceSettings resource = ResourceSettings.from(toml);
            checkDisks(name, resource, node, toml, takenDisks);
            problems.addAll(toml.problems());
            resources.put(name, resource);
        }
        if (!problems.isEmpty()) {
            throw new ConfigException(problems);
        }
        return new Loaded(node, resources);
    }

    private static void checkDisks(
            String name,
            ResourceSettings resource,
            NodeSettings node,
            SettingsText toml,
            Map<String, String> takenDisks) {
        for (var entry : resource.disks().entrySet()) {
            for (Path disk : entry.getValue()) {
                checkDisk(name, disk, entry.getKey(), node, toml, takenDisks);
            }
        }
        if (resource.disks().size() == ResourceSettings.MAX_NODES
                && !resource.disks().containsKey(node.name())) {
            toml.report(
                    List.of("on"),
                    "disks are those of %s, this node is \"%s\" (node.name)"
                            .formatted(
                                    String.join(" and ", resource.disks().keySet()), node.name()));
        }
    }

    private static void checkDisk(
            String name,
            Path disk,
            String at,
            NodeSettings node,
            SettingsText toml,
            Map<String, String> takenDisks) {
        List<String> path = List.of("on", at, "disk");
        String taken = takenDisks.putIfAbsent(at + ":" + disk, name);
        if (taken != null && !taken.equals(name)) {
            toml.report(
                    path,
                    "disk %s at %s is that of the resource \"%s\" already"
                            .formatted(disk, at, taken));
        }
        if (at.equals(node.name()) && disk.startsWith(node.stateDir())) {
            toml.report(
                    path,
                    "disk %s lies in the state directory %s".formatted(disk, node.stateDir()));
        }
        if (at.equals(node.name()) && node.storagePath().equals(Optional.of(disk))) {
            toml.report(
                    path,
                    "disk %s is the directory storage.path, should be a device or a file"
                            .formatted(disk));
        }
    }

    private List<Path> resourceFiles(Path directory) {
        var files = new ArrayList<Path>();
        if (!Files.exists(directory)) {
            return files;
        }
        try (var entries = Files.newDirectoryStream(directory, "*" + SUFFIX)) {
            entries.forEach(files::add);
        } catch (IOException | DirectoryIteratorException e) {
            problems.add(new Problem(directory.toString(), 0, 0, "cannot be listed: " + e));
        }
        Collections.sort(files); // the same report every time
        return files;
    }

    private Optional<String> text(Path file) {
        try {
            return Optional.of(Files.readString(file));
        } catch (NoSuchFileException e) {
            return Optional.empty();
        } catch (CharacterCodingException e) {
            problems.add(new Problem(file.toString(), 0, 0, "is not UTF-8"));
        } catch (IOException e) {
            problems.add(new Problem(file.toString(), 0, 0, "cannot be read: " + e));
        }
        return Optional.empty();
    }
}
