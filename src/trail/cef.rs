//! ArcSight Common Event Format, version 0.
//!
//! `CEF:0|vendor|product|version|signature id|name|severity|extension`. In the header `|` and `\` are escaped, in the
//! extension `=` and `\`; a line break in a value stands as `\n` or `\r`.

use std::net::{IpAddr, SocketAddr};

use chrono::DateTime;

use super::{Event, pairs};

/// The event in one line, without its end.
pub(super) fn record(event: &Event) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let signature = match &event.code {
        Some(code) => format!("{}:{code}", event.kind),
        None => event.kind.to_owned(),
    };
    let (name, severity) = class(event.kind);
    let extension = pairs(extension(event), |name, value| format!("{name}={} ", escaped(value)));
    let extension = extension.trim_end();
    format!("CEF:0|estd|estd|{version}|{}|{name}|{severity}|{extension}", header(&signature))
}

/// What people call it, and how grave it is, 0 to 10.
fn class(kind: &str) -> (&'static str, u8) {
    match kind {
        "issued" => ("Certificate issued", 1),
        "repeated" => ("Certificate handed out again", 1),
        "deferred" => ("Request waits for an operator", 2),
        "released" => ("Certificate released from hold", 3),
        "changed" => ("Registry or server changed", 3),
        "refused" => ("Request refused", 4),
        "revoked" => ("Certificate revoked", 5),
        "failed" => ("Server failed", 7),
        "alarm" => ("Alarm", 8),
        _ => ("Event", 3),
    }
}

fn extension(event: &Event) -> Vec<(&'static str, String)> {
    let at = DateTime::parse_from_rfc3339(&event.at).map(|at| at.timestamp_millis().to_string()).unwrap_or_default();
    let outcome = match event.kind {
        "refused" | "failed" => "failure",
        _ => "success",
    };
    let mut fields = vec![
        ("rt", at),
        ("externalId", event.sequence.to_string()),
        ("act", event.operation.clone()),
        ("outcome", outcome.to_owned()),
        ("reason", event.code.clone().unwrap_or_default()),
    ];
    match event.source.parse::<SocketAddr>() {
        Ok(source) => {
            // The key src holds an IPv4 address and nothing else; IPv6 has a key of its own.
            match source.ip().to_canonical() {
                IpAddr::V4(address) => fields.push(("src", address.to_string())),
                IpAddr::V6(address) => {
                    fields.extend(labelled("c6a2Label", "Source IPv6 Address", "c6a2", &address.to_string()));
                }
            }
            fields.push(("spt", source.port().to_string()));
        }
        Err(_) => fields.push(("shost", event.source.clone())),
    }
    fields.push(("suser", event.actor.clone().unwrap_or_default()));
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    fields.extend(labelled("cs1Label", "tenant", "cs1", &event.tenant));
    fields.extend(labelled("cs2Label", "label", "cs2", &event.label));
    fields.extend(labelled("cs3Label", "device", "cs3", &text(&event.device)));
    fields.extend(labelled("cs4Label", "serials", "cs4", &event.serials.join(",")));
    fields.extend(labelled("cs5Label", "credential", "cs5", &text(&event.credential)));
    fields.extend(labelled("cs6Label", "peerCertificate", "cs6", &text(&event.peer)));
    if event.suppressed > 0 {
        fields.extend(labelled("cn1Label", "suppressed", "cn1", &event.suppressed.to_string()));
    }
    fields.push(("estdRequestId", event.request_id.clone()));
    fields.push(("msg", text(&event.what)));
    fields
}

/// A custom field with its label, or neither.
fn labelled(
    label: &'static str,
    name: &'static str,
    key: &'static str,
    value: &str,
) -> impl Iterator<Item = (&'static str, String)> {
    let fields = [(label, name.to_owned()), (key, value.to_owned())];
    fields.into_iter().filter({
        let there = !value.is_empty();
        move |_| there
    })
}

fn header(text: &str) -> String {
    super::visible(text, |character, written| {
        if matches!(character, '|' | '\\') {
            written.push('\\');
        }
        written.push(character);
    })
}

fn escaped(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for part in text.split_inclusive(['\n', '\r']) {
        let (value, end) = match part.strip_suffix('\n') {
            Some(value) => (value, "\\n"),
            None => part.strip_suffix('\r').map_or((part, ""), |value| (value, "\\r")),
        };
        let value = super::visible(value, |character, written| {
            if matches!(character, '=' | '\\') {
                written.push('\\');
            }
            written.push(character);
        });
        written.push_str(&value);
        written.push_str(end);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trail::testing::refused;

    #[test]
    fn a_record_is_one_line_whatever_a_device_is_called() {
        let event = Event::from(&refused("SN|1=2\\3\nCEF:0|x\r\u{7}"));
        assert_eq!(
            record(&event),
            format!(
                "CEF:0|estd|estd|{}|refused:subject_mismatch|Request refused|4|rt=1780315200000 externalId=12 \
                 act=simpleenroll outcome=failure reason=subject_mismatch src=192.0.2.7 spt=4711 suser=olga \
                 cs1Label=tenant cs1=acme cs2Label=label cs2=devices cs3Label=device \
                 cs3=SN|1\\=2\\\\3\\nCEF:0|x\\r\\\\u{{7}} cs6Label=peerCertificate cs6={} cn1Label=suppressed cn1=3 \
                 estdRequestId=r-1 msg=SN|1\\=2\\\\3\\nCEF:0|x\\r\\\\u{{7}}",
                env!("CARGO_PKG_VERSION"),
                "ab".repeat(32)
            )
        );
    }

    #[test]
    fn an_ipv6_peer_and_a_peer_without_an_address_have_their_keys() {
        let of = |source: &str| {
            let mut event = Event::from(&refused("SN-1"));
            event.source = source.to_owned();
            record(&event)
        };
        assert!(of("[2001:db8::7]:9").contains(" c6a2Label=Source IPv6 Address c6a2=2001:db8::7 spt=9 "));
        assert!(of("[::ffff:192.0.2.7]:9").contains(" src=192.0.2.7 spt=9 "));
        assert!(of("local").contains(" shost=local suser="));
    }

    #[test]
    fn a_header_field_ends_at_no_bar_of_its_own() {
        assert_eq!(header("a|b\\c\n"), "a\\|b\\\\c\\\\u{a}");
    }
}
