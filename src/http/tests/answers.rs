//! What is answered, and what must have happened before.

use super::*;

#[tokio::test]
async fn answers_have_the_shape_that_clients_accept() {
    let fixture = testing::enrolled();
    let mut client = Client::connect(&fixture, HttpLimits::default());
    let answer = client.exchange(get(CACERTS)).await;
    let date = field(&answer.head, "Date").unwrap();
    let expected = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/pkcs7-mime\r\nContent-Length: {}\r\n\
         Content-Transfer-Encoding: base64\r\nX-Request-Id: abababababababab00000000\r\nDate: {date}\r\n\r\n",
        answer.body.len()
    );
    assert_eq!(answer.head, expected);
    assert_eq!(client.writes.load(Ordering::SeqCst), 1, "head and body leave in one write");

    let answer = client.exchange(post(ENROLL, "", &fixture.request)).await;
    let expected = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/pkcs7-mime; smime-type=certs-only\r\nContent-Length: {}\r\n\
         Content-Transfer-Encoding: base64\r\nCache-Control: no-store\r\nX-Request-Id: abababababababab00000001\r\n\
         Date: {}\r\n\r\n",
        answer.body.len(),
        field(&answer.head, "Date").unwrap()
    );
    assert_eq!(answer.head, expected);
    assert!(answer.head.len() < 1024);
    assert_eq!(client.writes.load(Ordering::SeqCst), 2);
    assert!(answer.body.ends_with('\n') && answer.body.starts_with("MII"));
}

#[tokio::test]
async fn csrattrs_without_wishes_are_204_without_a_body() {
    let fixture = testing::enrolled();
    let mut client = Client::connect(&fixture, HttpLimits::default());
    let answer = client.exchange(get("/.well-known/est/csrattrs")).await;
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    for absent in ["Content-Type", "Content-Length", "Transfer-Encoding"] {
        assert_eq!(field(&answer.head, absent), None, "{absent}");
    }
    let answer = client.exchange(post("/.well-known/est/csrattrs", "", "AAAA")).await;
    assert_eq!((answer.status, field(&answer.head, "Allow")), (405, Some("GET, HEAD")));
}

/// RFC 7030 section 4.2.3, RFC 9110 section 10.2.3.
#[tokio::test]
async fn a_request_that_waits_is_202_with_seconds_and_a_sentence() {
    let fixture = testing::enrolled();
    let mut client = Client::connect(&fixture, HttpLimits::default());
    let answer = client.exchange(post("/.well-known/est/cmc-waits/simpleenroll", "", &fixture.request)).await;
    assert_eq!((answer.status, field(&answer.head, "Retry-After")), (202, Some("60")));
    assert!(is_text(&answer, "deferred"), "{answer:?}");
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let fixture = testing::enrolled();
    let mut client = Client::connect(&fixture, HttpLimits::default());
    let get = client.exchange(get(CACERTS)).await;
    client.send(format!("HEAD {CACERTS} HTTP/1.1\r\nHost: est.example\r\n\r\n")).await;
    let head = client.answer_to(false).await.unwrap();
    let without_id = |head: &str| head.split("X-Request-Id").next().unwrap().to_owned();
    assert_eq!(without_id(&head.head), without_id(&get.head));
    assert_eq!(client.exchange(self::get(CACERTS)).await.status, 200, "no body followed");
}

#[tokio::test]
async fn refusals_are_text_and_leave_the_connection_usable() {
    let fixture = testing::enrolled();
    let mut client = Client::connect(&fixture, HttpLimits::default());
    for (request, status, code) in [
        (get("/"), 404, "not_found"),
        (get("/.well-known/EST/cacerts"), 404, "not_found"),
        (get("/.well-known/est/%63acerts"), 404, "not_found"),
        (get("/.well-known/est/%2e%2e/cacerts"), 404, "not_found"),
        (get("/.well-known/est/../est/cacerts"), 404, "not_found"),
        (get("/.well-known/est//cacerts"), 404, "not_found"),
        (get("//.well-known/est/cacerts"), 404, "not_found"),
        (get("/.well-known/est/cacerts/"), 404, "not_found"),
        (get("/.well-known/est/a/b/cacerts"), 404, "not_found"),
        (get("/.well-known/est/nope/cacerts"), 404, "not_found"),
        (post("/.well-known/est/fullcmc", "", "AAAA"), 404, "not_found"),
        (post(CACERTS, "", "AAAA"), 405, "method_not_allowed"),
        (get(ENROLL), 405, "method_not_allowed"),
        (post(ENROLL, "", "AAAA").replace("application/pkcs10", "text/plain"), 415, "unsupported_media_type"),
        (post(ENROLL, "", "AAAA").replace("Content-Type", "X-Type"), 415, "unsupported_media_type"),
        (post(ENROLL, "", ""), 400, "bad_encoding"),
        (post(ENROLL, "", "*"), 400, "bad_encoding"),
    ] {
        let answer = client.exchange(&request).await;
        assert_eq!(answer.status, status, "{request}");
        assert!(is_text(&answer, code), "{answer:?}");
        assert_eq!(field(&answer.head, "Connection"), None);
        assert_eq!(field(&answer.head, "Allow").is_some(), status == 405);
        assert_eq!(field(&answer.head, "Accept"), (status == 415).then_some("application/pkcs10"));
    }
    assert_eq!(client.exchange(get(CACERTS)).await.status, 200);
}

