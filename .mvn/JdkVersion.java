import java.nio.file.Files;
import java.nio.file.Path;

/// Makes an empty file, named like the feature version of the JDK that runs this.
///
/// Maven runs it under the JDK of the toolchain and then asks for the file, in its own words. Java
/// 17 must be able to run it.
///
/// Argument: the directory, which is made, and emptied of such files.
final class JdkVersion {
    public static void main(String[] args) throws Exception {
        Path directory = Files.createDirectories(Path.of(args[0]));
        try (var old = Files.newDirectoryStream(directory)) {
            for (Path file : old) {
                Files.delete(file);
            }
        }
        Files.createFile(directory.resolve(Integer.toString(Runtime.version().feature())));
    }
}
