/* escape: layers=view cause=compile_error */
fn main() { println!("{}", include_str!("/..@DIR@/secret")); }
