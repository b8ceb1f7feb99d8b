//! `estd serve`: the server, until it is told to stop.

use std::io::Write;
use std::path::{Path, PathBuf};

use tokio::runtime::{Builder, Runtime};

use super::logging::Log;
use super::signals::{Request, Signals};
use super::{CliError, process, show};
use crate::admin::Reloaded;
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::server::{Running, Server};

/// Threads for what blocks, started when they are needed. Authorization webhooks may keep 256, and as many again until the
/// questions of before a reload are answered; the rest is for the store, for passwords, for keys and for names.
const BLOCKING_THREADS: usize = 1024;

/// What `estd serve` is told.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The configuration file
    #[arg(long)]
    config: PathBuf,
    /// Log level or filter, above the configuration's: error, warn, info, debug, trace
    #[arg(long, env = "ESTD_LOG", value_name = "LEVEL")]
    log: Option<String>,
}

pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), CliError> {
    let config = Config::load(&arguments.config, SystemClock.now())?;
    let log = Log::start(&config.log, arguments.log.as_deref())?;
    warn(&config);
    process::warn_of_few_files(process::prepare(), config.limits.max_connections);
    let runtime = runtime()?;
    let outcome = runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let running = Server::start(config).await?;
        announce(&running, out)?;
        let mut asked = running.reload_requests();
        loop {
            tokio::select! {
                signal = signals.next() => match signal {
                    Request::Reload => drop(reload(&running, &arguments.config, &log).await),
                    Request::Stop => break,
                },
                Some(request) = asked.recv() => request.answer(reload(&running, &arguments.config, &log).await),
            }
        }
        stop(running, &mut signals).await
    });
    // What still runs has been told to stop and did not: waiting for it would be waiting for ever.
    runtime.shutdown_background();
    outcome
}

pub(super) fn runtime() -> Result<Runtime, CliError> {
    let runtime = Builder::new_multi_thread().enable_all().max_blocking_threads(BLOCKING_THREADS).build();
    runtime.map_err(|source| CliError::Setup { what: "the runtime", source })
}

/// Drains; a second signal cuts that short.
pub(super) async fn stop(running: Running, signals: &mut Signals) -> Result<(), CliError> {
    tracing::info!("stopping");
    tokio::select! {
        () = running.shutdown() => Ok(()),
        () = signals.stop() => Err(CliError::Interrupted),
    }
}

fn announce(running: &Running, out: &mut dyn Write) -> Result<(), CliError> {
    let est = running.est_addresses().iter().map(|address| format!("listening on https://{address}/.well-known/est"));
    let public = running.public_addresses().iter().map(|address| format!("CRLs and OCSP on http://{address}/"));
    let status = std::iter::once(format!("status on http://{}/", running.status_address()));
    let admin = running.admin_addresses().iter().map(|address| format!("admin API on https://{address}/api/v1"));
    let socket = running.admin_socket().map(|socket| format!("admin API on {}", socket.display()));
    let lines: String =
        est.chain(public).chain(status).chain(admin).chain(socket).map(|line| format!("estd: {line}\n")).collect();
    // In one write: who reads may leave once it has seen what it waits for.
    out.write_all(lines.as_bytes())?;
    Ok(out.flush()?)
}

/// Takes over the configuration if it checks; if not, everything stays as it is.
async fn reload(running: &Running, path: &Path, log: &Log) -> Reloaded {
    let outcome = exchange(running, path, log).await;
    match &outcome {
        Reloaded::Done { restart, .. } => {
            for key in restart {
                tracing::warn!(key, "changed in the configuration, but takes a restart");
            }
            tracing::info!("configuration reloaded");
        }
        Reloaded::Refused { problems } => {
            for problem in problems {
                tracing::error!(%problem, "the new configuration does not check");
            }
            tracing::error!(problems = problems.len(), "the configuration was not reloaded");
        }
    }
    outcome
}

async fn exchange(running: &Running, path: &Path, log: &Log) -> Reloaded {
    let owned = path.to_owned();
    let config = match tokio::task::spawn_blocking(move || Config::load(&owned, SystemClock.now())).await {
        Ok(Ok(config)) => config,
        Ok(Err(problems)) => return Reloaded::Refused { problems: problems.iter().map(ToString::to_string).collect() },
        Err(error) => return Reloaded::Refused { problems: vec![error.to_string()] },
    };
    warn(&config);
    let (settings, warnings) = (config.log.clone(), config.warnings.iter().map(ToString::to_string).collect());
    match running.reload(config).await {
        Ok(restart) => {
            log.reload(&settings);
            Reloaded::Done { restart, warnings }
        }
        Err(error) => Reloaded::Refused { problems: vec![show::each_line("", &error)] },
    }
}

fn warn(config: &Config) {
    for warning in &config.warnings {
        tracing::warn!(%warning, "configuration");
    }
}
