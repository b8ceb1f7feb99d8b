//! The Authorization field (RFC 9110 section 11.6.2), read as clients write it.

use hyper::header::AUTHORIZATION;
use hyper::http::request::Parts;
use zeroize::Zeroizing;

use crate::est::{
    DigestAlgorithm, DigestCredential, Leniency, PresentedCredential, Rejection, RejectionCode, Tolerance, transfer,
};

/// Most parameters of a Digest credential; RFC 7616 has eleven.
const MAX_PARAMETERS: usize = 32;

/// The credential of a request, if it has one.
pub(super) fn presented(head: &Parts, tolerance: Tolerance) -> Result<Option<PresentedCredential>, Rejection> {
    let mut fields = head.headers.get_all(AUTHORIZATION).iter();
    let field = match (fields.next(), fields.next()) {
        (None, _) => return Ok(None),
        (Some(field), None) => std::str::from_utf8(field.as_bytes()),
        (Some(_), Some(_)) => return malformed("one Authorization field is expected, several came"),
    };
    let Ok(field) = field else { return malformed("the Authorization field is not UTF-8") };
    let (scheme, rest) = field.trim().split_once(' ').unwrap_or((field.trim(), ""));
    let rest = rest.trim();
    // RFC 9110 §11.1: a scheme is read without regard to case.
    let is = |name: &str| scheme.eq_ignore_ascii_case(name);
    if is("Basic") {
        basic(rest).map(Some)
    } else if is("Digest") {
        digest(rest, head, tolerance).map(Some)
    } else if is("Bearer") {
        bearer(rest).map(Some)
    } else {
        malformed("the scheme of the Authorization field is none of Basic, Digest and Bearer")
    }
}

/// RFC 7617 section 2: base64 once, split at the first colon, UTF-8.
fn basic(token: &str) -> Result<PresentedCredential, Rejection> {
    const EXPECTED: &str = "a Basic credential is base64 of a name, a colon and a password in UTF-8";
    let Some(octets) = transfer::decode_token68(token) else { return malformed(EXPECTED) };
    let text = std::str::from_utf8(&octets).ok();
    let Some((user, password)) = text.and_then(|text| text.split_once(':')) else { return malformed(EXPECTED) };
    Ok(PresentedCredential::Basic { user: user.to_owned(), password: Zeroizing::new(password.to_owned()) })
}

/// RFC 6750 section 2.1.
fn bearer(token: &str) -> Result<PresentedCredential, Rejection> {
    let allowed = |octet: u8| octet.is_ascii_alphanumeric() || b"-._~+/=".contains(&octet);
    if token.is_empty() || !token.bytes().all(allowed) {
        return malformed("a Bearer credential is a token of letters, digits and -._~+/=");
    }
    Ok(PresentedCredential::Bearer(Zeroizing::new(token.to_owned())))
}

/// RFC 7616 section 3.4. Whether a value is quoted says nothing: RFC 7030 appendix A.3 quotes what RFC 7616 forbids to quote,
/// and so do libest (qop) and Bouncy Castle (all of them); a strict label refuses it.
fn digest(rest: &str, head: &Parts, tolerance: Tolerance) -> Result<PresentedCredential, Rejection> {
    const EXPECTED: &str =
        "a Digest credential has username, realm, nonce, uri, response, qop=auth, nc and cnonce, each once";
    let Some(parameters) = parameters(rest) else { return malformed(EXPECTED) };
    if parameters.iter().any(|one| one.is_quoted && UNQUOTED.contains(&one.name.as_str())) {
        tolerance.judge(Leniency::QuotedDigest)?;
    }
    let value = |name: &str| parameters.iter().find(|one| one.name == name).map(|one| one.value.clone());
    let algorithm = match value("algorithm") {
        // RFC 7616 §3.4: the one of the challenge; where that named none, MD5.
        None => DigestAlgorithm::Md5,
        Some(name) => {
            let found = DigestAlgorithm::ALL.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(&name));
            let Some(found) = found else { return malformed("the algorithm of a Digest credential is SHA-256 or MD5") };
            found
        }
    };
    let is_count = |text: &String| text.len() == 8 && text.bytes().all(|octet| octet.is_ascii_hexdigit());
    let count = value("nc").filter(is_count);
    let number = count.as_deref().and_then(|text| u32::from_str_radix(text, 16).ok());
    let user = value("username").or_else(|| extended(&value("username*")?));
    let auth = value("qop").filter(|qop| qop.eq_ignore_ascii_case("auth"));
    let target = head.uri.path_and_query().map_or("", |target| target.as_str());
    let fields = (|| {
        auth?;
        Some(DigestCredential {
            user: user?,
            realm: value("realm")?,
            nonce: value("nonce")?,
            uri: value("uri")?,
            algorithm,
            cnonce: value("cnonce")?,
            nonce_count_text: count?,
            nonce_count: number?,
            response: value("response")?,
            method: head.method.as_str().to_owned(),
            target: target.to_owned(),
        })
    })();
    match fields {
        Some(fields) => Ok(PresentedCredential::Digest(Box::new(fields))),
        None => malformed(EXPECTED),
    }
}

