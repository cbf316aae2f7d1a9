/* escape: layers=fresh runs=3 */
fn main() {
    if std::path::Path::new("/tmp/left").exists() {
        println!("ESCAPED");
        return;
    }
    let _ = std::fs::write("/tmp/left", "left");
    std::process::exit(1);
}
