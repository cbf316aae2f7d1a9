public class Main {
    public static void main(String[] args) throws Exception {
        byte[][] keep = new byte[300][];
        for (int round = 0; round < 2000; round++)
            keep[round % keep.length] = new byte[1 << 20];
        System.out.println(keep.length);
    }
}
