//! How far something long has come, for whoever watches a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on standard error over so many octets; nothing is shown when that is no terminal.
pub(super) fn octets(what: &'static str, octets: u64) -> ProgressBar {
    let bar = ProgressBar::new(octets).with_message(what);
    match ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
