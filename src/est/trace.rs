//! What was looked at on the way to a decision, rule by rule, for people who ask why.

use std::fmt::{self, Display};

use super::printable::escaped;
use super::rejection::Rejection;

/// Most steps of a trace. A decision takes fewer; what came after would not be taken down.
pub const MAX_STEPS: usize = 48;

/// Longest text that a step says was expected or came, in octets; what is longer is cut and ends with `…`.
pub const MAX_SAID_OCTETS: usize = 240;

macro_rules! rules {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $field:literal, $clause:literal;)+) => {
        /// A rule that a request is held against. Its name is part of the interface, never renamed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Rule { $($(#[$doc])* $variant),+ }

        impl Rule {
            /// Every rule.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name as it stands in answers and in the journal.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// What of a request it looks at.
            pub const fn field(self) -> &'static str {
                match self { $(Self::$variant => $field),+ }
            }

            /// The clause that it rests on, unless a refusal names a closer one.
            pub const fn clause(self) -> &'static str {
                match self { $(Self::$variant => $clause),+ }
            }
        }
    };
}

rules! {
    /// The presented certificate leads to an anchor of the label.
    CertificatePath = "certificate_path", "client certificate", "RFC 7030 3.3.2";
    /// It is within its time, or within the grace of renewals.
    CertificateValidity = "certificate_validity", "client certificate", "RFC 5280 6.1.3";
    /// It is not revoked, and belongs to this label.
    CertificateStanding = "certificate_standing", "client certificate", "RFC 7030 3.3.2";
    /// The credential of the Authorization field is one of the tenant's.
    HttpCredential = "http_credential", "Authorization", "RFC 7030 3.2.3";
    /// The request is a PKCS#10 within its limits, with well-formed names.
    RequestSyntax = "request_syntax", "request", "RFC 2986 4";
    /// The key is sound and allowed, and the request is signed with it.
    ProofOfPossession = "proof_of_possession", "SubjectPublicKeyInfo, signature", "RFC 7030 3.4";
    /// The one-time code in the request is one of the tenant's.
    EnrollmentCode = "enrollment_code", "otpChallenge", "RFC 7894 3.1";
    /// The body is a Full PKI Request with one request and controls that are taken.
    CmcMessage = "cmc_message", "PKIData", "RFC 5272 3.2";
    /// It is signed by who asks, or with the key to certify.
    CmcSignature = "cmc_signature", "SignedData", "RFC 7030 4.3.1";
    /// What was shown is what the label demands.
    Authentication = "authentication", "client certificate, Authorization", "RFC 7030 3.2.3";
    /// The label and its tenant do not ask more often than they may.
    RequestRate = "request_rate", "request", "RFC 6585 4";
    /// Who asks for another device is an RA client in good standing.
    RaClient = "ra_client", "client certificate", "RFC 7030 3.7";
    /// There is a certificate on record to renew, and it is not revoked.
    CurrentCertificate = "current_certificate", "certificate on record", "RFC 7030 4.2.2";
    /// The request was signed for its TLS connection.
    IdentityLinking = "identity_linking", "challengePassword, estIdentityLinking", "RFC 7030 3.5";
    /// The request asks for nothing that the profile withholds.
    RequestedExtensions = "requested_extensions", "extensionRequest", "RFC 5272 3.1";
    /// What was presented fits the operation, and says which device it is.
    DeviceIdentity = "device_identity", "device id", "IEEE 802.1AR 8";
    /// The names asked for are the device's.
    Names = "names", "subject, subjectAltName", "RFC 7030 4.2";
    /// Other names than the device has are given where the label says so.
    NameChange = "name_change", "changeSubjectName", "RFC 6402 2.8";
    /// No name to be certified is one that a CA above forbids.
    NameConstraints = "name_constraints", "subject, subjectAltName", "RFC 5280 4.2.1.10";
    /// Every credential speaks for the device.
    CredentialScope = "credential_scope", "device id", "RFC 7030 3.7";
    /// The certificates of RA clients are for those that are listed.
    RaListing = "ra_listing", "device id", "RFC 6402 2.12";
    /// A key is made for this kind of peer, and can be given out.
    KeyGeneration = "key_generation", "SMIMECapabilities, DecryptKeyIdentifier", "RFC 7030 4.4.1";
    /// The key is nobody else's.
    KeyHolder = "key_holder", "SubjectPublicKeyInfo", "RFC 7030 3.7";
    /// The pendToken is the requester's.
    PendToken = "pend_token", "queryPending", "RFC 5272 6.13";
    /// The registry lets the device in.
    Registration = "registration", "device id", "RFC 7030 3.7";
    /// The same request was not answered a moment ago.
    RepeatedRequest = "repeated_request", "request", "RFC 7030 4.2.3";
    /// The key is a new one, where the profile expects that.
    KeyReuse = "key_reuse", "SubjectPublicKeyInfo", "RFC 7030 4.2.2";
    /// A credential that is good for so many certificates has one left.
    CodeUses = "code_uses", "enrollment code", "RFC 7030 3.7";
    /// The tenant has room for the certificate, and for its device.
    Quota = "quota", "tenant", "RFC 6585 4";
    /// The webhook that is asked at the label allows the certificate.
    AuthorizationWebhook = "authorization_webhook", "device id, names, SubjectPublicKeyInfo", "RFC 7030 3.7";
}

