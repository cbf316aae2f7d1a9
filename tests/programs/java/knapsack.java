import java.util.*;

public class Main {
    public static void main(String[] args) throws Exception {
        Scanner in = new Scanner(System.in);
        int n = in.nextInt(), cap = in.nextInt();
        int[] best = new int[cap + 1];
        while (n-- > 0) {
            int w = in.nextInt(), v = in.nextInt();
            for (int c = cap; c >= w; c--)
                best[c] = Math.max(best[c], best[c - w] + v);
        }
        System.out.println(best[cap]);
    }
}
