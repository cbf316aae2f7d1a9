/* escape: layers=fresh runs=3 */
import java.nio.file.*;

class Main {
    public static void main(String[] args) throws Exception {
        Path left = Path.of("/tmp/left");
        if (Files.exists(left)) {
            System.out.println("ESCAPED");
            return;
        }
        Files.createFile(left);
        System.exit(1);
    }
}
