//! What an event is called where webhooks are concerned; receivers choose by it.

use std::fmt;
use std::str::FromStr;

use crate::store::event::{EventEntry, OutcomeEntry};

/// The operation of events about webhooks themselves. They are not sent: that a delivery failed would have to be delivered.
pub(super) const OWN_OPERATION: &str = "webhook";

/// The type of an event, as it is sent; never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventType {
    /// A certificate was issued.
    CertificateIssued,
    /// A certificate was handed out again.
    CertificateRepeated,
    /// Certificates were revoked.
    CertificateRevoked,
    /// A certificate is no longer on hold.
    CertificateReleased,
    /// A request was refused.
    EnrollmentRefused,
    /// A request waits for an operator.
    EnrollmentDeferred,
    /// A request failed by the server's doing.
    EnrollmentFailed,
    /// A device of the registry changed.
    DeviceChanged,
    /// Something else of a tenant or of the server changed: tokens, imports, the configuration.
    ServerChanged,
    /// Something that an operator should look at.
    AlarmRaised,
}

/// The text names no type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an event is one of certificate.issued, certificate.repeated, certificate.revoked, certificate.released, \
     enrollment.refused, enrollment.deferred, enrollment.failed, device.changed, server.changed, alarm.raised"
)]
pub struct UnknownEventType;

impl EventType {
    /// Every type.
    pub const ALL: [Self; 10] = [
        Self::CertificateIssued,
        Self::CertificateRepeated,
        Self::CertificateRevoked,
        Self::CertificateReleased,
        Self::EnrollmentRefused,
        Self::EnrollmentDeferred,
        Self::EnrollmentFailed,
        Self::DeviceChanged,
        Self::ServerChanged,
        Self::AlarmRaised,
    ];

    /// What is sent when a webhook does not say: what becomes of devices and certificates, and alarms.
    pub const DEFAULT: [Self; 5] = [
        Self::CertificateIssued,
        Self::CertificateRevoked,
        Self::CertificateReleased,
        Self::DeviceChanged,
        Self::AlarmRaised,
    ];

    /// As it is sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CertificateIssued => "certificate.issued",
            Self::CertificateRepeated => "certificate.repeated",
            Self::CertificateRevoked => "certificate.revoked",
            Self::CertificateReleased => "certificate.released",
            Self::EnrollmentRefused => "enrollment.refused",
            Self::EnrollmentDeferred => "enrollment.deferred",
            Self::EnrollmentFailed => "enrollment.failed",
            Self::DeviceChanged => "device.changed",
            Self::ServerChanged => "server.changed",
            Self::AlarmRaised => "alarm.raised",
        }
    }

    /// The type of an event; `None` for those that are never sent.
    pub(super) fn of(event: &EventEntry<'_>) -> Option<Self> {
        if event.operation == OWN_OPERATION {
            return None;
        }
        Some(match &event.outcome {
            OutcomeEntry::Issued { repeated: false, .. } => Self::CertificateIssued,
            OutcomeEntry::Issued { repeated: true, .. } => Self::CertificateRepeated,
            OutcomeEntry::Revoked { .. } | OutcomeEntry::RevokedTogether { .. } => Self::CertificateRevoked,
            OutcomeEntry::Released { .. } => Self::CertificateReleased,
            OutcomeEntry::Refused { .. } => Self::EnrollmentRefused,
            OutcomeEntry::Deferred => Self::EnrollmentDeferred,
            OutcomeEntry::Failed => Self::EnrollmentFailed,
            OutcomeEntry::Changed { .. } if event.device.is_some() => Self::DeviceChanged,
            OutcomeEntry::Changed { .. } => Self::ServerChanged,
            OutcomeEntry::Alarm { .. } => Self::AlarmRaised,
        })
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for EventType {
    type Err = UnknownEventType;

    fn from_str(text: &str) -> Result<Self, UnknownEventType> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(UnknownEventType)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_for_an_unknown_type_names_every_known_one() {
        let told = UnknownEventType.to_string();
        for kind in EventType::ALL {
            assert!(told.contains(kind.as_str()), "{kind}");
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        assert_eq!("certificate.*".parse::<EventType>(), Err(UnknownEventType));
    }
}
