//! The log: one line an event, to standard error, as text or JSON.

use std::io;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, fmt, reload};

use super::CliError;
use crate::config::{LogFormat, LogSettings};

/// What may be logged can be changed while the server runs.
pub(super) struct Log {
    filter: reload::Handle<EnvFilter, Registry>,
    /// From the command line or the environment: stands above the configuration.
    forced: bool,
}

impl Log {
    /// Starts logging. `forced` is a level or a filter such as `info,estd::http=debug`.
    pub(super) fn start(settings: &LogSettings, forced: Option<&str>) -> Result<Self, CliError> {
        let filter = EnvFilter::try_new(forced.unwrap_or(&settings.level)).map_err(|error| CliError::Argument {
            what: "--log",
            given: forced.unwrap_or(&settings.level).to_owned(),
            expected: format!("a level or a filter such as \"info,estd::http=debug\" ({error})"),
        })?;
        let (filter, handle) = reload::Layer::new(filter);
        let lines = fmt::layer().with_writer(io::stderr);
        let lines = match settings.format {
            LogFormat::Text => lines.with_ansi(false).boxed(),
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
        };
        let started = tracing_subscriber::registry().with(filter).with(lines).try_init();
        started.map_err(|error| CliError::Setup { what: "the log", source: io::Error::other(error) })?;
        Ok(Self { filter: handle, forced: forced.is_some() })
    }

    /// Takes over the level of a new configuration.
    pub(super) fn reload(&self, settings: &LogSettings) {
        if !self.forced
            && let Ok(filter) = EnvFilter::try_new(&settings.level)
            && let Err(error) = self.filter.reload(filter)
        {
            tracing::error!(%error, "the log level was not changed");
        }
    }
}
