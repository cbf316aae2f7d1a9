use std::io::Write;

fn main() {
    std::io::stdout().write_all(b"a\x00b\xff\xfe\xc3(\x80z\n").unwrap();
}
