//! A server's conduct: start, reload, limits, its own certificate, the end.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/folder.rs"]
mod folder;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use estd::server::{Running, Server};
use folder::Folder;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const PATIENCE: Duration = Duration::from_secs(10);

fn trust(folder: &Folder) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.path.join("ca/root.pem")).unwrap()).unwrap();
    TlsConnector::from(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
}

async fn connect(folder: &Folder, running: &Running) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(running.est_addresses()[0]).await.unwrap();
    trust(folder).connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap()
}

/// The leaf that the server shows.
async fn server_certificate(folder: &Folder, running: &Running) -> Vec<u8> {
    let connection = connect(folder, running).await;
    connection.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

/// The head of the answer to a GET.
async fn get(connection: &mut TlsStream<TcpStream>, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    answer(connection).await
}

/// One answer whose length is told, head and body.
async fn answer(connection: &mut TlsStream<TcpStream>) -> String {
    let mut text = String::new();
    let read = async {
        let mut buffer = [0; 4096];
        loop {
            let read = connection.read(&mut buffer).await.unwrap();
            assert_ne!(read, 0, "closed after {text:?}");
            text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head
                .to_ascii_lowercase()
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ").map(|length| length.parse::<usize>().unwrap()));
            if body.len() >= length.unwrap_or(0) {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.unwrap();
    text
}

#[tokio::test]
async fn a_reload_reaches_open_connections_and_closes_none() {
    let folder = Folder::new();
    let running = folder.start().await;
    let mut connection = connect(&folder, &running).await;
    assert!(get(&mut connection, "/.well-known/est/cacerts").await.starts_with("HTTP/1.1 200"));
    assert!(get(&mut connection, "/.well-known/est/late/cacerts").await.starts_with("HTTP/1.1 404"));

    folder.edit("name = \"devices\"", "name = \"late\"");
    folder.edit("default_label = \"devices\"", "default_label = \"late\"");
    assert_eq!(running.reload(folder.config()).await.unwrap(), Vec::<&str>::new());
    assert!(get(&mut connection, "/.well-known/est/late/cacerts").await.starts_with("HTTP/1.1 200"));
    assert!(get(&mut connection, "/.well-known/est/devices/cacerts").await.starts_with("HTTP/1.1 404"));

    folder.edit("data_dir = \"data\"", "data_dir = \"elsewhere\"");
    assert_eq!(running.reload(folder.config()).await.unwrap(), ["server.data_dir"]);
    running.shutdown().await;
}

#[tokio::test]
async fn the_own_certificate_is_kept_until_it_does_not_fit() {
    let folder = Folder::new();
    let running = folder.start().await;
    let first = server_certificate(&folder, &running).await;
    running.shutdown().await;

    let running = folder.start().await;
    assert_eq!(server_certificate(&folder, &running).await, first);
    folder.edit("names = [\"localhost\", \"127.0.0.1\"]", "names = [\"localhost\", \"est.example.com\"]");
    running.reload(folder.config()).await.unwrap();
    assert_ne!(server_certificate(&folder, &running).await, first);
    running.shutdown().await;
}

#[tokio::test]
async fn an_own_certificate_that_others_could_read_is_not_used_again() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    let running = folder.start().await;
    let first = server_certificate(&folder, &running).await;
    running.shutdown().await;
    let kept = folder.path.join("data/server-certificate.pem");
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&kept, fs::Permissions::from_mode(0o644)).unwrap();
    let running = folder.start().await;
    assert_ne!(server_certificate(&folder, &running).await, first);
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    running.shutdown().await;
}

#[tokio::test]
async fn one_address_gets_no_more_connections_than_its_share() {
    let folder = Folder::new();
    folder.edit("[server.tls]", "[limits]\nmax_connections_per_address = 2\n\n[server.tls]");
    let running = folder.start().await;
    let first = connect(&folder, &running).await;
    let _second = connect(&folder, &running).await;
    let third = TcpStream::connect(running.est_addresses()[0]).await.unwrap();
    assert!(trust(&folder).connect(ServerName::try_from("localhost").unwrap(), third).await.is_err());
    drop(first);
    let again = async {
        loop {
            let stream = TcpStream::connect(running.est_addresses()[0]).await.unwrap();
            if trust(&folder).connect(ServerName::try_from("localhost").unwrap(), stream).await.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, again).await.unwrap();
    running.shutdown().await;
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_cut_off() {
    let folder = Folder::new();
    folder.edit("[server.tls]", "[limits]\nhandshake_timeout = \"200ms\"\n\n[server.tls]");
    let running = folder.start().await;
    let mut silent = TcpStream::connect(running.est_addresses()[0]).await.unwrap();
    let read = tokio::time::timeout(PATIENCE, silent.read(&mut [0; 1])).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)));
    running.shutdown().await;
}

#[tokio::test]
async fn stopping_finishes_the_request_in_flight_and_accepts_no_other() {
    let folder = Folder::new();
    let running = folder.start().await;
    let address = running.est_addresses()[0];
    let mut connection = connect(&folder, &running).await;
    let head = "POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: localhost\r\n\
                Content-Type: application/pkcs10\r\nContent-Length: 4\r\n\r\n";
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(b"AA").await.unwrap();
    // The head must have arrived before the end is told.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let stopping = tokio::spawn(running.shutdown());
    let refused = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.unwrap();
    connection.write_all(b"AA").await.unwrap();
    let text = answer(&mut connection).await;
    assert!(text.starts_with("HTTP/1.1 4"), "{text}");
    tokio::time::timeout(PATIENCE, stopping).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_outlive_drain() {
    let folder = Folder::new();
    folder.edit("data_dir = \"data\"", "data_dir = \"data\"\ndrain = \"300ms\"");
    let running = folder.start().await;
    let mut connection = connect(&folder, &running).await;
    connection.write_all(b"GET /.well-known/est/cacerts HTTP/1.1\r\nHost:").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    tokio::time::timeout(PATIENCE, running.shutdown()).await.unwrap();
}

#[tokio::test]
async fn two_servers_share_a_process_but_not_a_data_folder() {
    let (one, other) = (Folder::new(), Folder::new());
    let (first, second) = (one.start().await, other.start().await);
    assert_ne!(first.est_addresses(), second.est_addresses());
    let refused = Server::start(one.config()).await.map(|_| ()).unwrap_err().to_string();
    assert!(refused.contains("uses this journal"), "{refused}");
    first.shutdown().await;
    second.shutdown().await;
}

#[tokio::test]
async fn the_status_listener_tells_health_and_metrics() {
    let folder = Folder::new();
    let running = folder.start().await;
    for (path, found) in [("/healthz", "ok\n"), ("/metrics", "estd_")] {
        let mut stream = TcpStream::connect(running.status_address()).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 200") && text.contains(found), "{text}");
    }
    running.shutdown().await;
}

#[test]
fn a_data_folder_of_another_kind_is_left_alone() {
    // A journal is never guessed at: a folder with a foreign file of its name does not open.
    let folder = Folder::new();
    fs::write(folder.path.join("data/journal"), "minutes of the meeting").unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    assert!(runtime.block_on(Server::start(folder.config())).is_err());
    assert_eq!(fs::read_to_string(Path::new(&folder.path).join("data/journal")).unwrap(), "minutes of the meeting");
}
