//! renewal-info on the wire.

use super::*;
use crate::est::transfer;
use estd_asn1::{Certificate, certs_only};

/// Enrolls the fixture's device and names the certificate that it got.
async fn enroll(fixture: &Enrolled, client: &mut Client) -> String {
    let answer = client.exchange(post(ENROLL, "", &fixture.request)).await;
    let certificate = certs_only::decode(&transfer::decode(answer.body.as_bytes()).unwrap(), 1).unwrap().pop().unwrap();
    let certificate = Certificate::decode(&certificate).unwrap();
    let key_identifier = transfer::encode_base64url(&certificate.authority_key_identifier().unwrap().unwrap());
    format!("{key_identifier}.{}", transfer::encode_base64url(certificate.serial()))
}

#[tokio::test]
async fn the_window_is_told_in_json_to_whoever_holds_the_certificate() {
    let fixture = testing::enrolled();
    let name = enroll(&fixture, &mut Client::connect(&fixture, HttpLimits::default())).await;
    // Without a certificate: it may have ended.
    let mut client = Client::anonymous(&fixture, HttpLimits::default());
    let path = format!("/.well-known/est/renewal-info/{name}");
    let answer = client.exchange(get(&path)).await;
    let retry_after = field(&answer.head, "Retry-After").unwrap();
    assert!((16_200..=21_600).contains(&retry_after.parse::<u32>().unwrap()), "in digits: {retry_after}");
    let expected = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         Retry-After: {retry_after}\r\nX-Request-Id: abababababababab00000000\r\nDate: {}\r\n\r\n",
        answer.body.len(),
        field(&answer.head, "Date").unwrap()
    );
    assert_eq!(answer.head, expected);
    // draft-ietf-lamps-est-renewal-info section 3.2.1: no base64 around it.
    let window: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    let moment = |end: &str| {
        let text = window["suggestedWindow"][end].as_str().unwrap();
        chrono::DateTime::parse_from_rfc3339(text).unwrap()
    };
    assert_eq!(moment("end") - moment("start"), chrono::TimeDelta::hours(1));

    let labelled = client.exchange(get(&format!("/.well-known/est/devices/renewal-info/{name}"))).await;
    assert_eq!(labelled.body, answer.body, "the default label by its name");
    client.send(get(&path).replace("GET", "HEAD")).await;
    assert_eq!(client.answer_to(false).await.unwrap().status, 200);

    for (request, status, code) in [
        (get(&format!("/.well-known/est/other/renewal-info/{name}")), 404, "not_found"),
        (get("/.well-known/est/renewal-info/AQ.AQ"), 404, "not_found"),
        (get("/.well-known/est/renewal-info"), 404, "not_found"),
        (get(&format!("{path}/")), 404, "not_found"),
        (get(&format!("{path};")), 400, "bad_request"),
        (get(&format!("{path}=")), 400, "bad_request"),
        (get("/.well-known/est/renewal-info/AQ"), 400, "bad_request"),
        (post(&path, "", "AAAA"), 405, "method_not_allowed"),
    ] {
        let answer = client.exchange(&request).await;
        assert_eq!(answer.status, status, "{request}");
        assert!(is_text(&answer, code), "{answer:?}");
    }
}
