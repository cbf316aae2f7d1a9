import java.util.*;

public class Main {
    public static void main(String[] args) throws Exception {
        Map<Integer, String> x = new HashMap<>();
        for (int i = 0;; i++)
            x.put(i, "value " + i);
    }
}
