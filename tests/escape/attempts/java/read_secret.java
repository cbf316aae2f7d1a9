/* escape: layers=view */
import java.io.*; import java.net.*; import java.nio.file.*;
public class Main { public static void main(String[] args) throws Exception { try {
System.out.println(Files.readString(Path.of("/..@DIR@/secret")));
} catch (Exception e) { } System.exit(1); } }
