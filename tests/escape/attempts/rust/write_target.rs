/* escape: layers=view,uid,caps */
fn main() {
    let _ = std::fs::write("/..@DIR@/target", "touched");
    std::process::exit(1);
}
