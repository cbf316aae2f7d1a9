macro_rules! again {
    ($t:tt) => { again!($t) };
}

fn main() {
    again!(x);
}
