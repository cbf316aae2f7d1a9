public class Main {
    public static void main(String[] args) throws Exception {
        System.out.write(new byte[] {'a', 0, 'b', -1, -2, (byte) 0xc3, '(', (byte) 0x80, 'z', 10});
        System.out.flush();
    }
}
