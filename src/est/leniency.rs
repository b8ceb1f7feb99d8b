//! What is taken from clients although no standard allows it, each by its name.

use super::{Rejection, RejectionCode};

/// A departure from the standards that clients in the field are known for; `docs/clients.md` says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Leniency {
    /// A body that is PEM, not the bare base64 of RFC 8951 section 3.
    PemArmour,
    /// A PKCS#10 without its attributes field, which RFC 2986 section 4.1 does not make optional.
    OmittedAttributes,
    /// The attributes of a PKCS#10, or the values of one, not in the order of DER (X.690 section 11.6).
    UnsortedSet,
    /// A challenge as IA5String, which is no DirectoryString (RFC 2985 section 5.4.1).
    Ia5Challenge,
    /// The extensions asked for under Microsoft's identifier, not that of RFC 2985 section 5.4.2.
    MicrosoftExtensionRequest,
    /// A keyUsage with trailing zero bits (X.690 section 11.2.2).
    UntrimmedKeyUsage,
    /// A basicConstraints with its DEFAULT value written out (X.690 section 11.5).
    WrittenDefault,
    /// White space within the base64 of a channel binding (RFC 7030 section 3.5, RFC 4648 section 3.3).
    WrappedChallenge,
    /// A Full PKI Request whose media type does not say so (RFC 7030 section 4.3.1).
    MissingSmimeType,
    /// Parameters of Digest in quotation marks where RFC 7616 section 3.4 allows none.
    QuotedDigest,
    /// A Digest credential whose uri leaves the label out (RFC 7616 section 3.4.6).
    DigestUriWithoutLabel,
    /// A Bearer token in base64, once more than RFC 6750 section 2.1 has it.
    EncodedBearerToken,
}

impl Leniency {
    /// Every leniency.
    pub const ALL: [Self; 12] = [
        Self::PemArmour,
        Self::OmittedAttributes,
        Self::UnsortedSet,
        Self::Ia5Challenge,
        Self::MicrosoftExtensionRequest,
        Self::UntrimmedKeyUsage,
        Self::WrittenDefault,
        Self::WrappedChallenge,
        Self::MissingSmimeType,
        Self::QuotedDigest,
        Self::DigestUriWithoutLabel,
        Self::EncodedBearerToken,
    ];

    /// The name, in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PemArmour => "pem-armour",
            Self::OmittedAttributes => "omitted-attributes",
            Self::UnsortedSet => "unsorted-set",
            Self::Ia5Challenge => "ia5-challenge",
            Self::MicrosoftExtensionRequest => "microsoft-extension-request",
            Self::UntrimmedKeyUsage => "untrimmed-key-usage",
            Self::WrittenDefault => "written-default",
            Self::WrappedChallenge => "wrapped-challenge",
            Self::MissingSmimeType => "missing-smime-type",
            Self::QuotedDigest => "quoted-digest",
            Self::DigestUriWithoutLabel => "digest-uri-without-label",
            Self::EncodedBearerToken => "encoded-bearer-token",
        }
    }

    /// The refusal where it is not taken.
    pub fn refusal(self) -> Rejection {
        let (code, clause, reason) = match self {
            Self::PemArmour => (
                RejectionCode::BadEncoding,
                "RFC 8951 3",
                "the body has PEM armour, expected the bare base64 of the DER certification request",
            ),
            Self::OmittedAttributes => (
                RejectionCode::BadRequestSyntax,
                "RFC 2986 4.1",
                "the attributes field of the PKCS#10 is left out, expected it empty",
            ),
            Self::UnsortedSet => (
                RejectionCode::BadRequestSyntax,
                "RFC 8951 3",
                "the attributes of the PKCS#10, or the values of one, are not in the order of DER",
            ),
            Self::Ia5Challenge => (
                RejectionCode::BadRequestSyntax,
                "RFC 2985 5.4.1",
                "a challenge is an IA5String, expected a DirectoryString",
            ),
            Self::MicrosoftExtensionRequest => (
                RejectionCode::BadRequestSyntax,
                "RFC 2985 5.4.2",
                "extensions are asked for under 1.3.6.1.4.1.311.2.1.14, expected extensionRequest, 1.2.840.113549.1.9.14",
            ),
            Self::UntrimmedKeyUsage => (
                RejectionCode::BadRequestSyntax,
                "RFC 5280 4.2.1.3",
                "the keyUsage has trailing zero bits, which DER leaves out",
            ),
            Self::WrittenDefault => (
                RejectionCode::BadRequestSyntax,
                "RFC 5280 4.2.1.9",
                "the basicConstraints has its default value written out, which DER leaves out",
            ),
            Self::WrappedChallenge => (
                RejectionCode::IdentityLinking,
                "RFC 7030 3.5",
                "a channel binding is base64 without white space, some came",
            ),
            Self::MissingSmimeType => (
                RejectionCode::UnsupportedMediaType,
                "RFC 7030 4.3.1",
                "the Content-Type of a full pki request is application/pkcs7-mime; smime-type=CMC-request",
            ),
            Self::QuotedDigest => (
                RejectionCode::AuthFailed,
                "RFC 7616 3.4",
                "algorithm, qop and nc of a Digest credential stand without quotation marks",
            ),
            Self::DigestUriWithoutLabel => (
                RejectionCode::BadRequest,
                "RFC 7616 3.4.6",
                "the Digest credential is for another URI than the request's",
            ),
            Self::EncodedBearerToken => {
                (RejectionCode::AuthFailed, "RFC 6750 2.1", "a Bearer token is sent as it is, base64 of one came")
            }
        };
        Rejection::new(code, clause, reason)
    }
}

/// Whether leniencies are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tolerance {
    /// All of them.
    #[default]
    Lenient,
    /// None.
    Strict,
}

impl Tolerance {
    /// Lets a departure from the standards pass, or not.
    ///
    /// # Errors
    /// Its refusal, where none is taken.
    pub fn judge(self, used: Leniency) -> Result<(), Rejection> {
        match self {
            Self::Lenient => Ok(()),
            Self::Strict => Err(used.refusal()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_tells_of_each_with_its_clause_and_its_code() {
        let page = include_str!("../../docs/clients.md");
        for leniency in Leniency::ALL {
            let refusal = leniency.refusal();
            let row = page.lines().find(|line| line.starts_with(&format!("| `{}` |", leniency.as_str())));
            let row = row.unwrap_or_else(|| panic!("docs/clients.md has no row {}", leniency.as_str()));
            assert!(row.contains(refusal.clause()), "{row}");
            assert!(row.ends_with(&format!("| `{}` |", refusal.code().as_str())), "{row}");
        }
        let rows = page.lines().filter(|line| line.starts_with("| `") && line.ends_with("` |")).count();
        assert_eq!(rows, Leniency::ALL.len(), "a row of what is no more");
    }
}
