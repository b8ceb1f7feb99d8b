//! The command line: one file a command, one error type, three exit codes (0 done, 1 refused or failed, 2 usage).

mod backup;
mod ca;
mod check;
mod credential;
mod crl;
mod demo;
mod error;
mod files;
mod folder;
mod init;
mod journal;
mod logging;
mod operate;
mod process;
mod progress;
mod restore;
mod rollover;
mod rollover_status;
mod serve;
mod shell;
mod show;
mod signals;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use demo::EnrollmentError;
pub use error::CliError;

/// A standalone EST (RFC 7030) enrollment server: birth certificate in, operational certificate out.
#[derive(Debug, Parser)]
#[command(name = "estd", version, max_term_width = 100, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make CAs and a device, start a server, enroll the device over real TLS, and keep serving
    Demo(demo::Arguments),
    /// Make a folder for production: a root and an issuing CA, a configuration, a place for manufacturers' CAs
    Init(init::Arguments),
    /// Serve devices until SIGTERM or SIGINT; SIGHUP reloads the configuration
    Serve(serve::Arguments),
    /// Check a configuration and everything it names; tells all problems at once
    Check(check::Arguments),
    /// Look at the certificate authorities, exchange them, revoke certificates
    #[command(subcommand)]
    Ca(ca::Command),
    /// Make entries for a tenant's credentials file: users, one-time enrollment codes, API tokens
    #[command(subcommand)]
    Credential(credential::Command),
    /// Look at the CRLs of the authorities, running server or not, or make them for a web server of one's own
    #[command(subcommand)]
    Crl(crl::Command),
    /// Verify the journal, rebuild the index from it
    #[command(subcommand)]
    Journal(journal::Command),
    /// Make a backup of a running server, verify one
    #[command(subcommand)]
    Backup(backup::Command),
    /// Restore a backup into an empty folder
    Restore(restore::Arguments),
    /// Operate a running server: make the first admin's token
    Admin(Operated<operate::Admin>),
    /// Operate a running server: its devices
    Device(OperatedWithin<operate::Device>),
    /// Operate a running server: the certificates it issued
    Cert(OperatedWithin<operate::Certificate>),
    /// Operate a running server: one-time enrollment codes
    Code(OperatedWithin<operate::Code>),
    /// Operate a running server: take over what another CA program knew
    Import(Operated<operate::Import>),
    /// Operate a running server: requests that wait for an operator
    Pending(OperatedWithin<operate::Pending>),
    /// Operate a running server: figures
    Stats(OperatedWithin<operate::Statistics>),
    /// Operate a running server: its tenants and labels
    Tenant(OperatedWithin<operate::Tenant>),
    /// Operate a running server: the API tokens of operators
    Token(Operated<operate::Token>),
    /// Operate a running server: what happened
    Audit(Operated<operate::Audit>),
    /// Operate a running server: the receivers of events
    Webhook(Operated<operate::Webhook>),
    /// Operate a running server: take over its configuration file, as SIGHUP does
    Reload(operate::Reload),
    /// Operate a running server: tell what would come of a request, and why; nothing is issued
    Explain(operate::Explain),
    /// Write the completions of a shell to standard output
    Completions(shell::Completions),
    /// Write the manual pages
    Man(shell::Man),
}

/// A command to a server that runs.
#[derive(Debug, clap::Args)]
struct Operated<C: Subcommand> {
    #[command(subcommand)]
    command: C,
    #[command(flatten)]
    server: operate::Server,
}

/// A command to a server that runs, about one of its tenants.
#[derive(Debug, clap::Args)]
struct OperatedWithin<C: Subcommand> {
    #[command(subcommand)]
    command: C,
    #[command(flatten)]
    within: operate::Within,
}

/// Runs the command that `arguments` (the program's name first) ask for.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too, with code 0. A reader that is gone needs no help.
            drop(error.print());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let mut out = io::stdout();
    let outcome = match cli.command {
        Command::Demo(arguments) => demo::run(&arguments, &mut out),
        Command::Init(arguments) => init::run(&arguments, &mut out),
        Command::Serve(arguments) => serve::run(&arguments, &mut out),
        Command::Check(arguments) => check::run(&arguments, &mut out),
        Command::Ca(command) => ca::run(&command, &mut out),
        Command::Credential(command) => credential::run(&command, &mut out),
        Command::Crl(command) => crl::run(&command, &mut out),
        Command::Journal(command) => journal::run(&command, &mut out),
        Command::Backup(command) => backup::run(&command, &mut out),
        Command::Restore(arguments) => restore::run(&arguments, &mut out),
        Command::Admin(Operated { command, server }) => command.run(&server, &mut out),
        Command::Device(OperatedWithin { command, within }) => command.run(&within, &mut out),
        Command::Cert(OperatedWithin { command, within }) => command.run(&within, &mut out),
        Command::Code(OperatedWithin { command, within }) => command.run(&within, &mut out),
        Command::Import(Operated { command, server }) => command.run(&server, &mut out),
        Command::Pending(OperatedWithin { command, within }) => command.run(&within, &mut out),
        Command::Stats(OperatedWithin { command, within }) => command.run(&within, &mut out),
        Command::Tenant(OperatedWithin { command, within }) => command.run(&within, &mut out),
        Command::Token(Operated { command, server }) => command.run(&server, &mut out),
        Command::Audit(Operated { command, server }) => command.run(&server, &mut out),
        Command::Webhook(Operated { command, server }) => command.run(&server, &mut out),
        Command::Reload(arguments) => arguments.run(&mut out),
        Command::Explain(arguments) => arguments.run(&mut out),
        Command::Completions(arguments) => shell::completions(&arguments, &mut out),
        Command::Man(arguments) => shell::man(&arguments),
    };
    match outcome.and_then(|()| Ok(out.flush()?)) {
        Ok(()) => ExitCode::SUCCESS,
        // `estd check | head -1`: whoever read has read enough.
        Err(CliError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            // Nowhere is left to complain to when standard error is gone as well.
            drop(writeln!(io::stderr().lock(), "{}", show::each_line("estd: ", &error)));
            ExitCode::FAILURE
        }
    }
}
