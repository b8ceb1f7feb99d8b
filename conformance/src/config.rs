//! The configurations the server is started with.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::command::{read, write};
use crate::credentials::LABELS;
use crate::matrix::Problem;
use crate::pki::Pki;
use crate::population::AUTHORITIES;
use crate::protection;

/// The profiles that every CA key type issues by.
pub(crate) const PROFILES: [&str; 3] = ["device", "everything", "minimal"];

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    /// Its certificate comes from its own CA; answers in lines; usual limits.
    Own,
    /// Its certificate comes from another CA; the default label answers in one line; short time limits.
    Foreign,
    /// As the first, but some labels take credentials, and the one named is the default.
    Credentials(&'static str),
    /// As the first, but the default label makes keys: for clients that know no labels.
    KeyGeneration,
}

/// Writes configuration, CAs and anchors to `folder` and returns the configuration's path.
pub(crate) fn write_folder(folder: &Path, pki: &Pki, variant: Variant) -> Result<PathBuf, Problem> {
    for part in ["ca", "manufacturers", "tls", "tenants.d"] {
        std::fs::create_dir_all(folder.join(part))?;
    }
    let mut authorities = vec!["single".to_owned(), "short".to_owned(), "globex-root".into(), "globex-issuing".into()];
    authorities
        .extend(AUTHORITIES.iter().flat_map(|k| [format!("root-{}", k.name()), format!("issuing-{}", k.name())]));
    for name in &authorities {
        write(&folder.join("ca").join(format!("{name}.pem")), read(&pki.identity(name).certificate)?)?;
        if !name.contains("root") {
            private(&folder.join("ca").join(format!("{name}.key")), &read(&pki.identity(name).key)?)?;
        }
    }
    let makers = ["maker", "maker-root-rsa", "maker-expired"].map(|name| read(&pki.identity(name).certificate));
    let makers = makers.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
    write(&folder.join("manufacturers/acme.pem"), makers)?;
    write(&folder.join("manufacturers/globex.pem"), read(&pki.identity("globex-maker").certificate)?)?;
    write(&folder.join("tls/server.pem"), read(&pki.identity("web").chain)?)?;
    private(&folder.join("tls/server.key"), &read(&pki.identity("web").key)?)?;
    write(&folder.join("tenants.d/globex.toml"), GLOBEX)?;
    protection::write_folder(folder, pki)?;
    let path = folder.join("config.toml");
    write(&path, text(variant))?;
    Ok(path)
}

/// A file only its owner can read.
pub(crate) fn private(path: &Path, content: &[u8]) -> Result<(), Problem> {
    use std::os::unix::fs::PermissionsExt as _;
    write(path, content)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(())
}

/// The whole configuration of a variant.
pub(crate) fn text(variant: Variant) -> String {
    let (default_label, tls, limits) = match variant {
        Variant::Own | Variant::KeyGeneration | Variant::Credentials(_) => {
            let default_label = if variant == Variant::KeyGeneration { "keygen" } else { "devices" };
            (
                default_label,
                "issued_by = \"acme/p256\"\nnames = [\"localhost\", \"127.0.0.1\"]",
                "max_connections = 200",
            )
        }
        Variant::Foreign => (
            "single-line",
            "certificate = \"tls/server.pem\"\nkey = \"tls/server.key\"",
            "handshake_timeout = \"2s\"\nheader_timeout = \"2s\"\nbody_timeout = \"2s\"\nidle_timeout = \"3s\"\n\
             max_connections_per_address = 40\nmax_rsa_generations = 1",
        ),
    };
    let mut text = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nstatus_listen = \"127.0.0.1:0\"\ndata_dir = \"data\"\n\
         default_label = \"{default_label}\"\ntenants_dir = \"tenants.d\"\ndrain = \"2s\"\n\n\
         [server.tls]\n{tls}\n\n[limits]\n{limits}\n\n[[tenant]]\nname = \"acme\"\n\n"
    );
    for kind in AUTHORITIES {
        authority(&mut text, kind.name(), &format!("issuing-{}", kind.name()), Some(&format!("root-{}", kind.name())));
    }
    authority(&mut text, "single", "single", None);
    authority(&mut text, "short", "short", None);
    text.push_str(PROFILE_TEXT);
    label(&mut text, "devices", "p256", "device", "");
    for kind in AUTHORITIES {
        for profile in PROFILES {
            label(&mut text, &format!("{}-{profile}", kind.name()), kind.name(), profile, "");
        }
    }
    label(&mut text, "single-ca", "single", "device", "");
    label(&mut text, "short-ca", "short", "device", "");
    label(&mut text, "no-reuse", "p256", "no-reuse", "");
    label(&mut text, "replace", "p256", "replace", "");
    label(&mut text, "far", "p256", "far", "");
    label(&mut text, "hardware", "p256", "hardware", "identity = \"hardware-module-name\"");
    label(&mut text, "single-line", "p256", "device", "wire = \"strongswan-5.9.8\"");
    label(&mut text, "shape-libest", "p256", "device", "wire = \"libest\"");
    label(&mut text, "shape-aziot", "p256", "device", "wire = \"aziot\"");
    label(&mut text, "strict", "p256", "device", "strict = true");
    label(&mut text, "linked", "p256", "device", "identity_linking = \"required\"");
    label(&mut text, "attrs-p384", "p256", "only-p384", "identity_linking = \"required\"");
    label(&mut text, "attrs-rsa3072", "p256", "only-rsa3072", "csrattrs = \"both\"");
    label(&mut text, "registrars", "p256", "registrar", "[tenant.label.ra]\nclients = [\"RA-1\"]");
    label(
        &mut text,
        "served",
        "p256",
        "device",
        "change_subject_name = \"profile\"\n[tenant.label.ra]\nclients = [\"RA-1\"]\ndevices = [\"EE-*\"]",
    );
    label(
        &mut text,
        "cmc",
        "p256",
        "device",
        "full_cmc = true\n[tenant.label.ra]\nclients = [\"RA-1\"]\ndevices = [\"EE-*\"]",
    );
    label(&mut text, "cmc-approval", "p256", "device", "full_cmc = true\nchange_subject_name = \"approval\"");
    label(
        &mut text,
        "rationed",
        "p256",
        "device",
        "[tenant.label.limits]\nenrollments_per_second = 0.01\nenrollment_burst = 2",
    );
    label(&mut text, "closed", "p256", "device", "birth_anchors = []");
    if let Variant::Credentials(default) = variant {
        for (name, more) in LABELS {
            label(&mut text, name, "p256", "device", more);
        }
        text = text.replacen("default_label = \"devices\"", &format!("default_label = \"{default}\""), 1).replacen(
            "name = \"acme\"\n",
            "name = \"acme\"\ncredentials = \"credentials.toml\"\n",
            1,
        );
    }
    for (name, table) in protection::tables() {
        label(&mut text, name, "p256", "device", &table);
    }
    text
}

