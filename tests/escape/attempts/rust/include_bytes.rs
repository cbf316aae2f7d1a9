/* escape: layers=view cause=compile_error */
fn main() { println!("{}", String::from_utf8_lossy(include_bytes!("/..@DIR@/secret"))); }
