fn main() {
    loop {
        std::thread::spawn(|| std::thread::sleep(std::time::Duration::from_secs(20)));
    }
}
