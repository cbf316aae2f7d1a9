fn main() {
    let (send, receive) = std::sync::mpsc::channel();
    let handles: Vec<_> = (0..8u64)
        .map(|i| {
            let send = send.clone();
            std::thread::spawn(move || send.send(i * i).unwrap())
        })
        .collect();
    for handle in handles {
        handle.join().unwrap();
    }
    drop(send);
    println!("{}", receive.iter().sum::<u64>());
    std::fs::write("/tmp/x", "text").unwrap();
    println!("{}", std::fs::read_to_string("/tmp/x").unwrap());
}
