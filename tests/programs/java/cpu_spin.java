public class Main {
    public static void main(String[] args) throws Exception {
        for (long i = 0; i >= 0; i = (i + 1) & 1023)
            ;
    }
}
