//! The test PKI, made by openssl alone.

use std::path::{Path, PathBuf};

use crate::command::{openssl, read, text, write};
use crate::matrix::Problem;

/// Kinds of keys, for CAs and devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyKind {
    Rsa1024,
    Rsa2048,
    Rsa3072,
    Rsa4096,
    P192,
    P256,
    P384,
    P521,
    Ed25519,
}

impl KeyKind {
    /// As it stands in file and case names.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Rsa1024 => "rsa1024",
            Self::Rsa2048 => "rsa2048",
            Self::Rsa3072 => "rsa3072",
            Self::Rsa4096 => "rsa4096",
            Self::P192 => "p192",
            Self::P256 => "p256",
            Self::P384 => "p384",
            Self::P521 => "p521",
            Self::Ed25519 => "ed25519",
        }
    }

    fn genpkey(self) -> Vec<String> {
        let rsa = |bits: &str| vec!["RSA".to_owned(), "-pkeyopt".to_owned(), format!("rsa_keygen_bits:{bits}")];
        let curve = |name: &str| vec!["EC".to_owned(), "-pkeyopt".to_owned(), format!("ec_paramgen_curve:{name}")];
        match self {
            Self::Rsa1024 => rsa("1024"),
            Self::Rsa2048 => rsa("2048"),
            Self::Rsa3072 => rsa("3072"),
            Self::Rsa4096 => rsa("4096"),
            Self::P192 => curve("prime192v1"),
            Self::P256 => curve("P-256"),
            Self::P384 => curve("P-384"),
            Self::P521 => curve("P-521"),
            Self::Ed25519 => vec!["ED25519".to_owned()],
        }
    }
}

/// A certificate with its key, as PEM files.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// The certificate alone.
    pub(crate) certificate: PathBuf,
    /// The certificate and what leads from it to its anchor, leaf first.
    pub(crate) chain: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
}

impl Identity {
    /// An identity with nothing between it and its anchor.
    pub(crate) fn alone(certificate: PathBuf, key: PathBuf) -> Self {
        Self { chain: certificate.clone(), certificate, key }
    }
}

/// What a certificate is to say.
pub(crate) struct Spec<'a> {
    /// File name, and the way to find the identity again.
    pub(crate) name: &'a str,
    /// Subject in openssl's slash form.
    pub(crate) subject: &'a str,
    pub(crate) key: KeyKind,
    /// A section of [`EXTENSIONS`].
    pub(crate) extensions: &'a str,
    /// YYYYMMDDHHMMSSZ.
    pub(crate) not_before: &'a str,
    pub(crate) not_after: &'a str,
    /// Digest of the signature.
    pub(crate) digest: &'a str,
}

impl<'a> Spec<'a> {
    /// A certificate that is valid now and long after these tests.
    pub(crate) const fn new(name: &'a str, subject: &'a str, key: KeyKind, extensions: &'a str) -> Self {
        Self {
            name,
            subject,
            key,
            extensions,
            not_before: "20240101000000Z",
            not_after: "20490101000000Z",
            digest: "default",
        }
    }

    pub(crate) const fn valid(mut self, not_before: &'a str, not_after: &'a str) -> Self {
        self.not_before = not_before;
        self.not_after = not_after;
        self
    }

    pub(crate) const fn digest(mut self, digest: &'a str) -> Self {
        self.digest = digest;
        self
    }
}

const EXTENSIONS: &str = include_str!("openssl.cnf");

/// A folder of keys and certificates.
pub(crate) struct Pki {
    folder: PathBuf,
}

impl Pki {
    /// An empty PKI in `folder`, which must exist.
    pub(crate) fn new(folder: PathBuf) -> Result<Self, Problem> {
        let database = text(&folder.join("index.txt"));
        write(&folder.join("openssl.cnf"), EXTENSIONS.replace("@DATABASE@", &database))?;
        write(&folder.join("index.txt"), "")?;
        Ok(Self { folder })
    }

    /// A path inside the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The identity made under this name.
    pub(crate) fn identity(&self, name: &str) -> Identity {
        Identity {
            certificate: self.path(&format!("{name}.pem")),
            chain: self.path(&format!("{name}.chain.pem")),
            key: self.path(&format!("{name}.key")),
        }
    }

    /// A fresh key in `NAME.key`.
    pub(crate) fn key(&self, name: &str, kind: KeyKind) -> Result<PathBuf, Problem> {
        let path = self.path(&format!("{name}.key"));
        let mut arguments = vec!["genpkey".to_owned(), "-out".to_owned(), text(&path), "-algorithm".to_owned()];
        arguments.extend(kind.genpkey());
        openssl(arguments, &[])?;
        Ok(path)
    }

    /// A self-signed certificate.
    pub(crate) fn self_signed(&self, spec: &Spec<'_>) -> Result<Identity, Problem> {
        let key = self.key(spec.name, spec.key)?;
        self.sign(spec, &key, &["-selfsign".to_owned(), "-keyfile".to_owned(), text(&key)])?;
        let identity = self.identity(spec.name);
        write(&identity.chain, read(&identity.certificate)?)?;
        Ok(identity)
    }

    /// A certificate signed by `issuer`; its chain file holds every intermediate, not the self-signed root.
    pub(crate) fn issue(&self, issuer: &str, spec: &Spec<'_>) -> Result<Identity, Problem> {
        let key = self.key(spec.name, spec.key)?;
        let by = self.identity(issuer);
        let signer = ["-keyfile".to_owned(), text(&by.key), "-cert".to_owned(), text(&by.certificate)];
        self.sign(spec, &key, &signer)?;
        let identity = self.identity(spec.name);
        let mut chain = read(&identity.certificate)?;
        if read(&by.chain)? != read(&by.certificate)? || !self.is_self_signed(&by)? {
            chain.extend(read(&by.chain)?);
        }
        write(&identity.chain, chain)?;
        Ok(identity)
    }

    fn is_self_signed(&self, identity: &Identity) -> Result<bool, Problem> {
        let names = openssl(["x509", "-in", &text(&identity.certificate), "-noout", "-subject", "-issuer"], &[])?;
        let names = String::from_utf8_lossy(&names).into_owned();
        let mut lines = names.lines().map(|line| line.split_once('=').map(|(_, name)| name));
        Ok(lines.next().flatten() == lines.next().flatten())
    }

    fn sign(&self, spec: &Spec<'_>, key: &Path, signer: &[String]) -> Result<(), Problem> {
        let configuration = text(&self.path("openssl.cnf"));
        let request = text(&self.path(&format!("{}.req", spec.name)));
        let out = text(&self.path(&format!("{}.pem", spec.name)));
        let digest = if spec.digest == "default" { "sha256" } else { spec.digest };
        openssl(
            ["req", "-new", "-config", &configuration, "-key", &text(key), "-subj", spec.subject].into_iter().chain([
                &*format!("-{digest}"),
                "-utf8",
                "-out",
                &request,
            ]),
            &[],
        )?;
        let fixed = ["ca", "-batch", "-notext", "-utf8", "-config", &configuration, "-in", &request, "-out", &out]
            .map(str::to_owned);
        let chosen = ["-extensions", spec.extensions, "-startdate", spec.not_before, "-enddate", spec.not_after]
            .map(str::to_owned);
        let placed = ["-md", spec.digest, "-outdir", &text(&self.folder)].map(str::to_owned);
        openssl(fixed.iter().chain(&chosen).chain(&placed).chain(signer), &[])?;
        Ok(())
    }
}
