//! Programs: request, start, life and end.

mod process;
mod program;
mod tree;

pub use process::open;
