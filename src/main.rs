//! The `estd` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    estd::cli::run(std::env::args_os())
}
