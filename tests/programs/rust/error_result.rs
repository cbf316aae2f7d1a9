use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let n: i32 = "x".parse()?;
    println!("{}", n);
    Ok(())
}
