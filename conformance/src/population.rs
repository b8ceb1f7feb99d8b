//! Who takes part in the tests: the CAs, the manufacturers, the devices that may come and those that may not.

use crate::matrix::Problem;
use crate::pki::{KeyKind, Pki, Spec};
use crate::protection;

/// The issuing CAs of tenant acme, by key.
pub(crate) const AUTHORITIES: [KeyKind; 4] = [KeyKind::P256, KeyKind::P384, KeyKind::Rsa2048, KeyKind::Ed25519];

/// Devices that enroll, with the serialNumber their birth certificate carries.
pub(crate) const DEVICES: [Device; 9] = [
    Device::new("birth-p256", "SN-P256", KeyKind::P256, "birth", "maker"),
    Device::new("birth-p384", "SN-P384", KeyKind::P384, "birth", "maker"),
    Device::new("birth-p521", "SN-P521", KeyKind::P521, "birth_client", "maker"),
    Device::new("birth-ed25519", "SN-ED25519", KeyKind::Ed25519, "birth", "maker"),
    Device::new("birth-rsa2048", "SN-RSA2048", KeyKind::Rsa2048, "birth", "maker"),
    Device::new("birth-rsa4096", "SN-RSA4096", KeyKind::Rsa4096, "birth_client", "maker-intermediate"),
    Device::new("birth-other", "SN-OTHER", KeyKind::P256, "birth_client", "maker-intermediate"),
    Device::new("birth-registrar", "RA-1", KeyKind::P256, "birth_ra", "maker"),
    Device::new("birth-hardware", "HW-0001", KeyKind::P256, "birth_hardware", "maker"),
];

/// A device with a birth certificate.
pub(crate) struct Device {
    pub(crate) name: &'static str,
    pub(crate) id: &'static str,
    pub(crate) key: KeyKind,
    extensions: &'static str,
    maker: &'static str,
}

impl Device {
    const fn new(
        name: &'static str,
        id: &'static str,
        key: KeyKind,
        extensions: &'static str,
        maker: &'static str,
    ) -> Self {
        Self { name, id, key, extensions, maker }
    }
}

/// Birth certificates that enroll nobody: name, what is wrong, and the codes an answer may carry.
pub(crate) const UNWELCOME: [(&str, &[&str]); 12] = [
    ("bad-expired", &["not_in_validity"]),
    ("bad-not-yet-valid", &["not_in_validity"]),
    ("bad-server-only", &["certificate_usage"]),
    ("bad-ca-leaf", &["certificate_usage"]),
    ("bad-cert-sign", &["certificate_usage"]),
    ("bad-stranger", &["untrusted"]),
    ("bad-self-signed", &["untrusted", "certificate_usage"]),
    ("bad-under-a-leaf", &["untrusted"]),
    ("bad-expired-anchor", &["not_in_validity", "untrusted"]),
    ("bad-deep-chain", &["untrusted"]),
    ("bad-other-tenant", &["cross_tenant", "untrusted"]),
    ("bad-sha1", &["untrusted"]),
];

const FAR: &str = "99991231235959Z";

/// Makes everybody.
pub(crate) fn create(pki: &Pki) -> Result<(), Problem> {
    authorities(pki)?;
    makers(pki)?;
    for device in &DEVICES {
        let subject = format!("/O=Maker/CN=Gadget/serialNumber={}", device.id);
        let spec = Spec::new(device.name, &subject, device.key, device.extensions).valid("20240101000000Z", FAR);
        pki.issue(device.maker, &spec)?;
    }
    unwelcome(pki)?;
    protection::create(pki)?;
    web(pki)
}

fn authorities(pki: &Pki) -> Result<(), Problem> {
    for kind in AUTHORITIES {
        let (root, issuing) = (format!("root-{}", kind.name()), format!("issuing-{}", kind.name()));
        let name = format!("/O=Acme/CN=Acme Root {}", kind.name());
        pki.self_signed(&Spec::new(&root, &name, kind, "root").valid("20240101000000Z", FAR))?;
        let name = format!("/O=Acme/CN=Acme Issuing {}", kind.name());
        pki.issue(&root, &Spec::new(&issuing, &name, kind, "issuing").valid("20240101000000Z", "20990101000000Z"))?;
    }
    pki.self_signed(&Spec::new("single", "/O=Acme/CN=Acme Single", KeyKind::P256, "root"))?;
    // Ends before a certificate of the default profile would.
    let ends = soon()?;
    pki.self_signed(
        &Spec::new("short", "/O=Acme/CN=Acme Short", KeyKind::P256, "root").valid("20240101000000Z", &ends),
    )?;
    pki.self_signed(&Spec::new("globex-root", "/O=Globex/CN=Globex Root", KeyKind::P256, "root"))?;
    pki.issue("globex-root", &Spec::new("globex-issuing", "/O=Globex/CN=Globex Issuing", KeyKind::P256, "issuing"))?;
    Ok(())
}

