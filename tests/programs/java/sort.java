import java.util.*;

public class Main {
    public static void main(String[] args) throws Exception {
        Scanner in = new Scanner(System.in);
        int n = in.nextInt();
        List<Integer> a = new ArrayList<>();
        while (n-- > 0)
            a.add(in.nextInt());
        Collections.sort(a);
        StringJoiner out = new StringJoiner(" ");
        a.forEach(x -> out.add(x.toString()));
        System.out.println(out);
    }
}
