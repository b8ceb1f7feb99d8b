//! `estd ca`: the authorities, their fingerprints, and revocation.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use estd_asn1::Certificate;

use super::{CliError, rollover, rollover_status, show};
use crate::access::{Actor, Grant, Operator, RevokeCertificates, Standing};
use crate::ca::CertificateAuthority;
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Authority, Config};
use crate::pki::revocation::RevocationReason;
use crate::ra::RegistrationAuthority;
use crate::server;
use crate::store::sled::{SledStore, StoreOptions};
use crate::store::{CertificateId, CertificateRecord, CertificateStatus, CertificateStore, StoreFault};

/// What `estd ca` can do.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show every authority: subject, validity, chain and the fingerprint of its root
    Show(Which),
    /// Print the SHA-256 of each root certificate, for people to compare (RFC 7030 section 4.1.1)
    Fingerprint(Which),
    /// Make the successor of an authority: keys, certificates, and those by which devices follow from one root to the other
    Rollover(rollover::Arguments),
    /// Show how far the rollover of each authority is, and how many devices are ready; also while the server runs
    Status(Which),
    /// Revoke a certificate: it can neither renew nor enroll from then on; the server must not be running
    Revoke(Revoke),
    /// Lift the hold on a certificate; the server must not be running
    Release(Release),
}

/// Whose authorities.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// The configuration file
    #[arg(long)]
    config: PathBuf,
}

/// What `estd ca revoke` is told.
#[derive(Debug, clap::Args)]
pub(super) struct Revoke {
    #[command(flatten)]
    certificate: WhichCertificate,
    /// Why; certificateHold can be lifted by `estd ca release`
    #[arg(long, value_parser = reasons(), default_value = "unspecified")]
    reason: RevocationReason,
}

/// What `estd ca release` is told.
#[derive(Debug, clap::Args)]
pub(super) struct Release {
    #[command(flatten)]
    certificate: WhichCertificate,
}

/// Which certificate.
#[derive(Debug, clap::Args)]
struct WhichCertificate {
    /// The configuration file
    #[arg(long)]
    config: PathBuf,
    /// The serial number in hexadecimal, as openssl shows it
    #[arg(long, value_name = "HEX")]
    serial: String,
    /// The authority that issued it; needed when there are several
    #[arg(long, value_name = "TENANT/NAME")]
    authority: Option<String>,
}

/// The reasons of RFC 5280 section 5.3.1, by their names.
fn reasons() -> impl TypedValueParser<Value = RevocationReason> {
    PossibleValuesParser::new(RevocationReason::ALL.map(RevocationReason::as_str))
        .try_map(|name| name.parse::<RevocationReason>())
}

pub(super) fn run(command: &Command, out: &mut dyn Write) -> Result<(), CliError> {
    match command {
        Command::Show(which) => show(&load(&which.config)?, out),
        Command::Fingerprint(which) => fingerprint(&load(&which.config)?, out),
        Command::Rollover(arguments) => rollover::run(arguments, out),
        Command::Status(which) => rollover_status::show(&load(&which.config)?, out),
        Command::Revoke(arguments) => revoke(arguments, out),
        Command::Release(arguments) => release(arguments, out),
    }
}

pub(super) fn load(config: &Path) -> Result<Config, CliError> {
    Ok(Config::load(config, SystemClock.now())?)
}

fn show(config: &Config, out: &mut dyn Write) -> Result<(), CliError> {
    for authority in &config.authorities {
        writeln!(out, "{}", authority.path())?;
        for ca in authority.all() {
            show_authority(ca, out)?;
        }
    }
    Ok(())
}

pub(super) fn show_authority(ca: &CertificateAuthority, out: &mut dyn Write) -> Result<(), CliError> {
    for certificate in ca.path() {
        show_certificate(certificate, out)?;
    }
    writeln!(out, "  root SHA-256 {}", show::fingerprint(&ca.root_fingerprint()))?;
    Ok(())
}

fn show_certificate(certificate: &Certificate, out: &mut dyn Write) -> Result<(), CliError> {
    let validity = certificate.validity();
    writeln!(out, "  {}", certificate.subject())?;
    writeln!(out, "    serial {}", show::serial(certificate.serial()))?;
    writeln!(out, "    valid {} to {}", show::time(validity.not_before), show::time(validity.not_after))?;
    Ok(())
}

fn fingerprint(config: &Config, out: &mut dyn Write) -> Result<(), CliError> {
    for authority in &config.authorities {
        for ca in authority.all() {
            writeln!(out, "{}  {}", show::fingerprint(&ca.root_fingerprint()), authority.path())?;
        }
    }
    Ok(())
}

