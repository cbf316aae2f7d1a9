import java.util.*;

public class Main {
    public static void main(String[] args) throws Exception {
        List<byte[]> x = new ArrayList<>();
        try {
            while (true)
                x.add(new byte[1 << 20]);
        } catch (OutOfMemoryError e) {
            System.out.println("caught");
        }
    }
}
