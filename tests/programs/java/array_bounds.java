public class Main {
    public static void main(String[] args) throws Exception {
        System.out.println(new int[3][5][1].length + args[7]);
    }
}
