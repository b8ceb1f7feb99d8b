//! The server whose CA rolls over, set up by estd's own commands alone.

use std::path::{Path, PathBuf};

use crate::command::{self, text};
use crate::matrix::{Problem, ensure};
use crate::server::{Binary, Server};
use crate::stage::Running;

/// The line after which the table of the successor goes, the only authority being below its root.
const AFTER: &str = "chain = [\"ca/root.pem\"]\n";

/// `estd init`, `estd ca rollover`, and a server that announces the successor. `maker` is the manufacturer's CA.
pub(crate) fn start(binary: &Binary, folder: &Path, maker: &Path) -> Result<Running, Problem> {
    let folder = folder.join("est");
    let configuration = folder.join("config.toml");
    binary.run(&["init", &text(&folder), "--listen", "127.0.0.1:0"])?.succeeded("estd init")?;
    std::fs::copy(maker, folder.join("manufacturers/maker.pem"))?;
    let (next, root_key) = (text(&folder.join("ca/next")), text(&folder.join("ca/root.key")));
    let options = ["--config", &text(&configuration), "--root-key", &root_key, "--out", &next];
    let said = binary.run(&[&["ca", "rollover"], &options[..]].concat())?.succeeded("estd ca rollover")?;
    let said = String::from_utf8_lossy(&said).into_owned();
    let table = said.split("\n\n").find(|part| part.starts_with("[tenant.authority.successor]"));
    let table = table.ok_or_else(|| Problem::failed(format!("estd ca rollover tells no table: {said}")))?;
    let config = String::from_utf8_lossy(&command::read(&configuration)?).into_owned();
    ensure!(config.contains(AFTER), "the configuration that estd init makes has no {AFTER:?}");
    let config = config
        .replace(AFTER, &format!("{AFTER}\n{table}\n"))
        // strongSwan reads nothing else, and knows no labels.
        .replace("[[tenant.label]]\n", "[[tenant.label]]\nwire = \"strongswan-5.9.8\"\n")
        .replace("# status_listen = \"127.0.0.1:9443\"", "status_listen = \"127.0.0.1:0\"");
    command::write(&configuration, config)?;
    let server = Server::start(binary, &configuration)?;
    Ok(Running { server, anchor: folder.join("ca/root.pem"), configuration })
}

/// The two CAs and what their roots say of each other, below the folder of the configuration.
pub(crate) const FILES: [&str; 6] =
    ["root.pem", "issuing.pem", "next/root.pem", "next/issuing.pem", "next/old-with-new.pem", "next/new-with-old.pem"];

/// The file of one of them.
pub(crate) fn file(running: &Running, name: &str) -> PathBuf {
    running.configuration.with_file_name("ca").join(name)
}

/// The configuration in another phase; `None`: the successor has taken the place.
pub(crate) fn turn(running: &Running, phase: Option<&str>) -> Result<(), Problem> {
    let config = String::from_utf8_lossy(&command::read(&running.configuration)?).into_owned();
    let config = match phase {
        Some(phase) => config
            .lines()
            .map(
                |line| {
                    if line.starts_with("phase = ") { format!("phase = \"{phase}\"\n") } else { format!("{line}\n") }
                },
            )
            .collect(),
        None => finished(&config)?,
    };
    command::write(&running.configuration, config)?;
    running.server.signal("HUP")
}

/// The successor's certificate, key and chain in the place of the authority's, and its table gone.
fn finished(config: &str) -> Result<String, Problem> {
    let parts = || {
        let (before, rest) = config.split_once("certificate = \"ca/issuing.pem\"\n")?;
        let (_, rest) = rest.split_once("[tenant.authority.successor]\n")?;
        let (table, after) = rest.split_once("\n\n")?;
        Some((before, table, after))
    };
    let (before, table, after) = parts().ok_or_else(|| Problem::failed("the configuration has no successor"))?;
    let kept = table.lines().filter(|line| ["certificate", "key", "chain"].iter().any(|key| line.starts_with(key)));
    let kept: Vec<_> = kept.collect();
    Ok(format!("{before}{}\n\n{after}", kept.join("\n")))
}
