import java.nio.file.*;

public class Main {
    public static void main(String[] args) throws Exception {
        Files.write(Path.of("/tmp/x"), new byte[5 << 20]);
    }
}
