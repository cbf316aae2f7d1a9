/* escape: layers=view cause=compile_error */
use std::arch::global_asm;
global_asm!(".global secret", "secret: .incbin \"/..@DIR@/secret\"", ".zero 8");
extern "C" {
    static secret: [u8; 64];
}
fn main() {
    let text: Vec<u8> = unsafe { secret.to_vec() };
    println!("{}", String::from_utf8_lossy(&text));
}
