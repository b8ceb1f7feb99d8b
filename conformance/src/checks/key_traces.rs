//! The private keys that were made leave no trace: not in the journal, not in the log, not in the server's memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::conduct;
use crate::command::read;
use crate::crash::data_folder;
use crate::der::{self, Value};
use crate::matrix::{Check, Matrix, Problem, ensure};
use crate::multipart;
use crate::pki::KeyKind;
use crate::protection::{SHARED_KEYS, hexadecimal};
use crate::stage::Stage;

/// Octets by which a key is recognised: enough for no accident, few enough to find a fragment.
const ENOUGH: usize = 16;

pub(crate) fn run(stage: &Stage, matrix: &mut Matrix) {
    matrix.case("serverkeygen/no-trace-on-disk", || on_disk(stage));
    matrix.case("serverkeygen/no-trace-in-memory", || in_memory(stage));
}

/// A key of each kind and all that came before, and the public half of one.
fn made(stage: &Stage) -> Result<(Vec<Vec<u8>>, Vec<u8>), Problem> {
    let mut public = Vec::new();
    for kind in [KeyKind::P256, KeyKind::P384, KeyKind::Ed25519, KeyKind::Rsa2048] {
        let request = stage.request_of(kind, "/", &[])?;
        let response = stage.device("birth-p256")?.post("keygen/serverkeygen", &request.der)?;
        let generated = multipart::generated(&response)?;
        stage.keep_generated(&generated.certificate, generated.plain()?, "keygen/serverkeygen")?;
        public = generated.certificate.spki;
    }
    Ok((stage.generated(), public))
}

/// EST-4.4-03, SEC-03.
fn on_disk(stage: &Stage) -> Check {
    let (keys, public) = made(stage)?;
    let needles = Needles::of(&keys)?;
    let mut certificate_found = false;
    for running in [&stage.own, &stage.foreign] {
        let mut files = vec![running.server.log.clone()];
        gather(&data_folder(&running.configuration), &mut files)?;
        for file in files {
            let content = read(&file)?;
            ensure!(needles.search(&content).is_none(), "a private key stands in {}", file.display());
            // The certificate stands in the journal: a key beside it would be found.
            certificate_found |= content.windows(public.len()).any(|window| window == public);
        }
    }
    ensure!(certificate_found, "no certificate stands in the journal either");
    let metrics = conduct::plain(stage, "/metrics")?;
    ensure!(needles.search(metrics.as_bytes()).is_none(), "the metrics tell a private key");
    Ok(())
}

fn gather(folder: &Path, files: &mut Vec<std::path::PathBuf>) -> Check {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            gather(&path, files)?;
        } else if path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

/// EST-4.4-03: wiped after the reply.
fn in_memory(stage: &Stage) -> Check {
    let (keys, _) = made(stage)?;
    let needles = Needles::of(&keys)?;
    let process = stage.own.server.id();
    let memory = match File::open(format!("/proc/{process}/mem")) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return Err(Problem::not_run("only root reads the memory of another process"));
        }
        other => other?,
    };
    // What the server does keep in its memory: the search must find that.
    let mut kept = Needles::default();
    for key in &SHARED_KEYS {
        kept.add(&unhexadecimal(key.hexadecimal), key.hexadecimal.to_owned());
    }
    let mut kept_found = false;
    for (start, end) in writable(process)? {
        let mut content = vec![0; end - start];
        // A region that went away meanwhile holds nothing.
        if memory.read_exact_at(&mut content, start as u64).is_err() {
            continue;
        }
        if let Some((what, at)) = needles.search(&content) {
            return Err(Problem::failed(format!("{what} stands in the server's memory at {:#x}", start + at)));
        }
        kept_found |= kept.search(&content).is_some();
    }
    ensure!(kept_found, "the search does not even find the keys that the server must keep");
    Ok(())
}

/// The regions that a process may write to.
fn writable(process: u32) -> Result<Vec<(usize, usize)>, Problem> {
    let maps = String::from_utf8_lossy(&read(Path::new(&format!("/proc/{process}/maps")))?).into_owned();
    let region = |line: &str| {
        let mut words = line.split(' ');
        let (start, end) = words.next()?.split_once('-')?;
        let address = |text| usize::from_str_radix(text, 16).ok();
        words.next()?.starts_with("rw").then_some((address(start)?, address(end)?))
    };
    Ok(maps.lines().filter_map(region).collect())
}

/// What private keys look like, by the first two octets.
#[derive(Default)]
struct Needles {
    by_start: BTreeMap<[u8; 2], Vec<(Vec<u8>, String)>>,
}

