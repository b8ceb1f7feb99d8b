//! The audit trail as others read it: an event, written as JSON, CEF or syslog.
//!
//! Whatever comes from outside, names of devices for instance, is data in every format: none can end a record or a field.

mod cef;
mod event;
mod syslog;

pub(crate) use event::Event;

/// How an event is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// One JSON object a line.
    Ndjson,
    /// ArcSight Common Event Format, one record a line.
    Cef,
    /// Syslog (RFC 5424), one message a line (RFC 6587 section 3.4.2).
    Syslog,
    /// Syslog, each message behind the count of its octets (RFC 6587 section 3.4.1, RFC 5425 section 4.3).
    SyslogCounted,
}

impl Format {
    /// What a stream of it is called.
    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::Cef | Self::Syslog => "text/plain; charset=utf-8",
            Self::SyslogCounted => "application/octet-stream",
        }
    }

    /// Appends an event.
    ///
    /// # Errors
    /// When it has no form as JSON.
    pub(crate) fn write(self, event: &Event, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        match self {
            Self::Ndjson => serde_json::to_writer(&mut *out, event)?,
            Self::Cef => out.extend_from_slice(cef::record(event).as_bytes()),
            Self::Syslog => out.extend_from_slice(syslog::message(event).as_bytes()),
            Self::SyslogCounted => {
                let message = syslog::message(event);
                out.extend_from_slice(format!("{} {message}", message.len()).as_bytes());
                return Ok(());
            }
        }
        out.push(b'\n');
        Ok(())
    }
}

/// A text without control characters, which stand as `\u{7}`; `escape` writes the others.
fn visible(text: &str, mut escape: impl FnMut(char, &mut String)) -> String {
    let mut written = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            for shown in character.escape_unicode() {
                escape(shown, &mut written);
            }
        } else {
            escape(character, &mut written);
        }
    }
    written
}

/// Each field that is there, as `pair` has it.
fn pairs<'a>(fields: impl IntoIterator<Item = (&'a str, String)>, pair: impl Fn(&str, &str) -> String) -> String {
    let there = fields.into_iter().filter(|(_, value)| !value.is_empty());
    there.map(|(name, value)| pair(name, &value)).collect()
}

#[cfg(test)]
pub(crate) mod testing {
    //! An event with everything in it.

    use std::borrow::Cow;

    use crate::store::LoggedEvent;
    use crate::store::event::{EventEntry, OutcomeEntry};

    /// A refusal whose texts are as hostile as `text`.
    pub(crate) fn refused(text: &str) -> LoggedEvent {
        let owned = |text: &str| Cow::Owned(text.to_owned());
        LoggedEvent {
            sequence: 12,
            hash: [0x5b; 32],
            event: EventEntry {
                at: "2026-06-01T12:00:00Z".parse().unwrap(),
                request_id: owned("r-1"),
                source: owned("192.0.2.7:4711"),
                tenant: owned("acme"),
                label: owned("devices"),
                operation: owned("simpleenroll"),
                peer: Some([0xab; 32]),
                device: Some(owned(text)),
                outcome: OutcomeEntry::Refused {
                    code: owned("subject_mismatch"),
                    reason: owned(text),
                    clause: None,
                    step: None,
                },
                actor: Some(owned("olga")),
                credential: None,
            },
            certificate: None,
            suppressed: 3,
        }
    }
}