/// How a rule came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StepOutcome {
    /// It holds.
    Passed,
    /// It does not, and that is why the request is refused.
    Refused,
    /// It was not looked at, or did not count.
    Skipped,
}

impl StepOutcome {
    /// As it stands in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Refused => "refused",
            Self::Skipped => "skipped",
        }
    }
}

/// One rule, as it was applied. It carries no secret: credentials are named, never shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Which rule.
    pub rule: Rule,
    /// What it wants; where it was skipped, why.
    pub expected: String,
    /// What came.
    pub got: String,
    /// The clause of the standard.
    pub clause: &'static str,
    /// How it came out.
    pub outcome: StepOutcome,
}

/// The steps of one decision, in order. By default those alone that did not hold: what nobody will read is not put into
/// words for every request that comes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    steps: Vec<Step>,
    is_whole: bool,
}

/// What may come in the place of a decision in favour.
pub trait Refusing {
    /// The refusal; `None` when the decision failed by a fault of ours.
    fn rejection(&self) -> Option<&Rejection>;
}

impl Refusing for Rejection {
    fn rejection(&self) -> Option<&Rejection> {
        Some(self)
    }
}

impl Trace {
    /// A trace that keeps the steps that hold, too.
    pub const fn whole() -> Self {
        Self { steps: Vec::new(), is_whole: true }
    }

    /// Takes down how a rule came out, and hands the outcome on.
    ///
    /// # Errors
    /// Those of `outcome`.
    pub fn judged<T, E: Refusing>(
        &mut self,
        rule: Rule,
        expected: impl Display,
        got: impl Display,
        outcome: Result<T, E>,
    ) -> Result<T, E> {
        match &outcome {
            Ok(_) => self.note(rule, &expected, &got, rule.clause(), StepOutcome::Passed),
            Err(error) => {
                if let Some(rejection) = error.rejection() {
                    self.note(rule, &expected, &got, rejection.clause(), StepOutcome::Refused);
                }
            }
        }
        outcome
    }

    /// Takes down that a rule does not hold, and hands the refusal on.
    #[must_use]
    pub fn refuse(&mut self, rule: Rule, expected: impl Display, got: impl Display, rejection: Rejection) -> Rejection {
        self.note(rule, &expected, &got, rejection.clause(), StepOutcome::Refused);
        rejection
    }

    /// Takes down that a rule holds.
    pub fn passed(&mut self, rule: Rule, expected: impl Display, got: impl Display) {
        self.note(rule, &expected, &got, rule.clause(), StepOutcome::Passed);
    }

    /// Takes down that a rule was not looked at, and why.
    pub fn skipped(&mut self, rule: Rule, why: impl Display, got: impl Display) {
        self.note(rule, &why, &got, rule.clause(), StepOutcome::Skipped);
    }

