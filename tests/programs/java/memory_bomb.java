import java.util.*;

public class Main {
    public static void main(String[] args) throws Exception {
        List<byte[]> x = new ArrayList<>();
        while (true)
            x.add(new byte[1 << 20]);
    }
}
