//! `estd credential`: entries for a tenant's credentials file, from passwords that are asked for and secrets that are made.

use std::io::{self, IsTerminal as _, Write};

use chrono::DateTime;
use zeroize::Zeroizing;

use super::CliError;
use crate::clock::{Entropy as _, SystemEntropy};
use crate::credential::declared::DEFAULT_REALM;
use crate::credential::password::{PasswordHash, SALT_OCTETS};
use crate::credential::{DeviceScope, digest, secret};
use crate::est::DigestAlgorithm;
use crate::pki::digest::hex;

/// Most codes of one call.
const MAX_CODES: u32 = 100_000;

/// What `estd credential` can do. Each prints entries for the file that `credentials` of a tenant names; secrets that
/// are made go to standard error, once, so that the entries can be appended with `>>`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Hash a password, read from standard input or asked for, for a user of Basic or Digest
    Hash(Hash),
    /// Make one-time enrollment codes
    Code(Code),
    /// Make an API token
    Token(Token),
}

/// What `estd credential hash` is told.
#[derive(Debug, clap::Args)]
pub(super) struct Hash {
    /// The user name; leave it out for a secret without a name
    #[arg(long, default_value = "")]
    user: String,
    /// A device it speaks for, or a pattern such as "SN-7*"; may be repeated
    #[arg(long = "device", required = true, value_name = "ID")]
    devices: Vec<String>,
    /// Also what Digest needs; whoever reads it can log in with it
    #[arg(long)]
    digest: bool,
    /// Also what Digest with MD5 needs, for old clients
    #[arg(long)]
    digest_md5: bool,
    /// The realm of the credentials file, which Digest binds passwords to
    #[arg(long, default_value = DEFAULT_REALM)]
    realm: String,
}

/// What `estd credential code` is told.
#[derive(Debug, clap::Args)]
pub(super) struct Code {
    /// A device, or a pattern such as "SN-7*"; each gets codes of its own
    #[arg(long = "device", required = true, value_name = "ID")]
    devices: Vec<String>,
    /// How many codes each gets
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_CODES)))]
    count: u32,
    /// How many certificates a code is good for
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    uses: u32,
    /// Until when, such as 2027-01-31T00:00:00Z
    #[arg(long, value_name = "TIME")]
    not_after: Option<String>,
}

/// What `estd credential token` is told.
#[derive(Debug, clap::Args)]
pub(super) struct Token {
    /// A name for it
    #[arg(long)]
    name: String,
    /// A device it speaks for, or a pattern such as "SN-7*"; may be repeated
    #[arg(long = "device", required = true, value_name = "ID")]
    devices: Vec<String>,
    /// Until when, such as 2027-01-31T00:00:00Z
    #[arg(long, value_name = "TIME")]
    not_after: Option<String>,
}

pub(super) fn run(command: &Command, out: &mut dyn Write) -> Result<(), CliError> {
    let mut told = io::stderr();
    match command {
        Command::Hash(arguments) => hash(arguments, &password()?, out),
        Command::Code(arguments) => code(arguments, out, &mut told),
        Command::Token(arguments) => token(arguments, out, &mut told),
    }
}

fn hash(arguments: &Hash, password: &str, out: &mut dyn Write) -> Result<(), CliError> {
    let Hash { user, devices, realm, .. } = arguments;
    if user.contains(':') || user.chars().any(char::is_control) {
        return Err(argument("--user", user, "a name without ':' and control characters"));
    }
    let devices = scope(devices)?;
    let mut salt = [0; SALT_OCTETS];
    SystemEntropy.fill(&mut salt)?;
    let hash = PasswordHash::make(password, &salt).map_err(|error| argument("the password", "", &error.to_string()))?;
    writeln!(out, "\n[[user]]\nname = {}\npassword = {}", quoted(user), quoted(&hash))?;
    let keys = [
        (arguments.digest, "digest_sha256", DigestAlgorithm::Sha256),
        (arguments.digest_md5, "digest_md5", DigestAlgorithm::Md5),
    ];
    for (_, key, algorithm) in keys.into_iter().filter(|(wanted, ..)| *wanted) {
        writeln!(out, "{key} = {}", quoted(&digest::ha1(algorithm, user, realm, password)))?;
    }
    writeln!(out, "devices = {devices}")?;
    Ok(())
}

fn code(arguments: &Code, out: &mut dyn Write, told: &mut dyn Write) -> Result<(), CliError> {
    let limit = not_after(arguments.not_after.as_deref())?;
    for device in &arguments.devices {
        let devices = scope(std::slice::from_ref(device))?;
        for _ in 0..arguments.count {
            let mut random = Zeroizing::new([0; secret::CODE_CHARACTERS]);
            SystemEntropy.fill(random.as_mut())?;
            let code = secret::code(&random);
            writeln!(told, "{}  {}", *code, device.escape_debug())?;
            writeln!(out, "\n[[code]]\nsha256 = \"{}\"\ndevices = {devices}", hex(&secret::hash(&code)))?;
            if arguments.uses > 1 {
                writeln!(out, "uses = {}", arguments.uses)?;
            }
            write!(out, "{limit}")?;
        }
    }
    Ok(())
}

fn token(arguments: &Token, out: &mut dyn Write, told: &mut dyn Write) -> Result<(), CliError> {
    let (devices, limit) = (scope(&arguments.devices)?, not_after(arguments.not_after.as_deref())?);
    let mut random = Zeroizing::new([0; secret::TOKEN_OCTETS]);
    SystemEntropy.fill(random.as_mut())?;
    let token = secret::token(&random);
    writeln!(told, "{}", *token)?;
    let (name, sha256) = (quoted(&arguments.name), hex(&secret::hash(&token)));
    write!(out, "\n[[token]]\nname = {name}\nsha256 = \"{sha256}\"\ndevices = {devices}\n{limit}")?;
    Ok(())
}

/// From a terminal without echo, twice; from anything else its first line.
fn password() -> Result<Zeroizing<String>, CliError> {
    let ask = |prompt| rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(input);
    let password = if io::stdin().is_terminal() {
        let password = ask("Password: ")?;
        if ask("Once more: ")? != password {
            return Err(argument("the password", "", "the same one twice"));
        }
        password
    } else {
        let mut line = Zeroizing::new(String::new());
        io::stdin().read_line(&mut line).map_err(input)?;
        Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned())
    };
    if password.is_empty() { Err(argument("the password", "", "one that is not empty")) } else { Ok(password) }
}

fn input(source: io::Error) -> CliError {
    CliError::Setup { what: "standard input", source }
}

/// The list of a TOML file.
fn scope(devices: &[String]) -> Result<String, CliError> {
    DeviceScope::parse(devices).map_err(|error| argument("--device", &devices.join(", "), &error.to_string()))?;
    let quoted: Vec<_> = devices.iter().map(|device| quoted(device)).collect();
    Ok(format!("[{}]", quoted.join(", ")))
}

/// The line of a TOML file, or none.
fn not_after(time: Option<&str>) -> Result<String, CliError> {
    let Some(time) = time else { return Ok(String::new()) };
    if DateTime::parse_from_rfc3339(time).is_err() {
        return Err(argument("--not-after", time, "a time such as 2027-01-31T00:00:00Z"));
    }
    Ok(format!("not_after = {}\n", quoted(time)))
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn argument(what: &'static str, given: &str, expected: &str) -> CliError {
    CliError::Argument { what, given: given.to_owned(), expected: expected.to_owned() }
}
