//! `estd demo`: the whole thing in one command, from keys to an enrolled device.

mod client;
mod population;

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::folder::{Blueprint, Folder};
use super::logging::Log;
use super::signals::Signals;
use super::{CliError, files, serve, show};
use crate::clock::{Clock as _, SystemClock};
use crate::config::{CertificateSource, Config, LogFormat, LogSettings, server_name};
use crate::server::{Running, Server, ServerError};
use estd_asn1::Certificate;

pub use client::EnrollmentError;
use population::Device;

/// What `estd demo` is told.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The folder for keys, certificates and data; used again when it exists
    #[arg(long, default_value = "estd-demo")]
    dir: PathBuf,
    /// The address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// End after the enrollment
    #[arg(long)]
    once: bool,
    /// Log level or filter
    #[arg(long, env = "ESTD_LOG", value_name = "LEVEL", default_value = "warn")]
    log: String,
}

pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), CliError> {
    Log::start(&LogSettings { format: LogFormat::Text, level: "warn".to_owned() }, Some(&arguments.log))?;
    let folder = Folder::at(&arguments.dir);
    let made = make(&folder, arguments)?;
    let word = if made { "made" } else { "using" };
    writeln!(out, "{word} {}: root, issuing CA, a manufacturer's CA, two devices", arguments.dir.display())?;
    let config = config(&folder, arguments)?;
    let runtime = serve::runtime()?;
    let outcome = runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let running = Server::start(config).await.map_err(told)?;
        let address = reachable(&running, arguments.listen);
        writeln!(out, "serving https://{address}/.well-known/est (status: http://{}/)", running.status_address())?;
        let device = Device::first(&arguments.dir);
        let issued = client::enroll(address, &folder.root(), &device).await?;
        show_enrollment(&device, &issued, out)?;
        if !arguments.once {
            show_lines(address, &folder.root(), &Device::second(&arguments.dir), out)?;
            out.flush()?;
            signals.stop().await;
        }
        serve::stop(running, &mut signals).await
    });
    runtime.shutdown_background();
    outcome
}

/// An address in use is the likeliest trouble here, and easily helped.
fn told(error: ServerError) -> CliError {
    if matches!(error, ServerError::Bind { .. }) {
        return CliError::DemoAddress { source: error };
    }
    error.into()
}

/// Makes the folder unless it is there. The configuration is written last: with it, the folder is complete.
fn make(folder: &Folder, arguments: &Arguments) -> Result<bool, CliError> {
    if folder.config().exists() {
        return Ok(false);
    }
    if !files::is_vacant(&arguments.dir)? {
        return Err(CliError::Occupied { path: arguments.dir.clone() });
    }
    let blueprint = Blueprint {
        tenant: "demo",
        label: "devices",
        names: &["localhost".to_owned(), "127.0.0.1".to_owned()],
        listen: "127.0.0.1:8443",
        data_dir: "data",
        status_listen: Some("127.0.0.1:0"),
    };
    folder.make_authorities(&blueprint)?;
    population::make(&arguments.dir, &folder.manufacturers())?;
    folder.write_config(&blueprint)?;
    Ok(true)
}

/// The folder's configuration, listening where the command line says.
fn config(folder: &Folder, arguments: &Arguments) -> Result<Config, CliError> {
    let mut config = Config::load(&folder.config(), SystemClock.now())?;
    config.server.listen = vec![arguments.listen];
    let ip = arguments.listen.ip();
    if let CertificateSource::Own { names, .. } = &mut config.server.tls.certificate
        && let Ok(name) = server_name(&ip.to_string())
        && !ip.is_unspecified()
        && !names.contains(&name)
    {
        names.push(name);
    }
    Ok(config)
}

/// Where this machine reaches the server: one that listens everywhere is also on the loopback interface.
fn reachable(running: &Running, listen: SocketAddr) -> SocketAddr {
    let address = running.est_addresses().first().copied().unwrap_or(listen);
    if address.ip().is_unspecified() { SocketAddr::from(([127, 0, 0, 1], address.port())) } else { address }
}

fn show_enrollment(device: &Device, issued: &Certificate, out: &mut dyn Write) -> Result<(), CliError> {
    let validity = issued.validity();
    writeln!(out, "\n{} enrolled over mutual TLS with its birth certificate and got", device.name())?;
    writeln!(out, "  subject  {}", issued.subject())?;
    writeln!(out, "  issuer   {}", issued.issuer())?;
    writeln!(out, "  serial   {}", show::serial(issued.serial()))?;
    writeln!(out, "  valid    {} to {}", show::time(validity.not_before), show::time(validity.not_after))?;
    writeln!(out, "  file     {}", device.operational().display())?;
    Ok(())
}

/// The lines that enroll another device, ready to be pasted into a shell.
fn show_lines(address: SocketAddr, root: &Path, device: &Device, out: &mut dyn Write) -> Result<(), CliError> {
    let word = |path: PathBuf| show::shell_word(&path);
    let (root, birth, birth_key) = (word(root.to_owned()), word(device.birth()), word(device.birth_key()));
    let (key, request, operational) =
        (word(device.operational_key()), word(device.request()), word(device.operational()));
    write!(
        out,
        "\nenroll {name} by hand:\n\n\
         openssl ecparam -name prime256v1 -genkey -noout -out {key}\n\
         openssl req -new -key {key} -subj / -outform DER | openssl base64 -out {request}\n\
         curl -sS --fail-with-body --cacert {root} --cert {birth} --key {birth_key} \\\n  \
         -H 'Content-Type: application/pkcs10' --data-binary @{request} \\\n  \
         https://{address}/.well-known/est/simpleenroll | openssl base64 -d -A |\n  \
         openssl pkcs7 -inform DER -print_certs -out {operational}\n\
         openssl x509 -in {operational} -noout -subject -issuer -serial -dates\n\n\
         serving until Ctrl-C\n",
        name = device.name(),
    )?;
    Ok(())
}
