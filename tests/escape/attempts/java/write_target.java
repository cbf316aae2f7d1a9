/* escape: layers=view,uid,caps */
import java.io.*; import java.net.*; import java.nio.file.*;
public class Main { public static void main(String[] args) throws Exception { try {
Files.writeString(Path.of("/..@DIR@/target"), "touched");
} catch (Exception e) { } System.exit(1); } }