fn revoke(arguments: &Revoke, out: &mut dyn Write) -> Result<(), CliError> {
    let found = Found::open(&arguments.certificate)?;
    let Found { serial, record, .. } = &found;
    if let CertificateStatus::Revoked(revocation) = found.store.status(&record.id)?
        && RevocationReason::from_code(revocation.reason)
            .is_none_or(|stands| stands.revised(arguments.reason).is_none())
    {
        writeln!(out, "{serial} was revoked already, at {}", show::time(revocation.at))?;
        return Ok(());
    }
    found.ra.revoke_certificate(&found.grant()?, &record.id, arguments.reason)?.wait()?;
    found.store.close();
    writeln!(out, "revoked {serial} of device {}", record.device.escape_debug())?;
    Ok(())
}

fn release(arguments: &Release, out: &mut dyn Write) -> Result<(), CliError> {
    let found = Found::open(&arguments.certificate)?;
    let Found { serial, record, .. } = &found;
    found.ra.release_hold(&found.grant()?, &record.id)?.wait()?;
    found.store.close();
    writeln!(out, "{serial} of device {} is not on hold", record.device.escape_debug())?;
    Ok(())
}

/// A certificate that a command is about, and what it takes to change its standing.
struct Found {
    store: Arc<SledStore>,
    ra: RegistrationAuthority,
    serial: String,
    record: Arc<CertificateRecord>,
}

impl Found {
    fn open(which: &WhichCertificate) -> Result<Self, CliError> {
        let config = load(&which.config)?;
        let authority = chosen(&config, which.authority.as_deref())?;
        let serial = parse_serial(&which.serial).ok_or_else(|| CliError::Argument {
            what: "--serial",
            given: which.serial.clone(),
            expected: "1 to 20 octets in hexadecimal".to_owned(),
        })?;
        let folder = &config.server.data_dir;
        let store = SledStore::open(folder, StoreOptions::default());
        let store = Arc::new(store.map_err(|error| CliError::opening(error, folder))?);
        let record = issued(authority, &serial, &store)?;
        let serial = show::serial(&serial);
        let record = record
            .ok_or_else(|| CliError::UnknownCertificate { authority: authority.path(), serial: serial.clone() })?;
        let ra = server::authority_over(&config, Arc::clone(&store) as Arc<dyn CertificateStore>)?;
        Ok(Self { store, ra, serial, record })
    }

    /// Whoever may read the keys of the authorities may revoke.
    fn grant(&self) -> Result<Grant<RevokeCertificates>, CliError> {
        let actor = Actor {
            name: "command line".to_owned(),
            credential: None,
            source: String::new(),
            request_id: String::new(),
        };
        Ok(Operator::proven(actor, Standing::admin()).within(&self.record.tenant)?)
    }
}

/// The certificate with this serial number of the CA that signs now, or of the other one while a successor takes its place.
fn issued(
    authority: &Authority,
    serial: &[u8],
    store: &SledStore,
) -> Result<Option<Arc<CertificateRecord>>, StoreFault> {
    for ca in authority.all() {
        let id = CertificateId { issuer: ca.issuer_id(), serial: serial.to_vec() };
        if let Some(record) = store.certificate(&id)? {
            return Ok(Some(record));
        }
    }
    Ok(None)
}

/// The authority that is named, or the only one.
pub(super) fn chosen<'c>(config: &'c Config, named: Option<&str>) -> Result<&'c Authority, CliError> {
    let known = || config.authorities.iter().map(Authority::path).collect::<Vec<_>>().join(", ");
    let argument = |given: &str| CliError::Argument {
        what: "--authority",
        given: given.to_owned(),
        expected: format!("one of {}", known()),
    };
    match (named, config.authorities.as_slice()) {
        (Some(name), all) => all.iter().find(|authority| authority.path() == name).ok_or_else(|| argument(name)),
        (None, [only]) => Ok(only),
        (None, _) => Err(argument("")),
    }
}

/// Content octets of a serial number from hexadecimal, with or without colons, `0x` and leading zeros.
fn parse_serial(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .strip_prefix("0x")
        .unwrap_or(text)
        .chars()
        .filter(|character| *character != ':')
        .map(|character| character.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let padded = if digits.len().is_multiple_of(2) { digits } else { [vec![0], digits].concat() };
    let (pairs, _) = padded.as_chunks::<2>();
    let octets = pairs.iter().map(|[high, low]| high << 4 | low).skip_while(|octet| *octet == 0);
    let mut octets: Vec<u8> = octets.collect();
    // X.690 §8.3: a positive INTEGER whose first bit is set gets a leading zero octet.
    if octets.first().is_some_and(|first| first & 0x80 != 0) {
        octets.insert(0, 0);
    }
    (1..=20).contains(&octets.len()).then_some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_numbers_are_read_in_every_usual_spelling() {
        assert_eq!(parse_serial("0A:ff"), Some(vec![0x0a, 0xff]));
        assert_eq!(parse_serial("0x9a01"), Some(vec![0, 0x9a, 1]));
        assert_eq!(parse_serial("0001"), Some(vec![1]));
        assert_eq!(parse_serial("123"), Some(vec![1, 0x23]));
        for wrong in ["", "0", "xyz", "-1", &"11".repeat(21)] {
            assert_eq!(parse_serial(wrong), None, "{wrong}");
        }
    }
}