/// RFC 7616 section 3.4: "the following parameters MUST NOT use the quoted string syntax … algorithm, qop, and nc".
const UNQUOTED: [&str; 3] = ["algorithm", "qop", "nc"];

/// A parameter of a credential.
struct Parameter {
    /// In lower case.
    name: String,
    value: String,
    is_quoted: bool,
}

/// `name=token` and `name="quoted"`, separated by commas (RFC 9110 section 11.2); each name once.
fn parameters(text: &str) -> Option<Vec<Parameter>> {
    let mut parameters: Vec<Parameter> = Vec::new();
    let mut rest = text.trim_start_matches([' ', '\t', ',']);
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let name = name.trim_end().to_ascii_lowercase();
        let is_quoted = after.trim_start().starts_with('"');
        let (value, after) = value(after.trim_start())?;
        let is_token = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet);
        let is_new = parameters.iter().all(|known| known.name != name);
        if name.is_empty() || !name.bytes().all(is_token) || !is_new || parameters.len() == MAX_PARAMETERS {
            return None;
        }
        parameters.push(Parameter { name, value, is_quoted });
        let after = after.trim_start();
        if !after.is_empty() && !after.starts_with(',') {
            return None;
        }
        rest = after.trim_start_matches([' ', '\t', ',']);
    }
    Some(parameters)
}

/// The value at the start of `text`, and what follows it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (end > 0).then(|| (text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

/// RFC 8187 section 3.2.1, in the one charset that RFC 7616 section 3.4 allows: `UTF-8''J%C3%A4s`.
fn extended(text: &str) -> Option<String> {
    let (charset, rest) = text.split_once('\'')?;
    let (_language, encoded) = rest.split_once('\'')?;
    if !charset.eq_ignore_ascii_case("UTF-8") {
        return None;
    }
    let mut octets = Vec::new();
    let mut rest = encoded.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'%' => {
                let digit = |octet: u8| char::from(octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                digit(rest.next()?)? << 4 | digit(rest.next()?)?
            }
            plain => plain,
        });
    }
    String::from_utf8(octets).ok()
}

