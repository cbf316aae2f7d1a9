use std::io::Read;

fn main() {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).unwrap();
    let mut a: Vec<i64> = text.split_whitespace().skip(1).map(|x| x.parse().unwrap()).collect();
    a.sort();
    let out: Vec<String> = a.iter().map(|x| x.to_string()).collect();
    println!("{}", out.join(" "));
}
