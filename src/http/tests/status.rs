//! The status listener.

use super::*;

#[tokio::test]
async fn the_status_listener_shows_health_and_metrics() {
    let metrics = Arc::new(Metrics::new());
    let _open = metrics.connection_opened();
    metrics.handshake_done("1.3");
    metrics.gauge("journal_queue", "Records that wait for the disk", || 7);
    metrics.tenant_gauge("tenant_devices", "Devices of tenants that have a quota", || vec![("acme".to_owned(), 3)]);
    let _in_line = metrics.request_in_line();
    let read = |tenant: &str, value| Reading { labels: vec![("tenant", tenant.to_owned())], value };
    metrics.gauges("authority_not_after_seconds", "Its end", move || vec![read("acme", 5), read("globex", 6)]);
    metrics.request(
        None,
        None,
        metrics::Outcome::Refused(crate::est::RejectionCode::NotFound),
        Duration::from_millis(3),
    );
    let healthy = Arc::new(AtomicUsize::new(1));
    let asked = Arc::clone(&healthy);
    let edge = StatusEdge::new(metrics, move || asked.load(Ordering::SeqCst) == 1, {
        let asked = Arc::clone(&healthy);
        move || if asked.load(Ordering::SeqCst) == 1 { vec![] } else { vec!["one".to_owned(), "two".to_owned()] }
    });
    let (mut stream, far) = tokio::io::duplex(1 << 16);
    let server = tokio::spawn(serve_status_connection(far, Arc::new(edge), std::future::pending()));
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let mut page = String::new();
    while !page.ends_with("# EOF\n") {
        page.push(char::from(stream.read_u8().await.unwrap()));
    }
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.contains("\r\n\r\nok\n"), "{page}");
    for line in [
        "estd_connections_open 1",
        "estd_journal_queue 7",
        "estd_tenant_devices{tenant=\"acme\"} 3",
        "estd_requests_in_line 1",
        "estd_authority_not_after_seconds{tenant=\"acme\"} 5",
        "estd_authority_not_after_seconds{tenant=\"globex\"} 6",
        "estd_handshakes_total{version=\"1.3\"} 1",
        "estd_requests_total{operation=\"-\",tenant=\"-\",label=\"-\",code=\"not_found\"} 1",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} in {page}");
    }
    healthy.store(0, Ordering::SeqCst);
    stream
        .write_all(
            b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        )
        .await
        .unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest.matches("HTTP/1.1 503 ").count(), 2, "{rest}");
    assert!(rest.ends_with("\r\n\r\none; two\n"), "{rest}");
    server.await.unwrap();
}
