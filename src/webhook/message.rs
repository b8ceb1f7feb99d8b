//! What is sent of an event (Standard Webhooks, sections "Payload structure" and "Webhook metadata").

use serde::Serialize;

use super::event_type::EventType;
use crate::pki::digest::hex;
use crate::store::LoggedEvent;
use crate::trail::Event;

/// Octets of a record's hash in the id of its event.
const HASH_OCTETS: usize = 8;

/// An event, ready to be sent as often as it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// The same for every attempt, and for no other event of any server, not even one that was lost and whose number the next
    /// one got: receivers tell repetitions by it.
    pub(super) id: String,
    /// JSON.
    pub(super) body: Vec<u8>,
}

#[derive(Serialize)]
struct Payload<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    /// When it happened; when it is sent stands in webhook-timestamp.
    timestamp: &'a str,
    data: &'a Event,
}

impl Message {
    /// `instance` tells this server from others.
    ///
    /// # Errors
    /// When the event has no form as JSON.
    pub(super) fn of(instance: &str, kind: EventType, logged: &LoggedEvent) -> Result<Self, serde_json::Error> {
        let event = Event::from(logged);
        let payload = Payload { kind: kind.as_str(), timestamp: &event.at, data: &event };
        let id = format!("evt_{instance}_{}_{}", logged.sequence, hex(&logged.hash[..HASH_OCTETS]));
        Ok(Self { id, body: serde_json::to_vec(&payload)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trail::testing::refused;

    #[test]
    fn a_message_has_a_type_a_time_and_the_event_as_the_api_shows_it() {
        let message = Message::of("0a1b", EventType::EnrollmentRefused, &refused("SN-1")).unwrap();
        let body: serde_json::Value = serde_json::from_slice(&message.body).unwrap();
        assert_eq!(message.id, "evt_0a1b_12_5b5b5b5b5b5b5b5b");
        assert_eq!(body["type"], "enrollment.refused");
        assert_eq!(body["timestamp"], "2026-06-01T12:00:00Z");
        assert_eq!((&body["data"]["code"], &body["data"]["device"]), (&"subject_mismatch".into(), &"SN-1".into()));
    }
}
