/* escape: layers=pid,uid,caps */
import java.io.*; import java.net.*; import java.nio.file.*;
public class Main { public static void main(String[] args) throws Exception { try {
ProcessHandle.of(@PID@L).ifPresent(p -> { p.destroyForcibly(); });
Thread.sleep(100);
} catch (Exception e) { } System.exit(1); } }
