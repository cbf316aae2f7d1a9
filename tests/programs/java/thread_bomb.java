public class Main {
    public static void main(String[] args) throws Exception {
        while (true) {
            Thread t = new Thread(() -> {
                try {
                    Thread.sleep(20000);
                } catch (InterruptedException e) {
                }
            });
            t.setDaemon(true);
            t.start();
        }
    }
}
