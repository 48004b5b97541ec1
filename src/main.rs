//! argv -> cli -> one command -> exit code: the only place that prints an error or exits.
fn main() {}
