//! Prints the reference page of the variables: `cargo run -p config --example configuration-docs >
//! docs/configuration.md`. Must not: decide its content (`config::docs` does).

#[expect(clippy::print_stdout, reason = "the page is this program's output")]
fn main() {
    print!("{}", config::docs::markdown());
}
