//! Where requests begin and end, and where connections do.

use super::*;

#[tokio::test]
async fn the_host_is_checked() {
    let fixture = testing::enrolled();
    for (head, status) in [
        (format!("GET {CACERTS} HTTP/1.1\r\n"), 400),
        (format!("GET {CACERTS} HTTP/1.1\r\nHost: a\r\nHost: a\r\n"), 400),
        (format!("GET {CACERTS} HTTP/1.1\r\nHost:\r\n"), 400),
        (format!("GET {CACERTS} HTTP/1.1\r\nHost: a b\r\n"), 400),
        (format!("GET {CACERTS} HTTP/1.1\r\nHost: user@a\r\n"), 400),
        (format!("GET {CACERTS} HTTP/1.1\r\nHost: [::1]:8443\r\n"), 200),
        (format!("GET https://a:8443{CACERTS} HTTP/1.1\r\nHost: A:8443\r\n"), 200),
        (format!("GET https://b{CACERTS} HTTP/1.1\r\nHost: a\r\n"), 400),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n".to_owned(), 400),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n".to_owned(), 400),
        (format!("GET {CACERTS} HTTP/1.0\r\n"), 200),
        (format!("GET {CACERTS} HTTP/1.0\r\nHost: a\r\nHost: a\r\n"), 400),
    ] {
        let mut client = Client::connect(&fixture, HttpLimits::default());
        assert_eq!(client.exchange(format!("{head}\r\n")).await.status, status, "{head}");
    }
}

#[tokio::test]
async fn a_smuggling_attempt_gets_one_answer_and_the_close() {
    let fixture = testing::enrolled();
    let hidden = get(CACERTS);
    for attempt in [
        format!(
            "POST {ENROLL} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"
        ),
        format!("POST {ENROLL} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nAAAA{hidden}"),
        format!("GET {CACERTS} HTTP/1.1\nHost: a\n\n{hidden}"),
        format!("GET {CACERTS}#f HTTP/1.1\r\nHost: a\r\n\r\n{hidden}"),
        format!("GET {CACERTS} HTTP/1.1\r\nHost : a\r\n\r\n{hidden}"),
    ] {
        let mut client = Client::connect(&fixture, HttpLimits::default());
        let answer = client.exchange(&attempt).await;
        assert_eq!(answer.status, 400, "{attempt}");
        assert!(is_text(&answer, "bad_request"));
        assert_eq!(field(&answer.head, "Connection"), Some("close"));
        assert_eq!(client.rest().await, "");
    }
    let mut client = Client::connect(&fixture, HttpLimits::default());
    let broken = format!(
        "POST {ENROLL} HTTP/1.1\r\nHost: a\r\nContent-Type: application/pkcs10\r\nTransfer-Encoding: chunked\r\n\r\n4\nAAAA"
    );
    let answer = client.exchange(broken + &hidden).await;
    assert!(is_text(&answer, "bad_request"));
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_up_to_the_one_refused() {
    let fixture = testing::enrolled();
    let mut client = Client::connect(&fixture, HttpLimits::default());
    // libest ends its body with a CRLF that Content-Length does not count.
    let enroll = post(ENROLL, "", &fixture.request) + "\r\n";
    client.send(format!("{}{enroll}{}GET / HTTP/1.1\n\n{}", get(CACERTS), get("/"), get(CACERTS))).await;
    let mut statuses = Vec::new();
    while let Some(answer) = client.answer_to(true).await {
        statuses.push(answer.status);
    }
    assert_eq!(statuses, [200, 200, 404, 400]);
}

#[tokio::test]
async fn chunked_bodies_are_accepted() {
    let fixture = testing::enrolled();
    let mut client = Client::connect(&fixture, HttpLimits::default());
    let (first, second) = fixture.request.split_at(10);
    let chunked = post(ENROLL, "", "").replace("Content-Length: 0", "Transfer-Encoding: chunked");
    let chunked = format!("{chunked}a\r\n{first}\r\n{:X};x=y\r\n{second}\r\n0\r\n\r\n", second.len());
    assert_eq!(client.exchange(&chunked).await.status, 200);
    assert_eq!(client.exchange(&chunked).await.status, 200);
}

#[tokio::test]
async fn who_expects_a_100_gets_it_or_a_final_answer() {
    let fixture = testing::enrolled();
    let mut client = Client::connect(&fixture, HttpLimits::default());
    let request = post(ENROLL, "Expect: 100-continue\r\n", &fixture.request);
    let (head, body) = request.split_at(request.len() - fixture.request.len());
    assert_eq!(client.exchange(head).await.status, 100);
    assert_eq!(client.exchange(body).await.status, 200);
    let answer = client.exchange(head.replace("simpleenroll", "nope")).await;
    assert_eq!((answer.status, field(&answer.head, "Connection")), (404, Some("close")));
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn connection_close_and_the_end_of_the_input_are_honoured() {
    let fixture = testing::enrolled();
    let mut client = Client::connect(&fixture, HttpLimits::default());
    client.send(get(CACERTS).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")).await;
    assert_eq!(client.answer().await.status, 200);
    assert_eq!(client.rest().await, "");

    let mut client = Client::connect(&fixture, HttpLimits::default());
    client.send(post(ENROLL, "", &fixture.request)).await;
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.answer().await.status, 200, "a client may close its side before the answer");
    assert_eq!(client.rest().await, "");
    client.server.await.unwrap();
}
