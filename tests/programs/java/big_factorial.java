import java.math.BigInteger;

public class Main {
    public static void main(String[] args) throws Exception {
        BigInteger f = BigInteger.ONE;
        for (int i = 2; i <= 200; i++)
            f = f.multiply(BigInteger.valueOf(i));
        System.out.println(f);
    }
}