fn makers(pki: &Pki) -> Result<(), Problem> {
    let root = |name: &str, subject: &str, key| {
        pki.self_signed(&Spec::new(name, subject, key, "root").valid("20200101000000Z", FAR))
    };
    root("maker", "/O=Maker/CN=Maker Birth CA", KeyKind::P256)?;
    root("maker-root-rsa", "/O=Maker/CN=Maker RSA Root", KeyKind::Rsa3072)?;
    pki.issue(
        "maker-root-rsa",
        &Spec::new("maker-intermediate", "/O=Maker/CN=Maker Line 7", KeyKind::Rsa2048, "intermediate"),
    )?;
    root("globex-maker", "/O=Globex Maker/CN=Globex Maker", KeyKind::P256)?;
    root("stranger", "/O=Stranger/CN=Stranger", KeyKind::P256)?;
    pki.self_signed(
        &Spec::new("maker-expired", "/O=Maker/CN=Maker Old CA", KeyKind::P256, "root")
            .valid("20100101000000Z", "20200101000000Z"),
    )?;
    pki.issue("maker", &Spec::new("maker-leaf", "/O=Maker/CN=Not a CA", KeyKind::P256, "not_a_ca"))?;
    let mut above = "maker".to_owned();
    for level in 1..=8 {
        let name = format!("maker-deep-{level}");
        let subject = format!("/O=Maker/CN=Level {level}");
        pki.issue(&above, &Spec::new(&name, &subject, KeyKind::P256, "intermediate"))?;
        above = name;
    }
    Ok(())
}

fn unwelcome(pki: &Pki) -> Result<(), Problem> {
    let birth = |issuer: &str, spec: Spec<'_>| {
        let subject = format!("/O=Maker/CN=Gadget/serialNumber={}", spec.name);
        pki.issue(issuer, &Spec { subject: &subject, ..spec })
    };
    let p256 = |name: &'static str, extensions: &'static str| Spec::new(name, "", KeyKind::P256, extensions);
    birth("maker", p256("bad-expired", "birth").valid("20200101000000Z", "20210101000000Z"))?;
    birth("maker", p256("bad-not-yet-valid", "birth").valid("20480101000000Z", "20490101000000Z"))?;
    birth("maker", p256("bad-server-only", "birth_server_only"))?;
    birth("maker", p256("bad-ca-leaf", "birth_ca"))?;
    birth("maker", p256("bad-cert-sign", "birth_cert_sign"))?;
    birth("stranger", p256("bad-stranger", "birth"))?;
    birth("maker-leaf", p256("bad-under-a-leaf", "birth"))?;
    birth("maker-expired", p256("bad-expired-anchor", "birth"))?;
    birth("maker-deep-8", p256("bad-deep-chain", "birth"))?;
    birth("globex-maker", p256("bad-other-tenant", "birth"))?;
    birth("maker", p256("bad-sha1", "birth").digest("sha1"))?;
    birth("maker", Spec::new("bad-rsa1024", "", KeyKind::Rsa1024, "birth"))?;
    pki.self_signed(&Spec::new("bad-self-signed", "/O=Maker/serialNumber=SN-P256", KeyKind::P256, "birth_client"))?;
    Ok(())
}

/// A server certificate from a CA that issues to no device.
fn web(pki: &Pki) -> Result<(), Problem> {
    pki.self_signed(&Spec::new("web-root", "/O=Web/CN=Web Root", KeyKind::P256, "root"))?;
    pki.issue("web-root", &Spec::new("web", "/CN=localhost", KeyKind::P256, "web"))?;
    pki.issue("web-root", &Spec::new("web-weak", "/CN=localhost", KeyKind::Rsa1024, "web"))?;
    Ok(())
}

/// Thirty days from now, in the form openssl takes.
fn soon() -> Result<String, Problem> {
    let mut date = std::process::Command::new("date");
    date.args(["-u", "-d", "+30 days", "+%Y%m%d%H%M%SZ"]);
    let out = crate::command::run(&mut date, &[], crate::command::DEFAULT_LIMIT)?.succeeded("date")?;
    Ok(String::from_utf8_lossy(&out).trim().to_owned())
}
