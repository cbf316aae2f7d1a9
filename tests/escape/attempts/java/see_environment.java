/* escape: layers=env */
class Main {
    public static void main(String[] args) {
        System.out.println(System.getenv());
        System.exit(System.getenv("RUSTBOX_CANARY") == null ? 1 : 0);
    }
}
