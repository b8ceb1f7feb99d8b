//! The credentials of the server that takes some, made by its own commands, and the labels that take them.

use std::path::Path;
use std::process::Command;

use crate::clients::{Login, Way};
use crate::command::{self, DEFAULT_LIMIT};
use crate::config;
use crate::matrix::Problem;
use crate::server::Binary;

/// Labels by the way that they take. strongSwan and libest, which know no labels, come to the servers whose default label is
/// `http-basic`, `http-md5` or `http-approval`.
pub(crate) const LABELS: [(&str, &str); 10] = [
    ("http-basic", "authentication = \"http\"\nhttp_schemes = [\"basic\", \"code\"]\nwire = \"strongswan-5.9.8\""),
    (
        APPROVAL,
        "authentication = \"http\"\nhttp_schemes = [\"basic\"]\nwire = \"strongswan-5.9.8\"\nregistration = \"approval\"\n[tenant.label.approval]\nretry_after = \"1s\"",
    ),
    ("http-any", "authentication = \"http\"\nhttp_schemes = [\"basic\", \"digest\", \"bearer\"]"),
    ("http-digest", "authentication = \"http\"\nhttp_schemes = [\"digest\"]"),
    ("http-md5", "authentication = \"http\"\nhttp_schemes = [\"digest\"]\ndigest_algorithms = [\"MD5\", \"SHA-256\"]"),
    ("http-bearer", "authentication = \"http\"\nhttp_schemes = [\"bearer\"]"),
    ("http-code", "authentication = \"http\"\nhttp_schemes = [\"code\"]"),
    ("http-either", "authentication = \"certificate-or-http\""),
    ("http-both", "authentication = \"certificate-and-http\""),
    ("http-keygen", "authentication = \"http\"\n[tenant.label.key_generation]\nplaintext = true"),
];

/// Where an operator approves each request.
pub(crate) const APPROVAL: &str = "http-approval";

const USER: &str = "fleet";
/// In ASCII: Bouncy Castle sends other characters as ISO 8859-1.
const PASSWORD: &str = "pass:word";
/// An API token may be any text; one that the server makes would have to be read back.
const TOKEN: &str = "estd_0123456789abcdef";

/// The fleet's account.
pub(crate) const fn login(way: Way, label: &'static str) -> Login {
    Login { way, label, user: USER, password: PASSWORD }
}

/// The fleet's token.
pub(crate) const BEARER: Login = Login { way: Way::Bearer, label: "http-bearer", user: "", password: TOKEN };

/// Writes `credentials.toml`.
pub(crate) fn write(binary: &Binary, folder: &Path) -> Result<(), Problem> {
    let mut hash = Command::new(&binary.0);
    hash.args(["credential", "hash", "--user", USER, "--device", "SN-*", "--digest", "--digest-md5"]);
    let entry = command::run(&mut hash, format!("{PASSWORD}\n").as_bytes(), DEFAULT_LIMIT)?;
    let mut file = String::from_utf8_lossy(&entry.succeeded("estd credential hash")?).into_owned();
    let digest = command::openssl(["dgst", "-sha256", "-r"], TOKEN.as_bytes())?;
    let digest = String::from_utf8_lossy(&digest).split(' ').next().unwrap_or_default().to_owned();
    file.push_str(&format!("\n[[token]]\nname = \"fleet\"\nsha256 = \"{digest}\"\ndevices = [\"SN-*\"]\n"));
    config::private(&folder.join("credentials.toml"), file.as_bytes())
}
