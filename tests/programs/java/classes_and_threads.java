import java.nio.file.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;

interface Shape {
    double area();
}

record Square(double side) implements Shape {
    public double area() {
        return side * side;
    }
}

public class Main {
    static class Counter {
        int n;

        synchronized void add() {
            n++;
        }
    }

    public static void main(String[] args) throws Exception {
        Counter counter = new Counter();
        ExecutorService pool = Executors.newFixedThreadPool(4);
        for (int i = 0; i < 100; i++)
            pool.submit(counter::add);
        pool.shutdown();
        pool.awaitTermination(5, TimeUnit.SECONDS);
        System.out.println(counter.n);
        System.out.println(new Square(3).area());
        System.out.println(IntStream.range(0, 10).filter(x -> x % 3 == 0).boxed().collect(Collectors.toList()));
        Path file = Files.createTempFile("x", ".txt");
        Files.writeString(file, "content");
        System.out.println(Files.readString(file));
        System.out.println("a,b".split(",").length + String.format("%05.1f", 3.14159));
    }
}
