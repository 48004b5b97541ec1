//! argv -> a mode of the shim -> exit code.

fn main() {}
