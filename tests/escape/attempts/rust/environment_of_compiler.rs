/* escape: layers=env */
fn main() {
    if let Some(text) = option_env!("RUSTBOX_CANARY") {
        println!("ESCAPED {}", text);
        return;
    }
    std::process::exit(1);
}
