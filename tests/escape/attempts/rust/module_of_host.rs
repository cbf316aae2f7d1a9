/* escape: layers=view cause=compile_error */
#[path = "/..@DIR@/secret"]
mod secret;
fn main() {}
