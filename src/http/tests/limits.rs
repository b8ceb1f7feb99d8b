//! Size and time.

use super::*;

#[tokio::test]
async fn bodies_have_a_limit() {
    let fixture = testing::enrolled();
    let limits = HttpLimits { max_body: 2048, ..HttpLimits::default() };
    let mut client = Client::connect(&fixture, limits);
    let fits = format!("{}{}", fixture.request.trim(), " ".repeat(2048 - fixture.request.trim().len()));
    assert_eq!(client.exchange(post(ENROLL, "", &fits)).await.status, 200);
    // Announced: answered without waiting for any of it.
    let announced = post(ENROLL, "", "").replace("Length: 0", "Length: 2049");
    let answer = client.exchange(announced).await;
    assert_eq!((answer.status, field(&answer.head, "Connection")), (413, Some("close")));
    assert_eq!(client.rest().await, "");
    // Not announced.
    let mut client = Client::connect(&fixture, limits);
    let chunked = post(ENROLL, "", "").replace("Content-Length: 0", "Transfer-Encoding: chunked");
    client.send(chunked + "1000\r\n" + &"A".repeat(4096)).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, field(&answer.head, "Connection")), (413, Some("close")));
    assert!(is_text(&answer, "body_too_large"));
}

#[tokio::test]
async fn heads_have_a_limit() {
    let fixture = testing::enrolled();
    let mut client = Client::connect(&fixture, HttpLimits { max_header: 1000, ..HttpLimits::default() });
    let answer = client.exchange(format!("GET {CACERTS} HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(1000))).await;
    assert_eq!(answer.status, 431);
    assert!(is_text(&answer, "header_too_large"));
    assert_eq!(client.rest().await, "");
}

#[tokio::test(start_paused = true)]
async fn slow_clients_are_cut_off() {
    let fixture = testing::enrolled();
    let limits = HttpLimits {
        header_timeout: Duration::from_secs(10),
        body_timeout: Duration::from_secs(20),
        idle_timeout: Duration::from_secs(60),
        ..HttpLimits::default()
    };
    let start = tokio::time::Instant::now();
    let mut idle = Client::connect(&fixture, limits);
    assert_eq!(idle.rest().await, "");
    assert_eq!(start.elapsed().as_secs(), 60);

    let start = tokio::time::Instant::now();
    let mut slow_head = Client::connect(&fixture, limits);
    for _ in 0..9 {
        slow_head.send("G").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(slow_head.rest().await, "");
    assert_eq!(start.elapsed().as_secs(), 10, "an octet now and then does not extend it");

    let start = tokio::time::Instant::now();
    let mut slow_body = Client::connect(&fixture, limits);
    slow_body.send(post(ENROLL, "", "").replace("Length: 0", "Length: 100")).await;
    let answer = slow_body.answer().await;
    assert_eq!((answer.status, field(&answer.head, "Connection")), (408, Some("close")));
    assert!(is_text(&answer, "body_timeout"));
    assert_eq!(start.elapsed().as_secs(), 20);

    let start = tokio::time::Instant::now();
    let mut again = Client::connect(&fixture, limits);
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert_eq!(again.exchange(get(CACERTS)).await.status, 200);
    assert_eq!(again.rest().await, "");
    assert_eq!(start.elapsed().as_secs(), 110, "each request starts the idle time anew");
}

#[tokio::test]
async fn shutdown_finishes_the_request_in_flight() {
    let fixture = testing::enrolled();
    let mut idle = Client::connect(&fixture, HttpLimits::default());
    assert_eq!(idle.exchange(get(CACERTS)).await.status, 200);
    idle.shutdown.take().unwrap().send(()).unwrap();
    assert_eq!(idle.rest().await, "");

    let mut busy = Client::connect(&fixture, HttpLimits::default());
    let request = post(ENROLL, "", &fixture.request);
    let (first, second) = request.split_at(request.len() - 5);
    busy.send(first).await;
    tokio::task::yield_now().await;
    busy.shutdown.take().unwrap().send(()).unwrap();
    tokio::task::yield_now().await;
    assert_eq!(busy.exchange(second).await.status, 200);
    assert_eq!(busy.rest().await, "");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_takes_is_given_up() {
    let fixture = testing::enrolled();
    let start = tokio::time::Instant::now();
    let mut client = Client::connect_through(&fixture, HttpLimits::default(), 256);
    client.send(get(CACERTS)).await;
    client.server.await.unwrap();
    assert_eq!(start.elapsed(), HttpLimits::default().body_timeout);
}

#[tokio::test(start_paused = true)]
async fn a_closed_connection_is_still_read_for_a_while() {
    let fixture = testing::enrolled();
    let announced = post(ENROLL, "", "").replace("Length: 0", "Length: 99999999");
    let start = tokio::time::Instant::now();
    let mut client = Client::connect_through(&fixture, HttpLimits::default(), 4096);
    assert_eq!(client.exchange(&announced).await.status, 413);
    assert_eq!(client.rest().await, "");
    client.send(vec![b'A'; 500_000]).await;
    client.server.await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 2, "by time");

    let start = tokio::time::Instant::now();
    let mut client = Client::connect_through(&fixture, HttpLimits::default(), 4096);
    assert_eq!(client.exchange(&announced).await.status, 413);
    client.stream.write_all(&vec![b'A'; 2_000_000]).await.unwrap_err();
    client.server.await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 0, "by size");
}

#[tokio::test]
async fn who_would_be_answered_too_late_is_sent_away_at_once_and_the_others_are_answered() {
    let limits = HttpLimits { target_latency: Duration::from_millis(10), ..HttpLimits::default() };
    let fixture = testing::enrolled_in(MemoryStore::holding_back());
    let edge = edge(&fixture, limits);
    let presented = || PresentedChain::possession_proven(vec![fixture.birth_certificate.clone()]);
    let connect = || Client::connect_to(&edge, presented(), &fixture, 1 << 20);
    let request = post(ENROLL, "", &fixture.request);
    let mut clients: Vec<Client> = (0..40).map(|_| connect()).collect();
    // At first nothing is known of how fast the line moves: it takes a fifth of a second here.
    for client in &mut clients {
        client.send(&request).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    fixture.store.settle(Ok(()));
    for client in &mut clients {
        assert_eq!(client.answer().await.status, 200);
    }

    // Sixteen stand in line in any case, and wait for the disk; whoever comes now does not wait with them.
    for client in &mut clients[..16] {
        // At another label: the answer of before is not given again.
        client.send(post("/.well-known/est/other/simpleenroll", "", &fixture.request)).await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let answer = timeout(Duration::from_secs(5), clients[16].exchange(&request)).await.unwrap();
    assert!(answer.status == 503 && is_text(&answer, "overloaded"), "{answer:?}");
    let seconds: u32 = field(&answer.head, "Retry-After").unwrap().parse().unwrap();
    assert!((1..=301).contains(&seconds), "in digits: {seconds}");
    let fetched = timeout(Duration::from_secs(5), clients[16].exchange(get(CACERTS))).await.unwrap();
    assert_eq!(fetched.status, 200, "what needs no line is served on the same connection");
    fixture.store.settle(Ok(()));
    for client in &mut clients[..16] {
        assert_eq!(client.answer().await.status, 200);
    }
    // The line is empty again.
    client_is_served(&mut clients[16], &request, &fixture).await;
}

async fn client_is_served(client: &mut Client, request: &str, fixture: &Enrolled) {
    client.send(request).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    fixture.store.settle(Ok(()));
    assert_eq!(client.answer().await.status, 200);
}
