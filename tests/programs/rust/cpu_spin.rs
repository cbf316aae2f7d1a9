fn main() {
    let mut x = 1u64;
    loop {
        x = unsafe { std::ptr::read_volatile(&x) }.wrapping_mul(3);
    }
}
