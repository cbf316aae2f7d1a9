fn main() {
    let p = (std::env::args().count() * 8) as *mut u64;
    unsafe { p.write_volatile(1) };
}
