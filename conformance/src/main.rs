//! Drives real clients against the built server and judges its answers with tools that share no code with it.
#![expect(clippy::print_stdout, reason = "a command line program reports on standard output")]

mod admin_api;
mod certificate;
mod checks;
mod clients;
mod clock;
mod cmc;
mod command;
mod commands;
mod config;
mod crash;
mod credentials;
mod der;
mod fields;
mod full_disk;
mod http;
mod linters;
mod matrix;
mod multipart;
mod pki;
mod population;
mod protection;
mod requests;
mod requirements;
mod rollover;
mod server;
mod stage;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::matrix::{Check, Matrix, Problem};
use crate::requirements::{REQUIREMENTS, THREATS};
use crate::rollover::FILES;
use crate::server::Binary;
use crate::stage::Stage;

/// Real EST clients, openssl and pkilint against the built estd.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The binary under test.
    #[arg(long, default_value = "target/debug/estd")]
    estd: PathBuf,
    /// Where the report goes: matrix.md and junit.xml.
    #[arg(long, default_value = "conformance/out")]
    out: PathBuf,
    /// Run only the cases whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// Clients that must be there, comma-separated: curl, strongswan, bouncycastle, python, libest, pkilint,
    /// schemathesis.
    #[arg(long, value_delimiter = ',')]
    require: Vec<String>,
    /// libest's estclient, if it is not on PATH.
    #[arg(long, env = "ESTCLIENT")]
    estclient: Option<PathBuf>,
    /// A Python that has pkilint and schemathesis; see conformance/install-clients.sh.
    #[arg(long, default_value = "target/conformance-venv/bin/python")]
    pkilint_python: PathBuf,
    /// How often the server is killed under load; 0 leaves that out.
    #[arg(long, default_value_t = 200)]
    crash_cycles: usize,
    /// The register of requirements.
    #[arg(long, default_value = "conformance/requirements.toml")]
    requirements: PathBuf,
    /// The register of threats.
    #[arg(long, default_value = "conformance/threats.toml")]
    threats: PathBuf,
    /// The output of `cargo test --workspace -- --list`; without it cargo is asked when the register names such tests.
    #[arg(long)]
    cargo_tests: Option<PathBuf>,
    /// Keep the working folder and say where it is.
    #[arg(long)]
    keep: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut matrix = Matrix::new(arguments.only.clone());
    let outcome = conduct(&arguments, &mut matrix).and_then(|()| report(&arguments, &matrix));
    if let Err(problem) = outcome {
        println!("conformance: {problem:?}");
        return ExitCode::FAILURE;
    }
    for (name, message) in matrix.failures() {
        println!("FAIL {name}: {message}");
    }
    let (passed, failed, not_run) = matrix.counts();
    println!("conformance: {passed} passed, {failed} failed, {not_run} not run");
    for (register, name) in [(REQUIREMENTS, "requirements"), (THREATS, "threats")] {
        for (word, count) in requirements::summary(&register, &matrix) {
            println!("conformance: {name} {word}: {count}");
        }
    }
    if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn conduct(arguments: &Arguments, matrix: &mut Matrix) -> Check {
    let folder = tempfile::Builder::new().prefix("estd-conformance-").tempdir()?;
    let binary = arguments.estd.canonicalize();
    let binary = binary.map_err(|error| Problem::failed(format!("{}: {error}", arguments.estd.display())))?;
    let stage = Stage::set(folder.path().to_owned(), Binary(binary))?;
    for mut client in clients::all(arguments.estclient.clone()) {
        let required = arguments.require.iter().any(|name| name == client.name());
        clients::run(client.as_mut(), &stage, required, matrix);
    }
    checks::run(&stage, matrix);
    let linted = arguments.require.iter().any(|name| name == "pkilint");
    checks::publication::run(&stage, &arguments.pkilint_python, linted, matrix);
    let mut made = FILES.map(|name| rollover::file(&stage.rollover, name)).to_vec();
    commands::run(&stage, &mut made, matrix);
    linters::run(&stage.pki, &stage.harvest(), &made, &arguments.pkilint_python, linted, matrix);
    let required = arguments.require.iter().any(|name| name == "schemathesis");
    admin_api::run(&stage, &arguments.pkilint_python, required, matrix);
    crash::run(&stage, arguments.crash_cycles, matrix);
    full_disk::run(&stage, matrix);
    if matrix.is_whole() {
        let cargo_tests = arguments.cargo_tests.as_deref();
        requirements::run(&REQUIREMENTS, &arguments.requirements, cargo_tests, matrix);
        requirements::run(&THREATS, &arguments.threats, cargo_tests, matrix);
    }
    drop(stage);
    if arguments.keep {
        println!("conformance: kept {}", folder.keep().display());
    }
    Ok(())
}

fn report(arguments: &Arguments, matrix: &Matrix) -> Check {
    std::fs::create_dir_all(&arguments.out)?;
    command::write(&arguments.out.join("matrix.md"), matrix.markdown())?;
    command::write(&arguments.out.join("junit.xml"), matrix.junit())
}