impl Needles {
    /// The numbers that make these keys private: as octets in both orders, in hexadecimal, and as they stand in base64.
    fn of(keys: &[Vec<u8>]) -> Result<Self, Problem> {
        ensure!(!keys.is_empty(), "no key was made");
        let mut needles = Self::default();
        for (index, key) in keys.iter().enumerate() {
            for secret in secrets(key)? {
                let name = |form: &str| format!("key {index} of {} octets, {form},", key.len());
                let reversed: Vec<u8> = secret.iter().rev().copied().collect();
                let hexadecimal = hexadecimal(secret);
                for (form, whole) in [
                    ("as octets", secret),
                    ("as octets in reverse", &reversed),
                    ("in hexadecimal", hexadecimal.as_bytes()),
                    ("in hexadecimal", hexadecimal.to_uppercase().as_bytes()),
                ] {
                    needles.add(whole, name(form));
                }
                for line in lines_of_base64(key, secret) {
                    needles.add(line.as_bytes(), name("in base64"));
                }
            }
        }
        Ok(needles)
    }

    /// Its beginning and its end: either may have been written over.
    fn add(&mut self, whole: &[u8], name: String) {
        let needles = [whole.get(..ENOUGH), whole.len().checked_sub(ENOUGH).and_then(|at| whole.get(at..))];
        for needle in needles.into_iter().flatten().collect::<BTreeSet<_>>() {
            self.by_start.entry([needle[0], needle[1]]).or_default().push((needle.to_vec(), name.clone()));
        }
    }

    /// What is found first, and where.
    fn search(&self, haystack: &[u8]) -> Option<(&str, usize)> {
        let mut starts = vec![false; 1 << 16];
        for [first, second] in self.by_start.keys() {
            starts[usize::from(*first) << 8 | usize::from(*second)] = true;
        }
        for (at, pair) in haystack.windows(2).enumerate() {
            if !starts[usize::from(pair[0]) << 8 | usize::from(pair[1])] {
                continue;
            }
            let candidates = self.by_start.get(pair).map(Vec::as_slice).unwrap_or_default();
            if let Some((_, name)) = candidates.iter().find(|(needle, _)| haystack[at..].starts_with(needle)) {
                return Some((name, at));
            }
        }
        None
    }
}

/// The private numbers in a PrivateKeyInfo.
fn secrets(key: &[u8]) -> Result<Vec<&[u8]>, Problem> {
    let info = Value::parse(key)?;
    let private = Value::parse(info.child(2)?.content)?;
    // Ed25519: CurvePrivateKey.
    if private.tag == der::OCTET_STRING {
        return Ok(vec![private.content]);
    }
    let fields = private.children()?;
    // ECPrivateKey has the private number at 1, RSAPrivateKey the exponent, the primes and what is made of them at 3 to 8.
    let secret = if fields.len() == 9 { &fields[3..] } else { &fields[1..2] };
    Ok(secret.iter().map(significant).collect())
}

/// A number without the zero that makes it positive.
fn significant<'a>(value: &Value<'a>) -> &'a [u8] {
    match value.content {
        [0, rest @ ..] => rest,
        all => all,
    }
}

/// The parts of the key's base64, in lines of 64, that tell nothing but the secret within it.
fn lines_of_base64(key: &[u8], secret: &[u8]) -> Vec<String> {
    const OCTETS_A_LINE: usize = 48;
    let Some(start) = key.windows(secret.len()).position(|window| window == secret) else { return Vec::new() };
    let end = start + secret.len();
    let text = crate::http::base64(key);
    let line = |line: usize| {
        let from = start.max(line * OCTETS_A_LINE).next_multiple_of(3);
        let to = end.min((line + 1) * OCTETS_A_LINE) / 3 * 3;
        let (from, to) = (from / 3 * 4, to / 3 * 4);
        // Each line before ends with LF.
        let part = text.get(from + line..to + line).filter(|part| part.len() >= ENOUGH)?;
        Some(String::from_utf8_lossy(part).into_owned())
    };
    (start / OCTETS_A_LINE..=(end - 1) / OCTETS_A_LINE).filter_map(line).collect()
}

fn unhexadecimal(text: &str) -> Vec<u8> {
    let digits = |at: usize| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    (0..text.len()).step_by(2).filter_map(digits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_in_each_form_and_only_there() {
        let folder = tempfile::tempdir().unwrap();
        let pki = crate::pki::Pki::new(folder.path().to_owned()).unwrap();
        for kind in [KeyKind::P256, KeyKind::P384, KeyKind::Ed25519, KeyKind::Rsa2048] {
            let path = pki.key(kind.name(), kind).unwrap();
            let pkcs8 = ["pkcs8", "-topk8", "-nocrypt", "-outform", "DER", "-in", &crate::command::text(&path)];
            let key = crate::command::openssl(pkcs8, &[]).unwrap();
            let needles = Needles::of(std::slice::from_ref(&key)).unwrap();
            let secret = secrets(&key).unwrap()[0];
            assert!(secret.len() >= 32 || kind == KeyKind::Rsa2048, "{}", kind.name());
            let reversed: Vec<u8> = secret.iter().rev().copied().collect();
            for form in [secret.to_vec(), reversed, hexadecimal(secret).into_bytes(), crate::http::base64(&key)] {
                assert!(needles.search(&[b"log: ".as_slice(), &form, b"."].concat()).is_some(), "{}", kind.name());
            }
            let public = crate::command::openssl(["pkey", "-pubout", "-in", &crate::command::text(&path)], &[]);
            assert!(needles.search(&public.unwrap()).is_none());
        }
    }
}
