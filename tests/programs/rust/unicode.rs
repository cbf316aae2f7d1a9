fn main() {
    println!("Grüße, 世界 🚀 ñ");
}