#[tokio::test]
async fn allow_names_the_methods_of_the_operation() {
    let fixture = testing::enrolled();
    let mut client = Client::connect(&fixture, HttpLimits::default());
    let answer = client.exchange(get(CACERTS).replace("GET", "DELETE")).await;
    assert_eq!(field(&answer.head, "Allow"), Some("GET, HEAD"));
    let answer = client.exchange(get(ENROLL).replace("GET", "PUT")).await;
    assert_eq!(field(&answer.head, "Allow"), Some("POST"));
}

#[tokio::test]
async fn media_type_and_transfer_encoding_are_read_as_clients_write_them() {
    let fixture = testing::enrolled();
    let mut client = Client::connect(&fixture, HttpLimits::default());
    for fields in
        ["", "Content-Transfer-Encoding: binary\r\n", "Accept: text/html\r\nContent-Transfer-Encoding: 8bit\r\n"]
    {
        let request = post(ENROLL, fields, &fixture.request)
            .replace("application/pkcs10", "Application/PKCS10 ; name=smime.p10; charset=UTF-8");
        assert_eq!(client.exchange(&request).await.status, 200);
    }
    assert_eq!(client.exchange(get(&format!("{CACERTS}?x=1"))).await.status, 200, "a query names nothing");
}

#[tokio::test]
async fn every_request_leaves_one_audit_event_but_a_fetch_of_the_cas() {
    let fixture = testing::enrolled();
    let mut client = Client::connect(&fixture, HttpLimits::default());
    client.send(get(CACERTS) + &get("/") + &get(ENROLL) + &post(ENROLL, "", "*")).await;
    client.send(post(ENROLL, "", &fixture.request) + "GET / HTTP/1.1\n").await;
    client.rest().await;
    let events = fixture.store.events();
    let codes: Vec<&str> = events
        .iter()
        .map(|event| match &event.outcome {
            AuditOutcome::Refused { code, .. } => code.as_str(),
            AuditOutcome::Issued { .. } => "issued",
            AuditOutcome::Deferred
            | AuditOutcome::Failed
            | AuditOutcome::Revoked { .. }
            | AuditOutcome::RevokedTogether { .. }
            | AuditOutcome::Released { .. }
            | AuditOutcome::Changed { .. }
            | AuditOutcome::Alarm { .. } => "unexpected",
        })
        .collect();
    assert_eq!(codes, ["not_found", "method_not_allowed", "bad_encoding", "issued", "bad_request"]);
    let ids: Vec<&str> = events.iter().map(|event| &event.request_id[16..]).collect();
    assert_eq!(ids, ["00000001", "00000002", "00000003", "00000004", "00000005"], "as in the answers");
}

#[tokio::test]
async fn nothing_is_answered_that_is_not_durable() {
    let fixture = testing::enrolled_in(MemoryStore::holding_back());
    let mut client = Client::connect(&fixture, HttpLimits::default());
    client.send(post(ENROLL, "", &fixture.request)).await;
    while fixture.store.certificate_count().unwrap() == 0 {
        tokio::task::yield_now().await;
    }
    assert!(timeout(Duration::from_millis(50), client.stream.read_u8()).await.is_err());
    fixture.store.settle(Err(StoreFault::Closed));
    let answer = client.answer().await;
    assert!(answer.status == 503 && is_put_off(&answer), "{answer:?}");
    let id = field(&answer.head, "X-Request-Id").unwrap();
    assert!(is_text(&answer, "unavailable") && answer.body.contains(id), "{answer:?}");

    client.send(post(ENROLL, "", &fixture.request)).await;
    while fixture.store.certificate_count().unwrap() == 0 {
        tokio::task::yield_now().await;
    }
    drop(client);
    fixture.store.settle(Ok(()));
    assert_eq!(fixture.store.certificate_count().unwrap(), 1, "who leaves loses the answer, not the record");
}

#[test]
fn what_a_client_sent_is_shown_without_its_control_characters() {
    assert_eq!(reply::printable("plain é 设备\n"), "plain é 设备\n");
    let hostile = "a\r\nSet-Cookie: x\u{1b}[2J\u{202e}\u{0}\n";
    assert_eq!(reply::printable(hostile), "a\\u{d}\\u{a}Set-Cookie: x\\u{1b}[2J\\u{202e}\\u{0}\n");
}

#[tokio::test]
async fn a_tenants_own_host_is_reached_by_those_alone_who_asked_for_it_in_the_handshake() {
    const OWN: &str = "est.globex.example";
    let mut fixture = testing::enrolled();
    for (server_name, host, status) in [
        (Some(OWN), OWN, 200),
        (Some("EST.globex.example"), "est.GLOBEX.example:8443", 200),
        (Some(OWN), "est.example", 421),
        (Some("est.example"), OWN, 421),
        (None, OWN, 421),
        (None, "est.example", 200),
        (Some("est.example"), "192.0.2.1:8443", 200),
    ] {
        fixture.server_name = server_name.map(str::to_owned);
        let mut client = Client::connect(&fixture, HttpLimits::default());
        let answer = client.exchange(format!("GET {CACERTS} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(answer.status, status, "{server_name:?}, {host}");
        assert_eq!(answer.body.contains("misdirected"), status == 421);
    }
    let labels = |path: &'static str| {
        fixture.server_name = Some(OWN.to_owned());
        let mut client = Client::connect(&fixture, HttpLimits::default());
        async move { client.exchange(format!("GET {path} HTTP/1.1\r\nHost: {OWN}\r\n\r\n")).await.status }
    };
    let mut labels = labels;
    assert_eq!(labels("/.well-known/est/devices/cacerts").await, 200);
    assert_eq!(labels("/.well-known/est/other/cacerts").await, 404, "the labels of the others are not there");
}
