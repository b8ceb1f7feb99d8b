//! Syslog messages (RFC 5424), everything in the structured data.

use super::{Event, pairs, visible};

/// RFC 5424 section 6.2.1: log audit.
const FACILITY: u8 = 13;

/// RFC 5424 section 6.3.2 wants the private enterprise number of who defines the element. estd has none; 32473 is that of
/// examples (RFC 5612).
const ELEMENT: &str = "estd@32473";

/// The event as a message, on one line, without its end.
pub(super) fn message(event: &Event) -> String {
    let priority = FACILITY * 8 + severity(event.kind);
    // RFC 5424 §6.3.3: an element's name may stand once only, so may each parameter here.
    let parameters = pairs(parameters(event), |name, value| format!(" {name}=\"{}\"", escaped(value)));
    let text = match &event.code {
        Some(code) => format!("{} {code}", event.kind),
        None => event.kind.to_owned(),
    };
    // HOSTNAME and PROCID are not known here: NILVALUE (RFC 5424 §6.2.4).
    format!("<{priority}>1 {} - estd - {} [{ELEMENT}{parameters}] {}", event.at, event.kind, ascii(&text))
}

/// RFC 5424 section 6.2.1.
fn severity(kind: &str) -> u8 {
    match kind {
        "alarm" => 2,
        "failed" => 3,
        "refused" => 4,
        "issued" | "repeated" | "deferred" => 6,
        _ => 5,
    }
}

fn parameters(event: &Event) -> [(&'static str, String); 13] {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let suppressed = if event.suppressed > 0 { event.suppressed.to_string() } else { String::new() };
    [
        ("sequence", event.sequence.to_string()),
        ("tenant", event.tenant.clone()),
        ("label", event.label.clone()),
        ("operation", event.operation.clone()),
        ("device", text(&event.device)),
        ("serials", event.serials.join(",")),
        ("actor", text(&event.actor)),
        ("credential", text(&event.credential)),
        ("peer", text(&event.peer)),
        ("source", event.source.clone()),
        ("requestId", event.request_id.clone()),
        ("suppressed", suppressed),
        ("what", text(&event.what)),
    ]
}

/// RFC 5424 section 6.3.3: `"`, `\` and `]` are escaped in a value.
fn escaped(text: &str) -> String {
    visible(text, |character, written| {
        if matches!(character, '"' | '\\' | ']') {
            written.push('\\');
        }
        written.push(character);
    })
}

/// RFC 5424 section 6.4: what is not ASCII would need a byte order mark before it.
fn ascii(text: &str) -> String {
    text.chars()
        .map(|character| if character.is_ascii_graphic() || character == ' ' { character } else { '?' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trail::Format;
    use crate::trail::testing::refused;

    #[test]
    fn a_value_ends_neither_its_element_nor_its_line() {
        let event = Event::from(&refused("SN\"]\\1\n<8>1 ü"));
        let hostile = "SN\\\"\\]\\\\1\\\\u{a}<8>1 ü";
        let expected = format!(
            "<108>1 2026-06-01T12:00:00Z - estd - refused [estd@32473 sequence=\"12\" tenant=\"acme\" \
             label=\"devices\" operation=\"simpleenroll\" device=\"{hostile}\" actor=\"olga\" peer=\"{}\" \
             source=\"192.0.2.7:4711\" requestId=\"r-1\" suppressed=\"3\" what=\"{hostile}\"] refused \
             subject_mismatch",
            "ab".repeat(32)
        );
        assert_eq!(message(&event), expected);

        let mut lines = Vec::new();
        Format::Syslog.write(&event, &mut lines).unwrap();
        assert_eq!(lines, format!("{expected}\n").into_bytes());
        // RFC 6587 §3.4.1: octets are counted, not characters.
        let mut counted = Vec::new();
        Format::SyslogCounted.write(&event, &mut counted).unwrap();
        assert_eq!(counted, format!("{} {expected}", expected.len()).into_bytes());
        assert!(expected.len() > expected.chars().count());
    }
}
