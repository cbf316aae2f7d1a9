public class Main {
    static int f(int n) {
        return f(n + 1) + n;
    }

    public static void main(String[] args) throws Exception {
        System.out.println(f(1));
    }
}
