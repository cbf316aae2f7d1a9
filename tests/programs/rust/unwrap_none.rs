fn main() {
    let x: Option<usize> = std::env::args().nth(9).map(|s| s.len());
    println!("{}", x.unwrap());
}
