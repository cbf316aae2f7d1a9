/* escape: layers=view */
fn main() {
    println!("{}", std::fs::read_to_string("/..@DIR@/secret").unwrap_or_default());
    std::process::exit(1);
}
