import java.io.FileInputStream;
import java.util.*;

public class Main {
    public static void main(String[] args) throws Exception {
        List<FileInputStream> open = new ArrayList<>();
        while (true)
            open.add(new FileInputStream("/dev/null"));
    }
}
