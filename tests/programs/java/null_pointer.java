public class Main {
    public static void main(String[] args) throws Exception {
        String s = args.length > 5 ? "" : null;
        System.out.println(s.length());
    }
}