fn authority(text: &mut String, name: &str, file: &str, root: Option<&str>) {
    let chain = root.map(|root| format!("\"ca/{root}.pem\"")).unwrap_or_default();
    // Writing to a String cannot fail, here and below.
    let _ = write!(
        text,
        "[[tenant.authority]]\nname = \"{name}\"\ncertificate = \"ca/{file}.pem\"\nkey = \"ca/{file}.key\"\n\
         chain = [{chain}]\n\n"
    );
}

fn label(text: &mut String, name: &str, authority: &str, profile: &str, more: &str) {
    let anchors = if more.contains("birth_anchors") { "" } else { "birth_anchors = [\"manufacturers/acme.pem\"]\n" };
    let identity = if more.contains("identity =") { "" } else { "identity = \"subject-serial-number\"\n" };
    let _ = write!(
        text,
        "[[tenant.label]]\nname = \"{name}\"\nauthority = \"{authority}\"\nprofile = \"{profile}\"\n\
         {anchors}{identity}{more}\n\n"
    );
}

const PROFILE_TEXT: &str = r#"
[[tenant.profile]]
name = "device"
validity = "398d"
subject = ["CN={device_id}", "O=Acme"]

[[tenant.profile]]
name = "minimal"
validity = "30d"
subject = ["CN={device_id}"]
ext_key_usage = []

[[tenant.profile]]
name = "everything"
validity = "90d"
backdate = "2h"
key_usage = ["digitalSignature"]
ext_key_usage = ["clientAuth", "serverAuth", "1.3.6.1.4.1.99999.9"]
subject = ["C=NL", "O=Acme", "OU=Fleet", "CN={device_id}", "serialNumber={subject.serialNumber}"]
subject_alt_names = ["uri:https://devices.acme.example/{device_id}", "dns:{device_id}.devices.acme.example", "email:fleet@acme.example", "ip:192.0.2.7"]
optional_subject_alt_names = ["dns:{device_id}.lab.acme.example"]
crl_urls = ["http://pki.acme.example/issuing.crl"]
ocsp_urls = ["http://ocsp.acme.example/"]
ca_issuer_urls = ["http://pki.acme.example/issuing.cer"]
policies = ["1.3.6.1.4.1.99999.1"]

[[tenant.profile.extension]]
oid = "1.3.6.1.4.1.99999.2"
critical = false
value = "0403010203"

[[tenant.profile]]
name = "only-p384"
validity = "30d"
keys = ["p384"]
subject = ["CN={device_id}", "O=Acme"]

[[tenant.profile]]
name = "only-rsa3072"
validity = "30d"
keys = ["rsa"]
rsa_min_bits = 3072
subject = ["CN={device_id}", "O=Acme"]
subject_alt_names = ["uri:urn:acme:{device_id}"]

[[tenant.profile]]
name = "no-reuse"
validity = "30d"
subject = ["CN={device_id}", "O=Acme"]
allow_key_reuse = false

[[tenant.profile]]
name = "replace"
validity = "30d"
subject = ["CN={device_id}", "O=Acme"]
request_names = "replace"

[[tenant.profile]]
name = "registrar"
validity = "90d"
subject = ["CN={device_id}", "O=Acme"]
ext_key_usage = ["clientAuth", "cmcRA"]
ra = true

[[tenant.profile]]
name = "far"
validity = "10950d"
subject = ["CN={device_id}", "O=Acme"]

[[tenant.profile]]
name = "hardware"
validity = "398d"
subject = ["CN={device_id}", "O=Acme"]
subject_alt_names = ["hardware-module-name"]

"#;

const GLOBEX: &str = r#"name = "globex"

[[authority]]
name = "issuing"
certificate = "ca/globex-issuing.pem"
key = "ca/globex-issuing.key"
chain = ["ca/globex-root.pem"]

[[profile]]
name = "device"
validity = "90d"
subject = ["CN={device_id}", "O=Globex"]

[[label]]
name = "globex"
authority = "issuing"
profile = "device"
birth_anchors = ["manufacturers/globex.pem"]
identity = "subject-serial-number"
"#;
