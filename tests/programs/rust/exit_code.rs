fn main() {
    std::process::exit(77);
}
