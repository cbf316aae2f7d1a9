fn main() {
    std::fs::write("/tmp/x", vec![1u8; 5 << 20]).unwrap();
}