/// A field that is no credential is answered like a wrong one, with the challenges.
fn malformed<T>(reason: &'static str) -> Result<T, Rejection> {
    Err(Rejection::new(RejectionCode::AuthFailed, "RFC 9110 11.6.2", reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    fn read(fields: &[&[u8]]) -> Result<Option<PresentedCredential>, RejectionCode> {
        let mut request = Request::post("/.well-known/est/simpleenroll?x=1");
        for field in fields {
            request = request.header(AUTHORIZATION, *field);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        presented(&head, Tolerance::Lenient).map_err(|rejection| rejection.code())
    }

    fn one(field: &str) -> Result<PresentedCredential, RejectionCode> {
        read(&[field.as_bytes()]).map(Option::unwrap)
    }

    fn basic_of(user: &str, password: &str) -> PresentedCredential {
        PresentedCredential::Basic { user: user.to_owned(), password: Zeroizing::new(password.to_owned()) }
    }

    proptest::proptest! {
        #[test]
        fn nothing_sent_panics(scheme in "(Basic|Digest|Bearer|\\PC{0,8}) ", rest in "[ ,=\"\\\\*'%a-z0-9\\PC]{0,60}") {
            let _ = read(&[[scheme, rest].concat().as_bytes()]);
        }
    }

    #[test]
    fn basic_is_base64_once_split_at_the_first_colon() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(one("Basic dXNlcjphOmI="), Ok(basic_of("user", "a:b")));
        assert_eq!(one("bAsIc   dXNlcjphOmI= "), Ok(basic_of("user", "a:b")));
        assert_eq!(one("Basic OnNlY3JldA=="), Ok(basic_of("", "secret")), "RFC 7030 section 3.2.3");
        // RFC 7617 section 2.1.
        assert_eq!(one("Basic dGVzdDoxMjPCow=="), Ok(basic_of("test", "123\u{a3}")));
        for wrong in
            ["Basic", "Basic ", "Basic dXNlcg==", "Basic dXNlcjph*", "Basic dXNlcjphOmI", "Basic dXNlcjr/", "Basic a b"]
        {
            assert_eq!(one(wrong), Err(RejectionCode::AuthFailed), "{wrong}");
        }
    }

    #[test]
    fn other_schemes_and_fields_are_refused() {
        assert_eq!(one("Bearer a.b-c_~+/="), Ok(PresentedCredential::Bearer(Zeroizing::new("a.b-c_~+/=".to_owned()))));
        for wrong in ["", "Negotiate YII=", "Bearer", "Bearer a b", "Bearer \"a\""] {
            assert_eq!(one(wrong), Err(RejectionCode::AuthFailed), "{wrong}");
        }
        assert_eq!(read(&[b"Bearer a", b"Basic OnNlY3JldA=="]), Err(RejectionCode::AuthFailed));
        assert_eq!(read(&[b"Basic \xff"]), Err(RejectionCode::AuthFailed));
    }

    fn digest_of(field: &str) -> Result<DigestCredential, RejectionCode> {
        let read = one(field)?;
        let PresentedCredential::Digest(digest) = read else { panic!("{read:?}") };
        Ok(*digest)
    }

    #[test]
    fn digest_is_read_quoted_and_bare() {
        // RFC 7030 appendix A.3 quotes qop, libest too; Bouncy Castle quotes everything.
        let libest = "Digest username=\"estuser\", realm=\"estrealm\", nonce=\"n\", uri=\"/u\", cnonce=\"c\", nc=00000001, \
                      qop=\"auth\", response=\"r\"";
        let read = digest_of(libest).unwrap();
        assert_eq!(
            (read.algorithm, read.nonce_count, read.nonce_count_text.as_str()),
            (DigestAlgorithm::Md5, 1, "00000001")
        );
        assert_eq!((read.method.as_str(), read.target.as_str()), ("POST", "/.well-known/est/simpleenroll?x=1"));
        let bare = "digest username=\"a\\\"b\",realm=\"e,=\",nonce=n,uri=\"/u\",cnonce=\"\",nc=0000000A,qop=auth,response=r,\
                    algorithm=sha-256,opaque=\"x\", unknown=1";
        let read = digest_of(bare).unwrap();
        assert_eq!((read.user.as_str(), read.realm.as_str(), read.nonce_count), ("a\"b", "e,=", 10));
        assert_eq!(read.algorithm, DigestAlgorithm::Sha256);
        let castle = libest.replace("nc=00000001", "algorithm=\"SHA-256\", nc=\"00000001\"");
        assert_eq!(digest_of(&castle).unwrap().algorithm, DigestAlgorithm::Sha256);
        let extended = libest.replace("username=\"estuser\"", "username*=UTF-8''J%C3%A4s%C3%B8n");
        assert_eq!(digest_of(&extended).unwrap().user, "J\u{e4}s\u{f8}n");
        for (from, to) in [
            ("username=\"estuser\"", "user=\"estuser\""),
            ("realm=\"estrealm\", ", ""),
            ("nc=00000001", "nc=1"),
            ("nc=00000001", "nc=+0000001"),
            ("qop=\"auth\"", "qop=\"auth-int\""),
            ("qop=\"auth\", ", ""),
            ("cnonce=\"c\", ", ""),
            ("uri=\"/u\"", "uri=\"/u\", uri=\"/u\""),
            ("response=\"r\"", "response=\"r"),
            ("response=\"r\"", "response=\"r\" x"),
            ("nonce=\"n\"", "nonce=\"n\", algorithm=MD4"),
        ] {
            assert_eq!(digest_of(&libest.replace(from, to)), Err(RejectionCode::AuthFailed), "{to}");
        }
    }
}