    /// What was refused last does not count: something else may stand in its place.
    pub fn excuse(&mut self) {
        if let Some(step) = self.steps.iter_mut().rev().find(|step| step.outcome == StepOutcome::Refused) {
            step.outcome = StepOutcome::Skipped;
        }
    }

    /// The steps.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The step that the request was refused by.
    pub fn refused(&self) -> Option<&Step> {
        self.steps.iter().rev().find(|step| step.outcome == StepOutcome::Refused)
    }

    fn note(
        &mut self,
        rule: Rule,
        expected: &dyn Display,
        got: &dyn Display,
        clause: &'static str,
        outcome: StepOutcome,
    ) {
        let is_kept = self.is_whole || outcome == StepOutcome::Refused;
        if is_kept && self.steps.len() < MAX_STEPS {
            self.steps.push(Step { rule, expected: said(expected), got: said(got), clause, outcome });
        }
    }
}

/// What is put into words only when a trace takes it down.
pub fn lazily<T: Display>(words: impl Fn() -> T) -> impl Display {
    fmt::from_fn(move |formatter| words().fmt(formatter))
}

/// Bounded, and safe to show: names are whatever a client sent.
fn said(what: &dyn Display) -> String {
    let text = what.to_string();
    let mut text = escaped(&text).into_owned();
    if text.len() > MAX_SAID_OCTETS {
        let end = (0..=MAX_SAID_OCTETS - '…'.len_utf8()).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or_default());
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::est::RejectionCode;

    #[test]
    fn a_trace_is_bounded_and_safe_to_show() {
        let mut trace = Trace::whole();
        for length in [MAX_SAID_OCTETS, MAX_SAID_OCTETS + 1, 100_000] {
            trace.passed(Rule::Names, "x".repeat(length), "é".repeat(length));
        }
        trace.passed(Rule::Names, "a\r\nb\u{1b}[2J", "\u{202e}x\n");
        for step in trace.steps() {
            assert!(step.expected.len() <= MAX_SAID_OCTETS && step.got.len() <= MAX_SAID_OCTETS, "{step:?}");
            assert!(!step.expected.contains('\u{1b}') && !step.got.contains(['\u{202e}', '\n']), "{step:?}");
        }
        assert_eq!(trace.steps()[0].expected.len(), MAX_SAID_OCTETS, "what just fits is whole");
        assert!(!trace.steps()[0].expected.ends_with('…') && trace.steps()[1].expected.ends_with('…'));
        for _ in 0..MAX_STEPS {
            trace.skipped(Rule::Names, "", "");
        }
        assert_eq!(trace.steps().len(), MAX_STEPS);
    }

    #[test]
    fn a_refusal_is_taken_down_with_its_own_clause_unless_something_stands_in() {
        let mut trace = Trace::default();
        let refused = || Err::<(), _>(Rejection::new(RejectionCode::Untrusted, "RFC 5280 6.1", "no"));
        assert_eq!(trace.judged(Rule::CertificatePath, "a", "b", refused()), refused());
        let step = trace.refused().unwrap();
        assert_eq!((step.rule, step.clause), (Rule::CertificatePath, "RFC 5280 6.1"));
        trace.excuse();
        assert_eq!((trace.refused(), trace.steps()[0].outcome), (None, StepOutcome::Skipped));
    }

    #[test]
    fn by_default_only_what_does_not_hold_is_taken_down() {
        let mut trace = Trace::default();
        trace.passed(Rule::RequestSyntax, "a", "b");
        trace.skipped(Rule::KeyReuse, "a", "b");
        let rejection =
            trace.refuse(Rule::Names, "a", "b", Rejection::new(RejectionCode::Untrusted, "RFC 5280 6.1", "no"));
        assert_eq!(rejection.code(), RejectionCode::Untrusted);
        assert_eq!(trace.steps().iter().map(|step| step.rule).collect::<Vec<_>>(), [Rule::Names]);
    }

    #[test]
    fn rules_have_names_of_their_own() {
        let names: std::collections::BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.as_str()).collect();
        assert_eq!(names.len(), Rule::ALL.len());
    }
}
