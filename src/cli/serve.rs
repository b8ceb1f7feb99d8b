//! `estd serve`: the server, until it is told to stop.

use std::io::Write;
use std::path::{Path, PathBuf};

use tokio::runtime::Runtime;

use super::logging::Log;
use super::signals::{Request, Signals};
use super::{CliError, process};
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::server::{Running, Server};

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
        while signals.next().await == Request::Reload {
            reload(&running, &arguments.config, &log).await;
        }
        stop(running, &mut signals).await
    });
    // What still runs has been told to stop and did not: waiting for it would be waiting for ever.
    runtime.shutdown_background();
    outcome
}

pub(super) fn runtime() -> Result<Runtime, CliError> {
    Runtime::new().map_err(|source| CliError::Setup { what: "the runtime", source })
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
async fn reload(running: &Running, path: &Path, log: &Log) {
    let owned = path.to_owned();
    let config = match tokio::task::spawn_blocking(move || Config::load(&owned, SystemClock.now())).await {
        Ok(Ok(config)) => config,
        Ok(Err(problems)) => {
            for problem in problems.iter() {
                tracing::error!(%problem, "the new configuration does not check");
            }
            return tracing::error!(problems = problems.iter().len(), "the configuration was not reloaded");
        }
        Err(error) => return tracing::error!(%error, "the configuration was not reloaded"),
    };
    warn(&config);
    let settings = config.log.clone();
    match running.reload(config).await {
        Ok(left) => {
            log.reload(&settings);
            for key in left {
                tracing::warn!(key, "changed in the configuration, but takes a restart");
            }
            tracing::info!("configuration reloaded");
        }
        Err(error) => tracing::error!(%error, "the configuration was not reloaded"),
    }
}

fn warn(config: &Config) {
    for warning in &config.warnings {
        tracing::warn!(%warning, "configuration");
    }
}
