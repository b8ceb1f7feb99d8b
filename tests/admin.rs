//! The admin API: who may what, what is refused, and that nothing is half done.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/folder.rs"]
mod folder;
#[path = "admin/operations.rs"]
mod operations;

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use estd::access::Role;
use estd::server::Running;
use folder::Folder;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;

/// A server as `estd init` makes it, with a second tenant, operated over its socket.
struct Operated {
    running: Running,
    folder: Folder,
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.head))
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (field, value) = line.split_once(": ")?;
            field.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// The stable code of a problem document.
    fn code(&self) -> String {
        assert_eq!(self.field("content-type"), Some("application/problem+json"), "{}", self.head);
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        problem["type"].as_str().unwrap().strip_prefix("urn:estd:problem:").unwrap().to_owned()
    }
}

/// A request, to be sent one way or another.
#[derive(Default, Clone)]
struct Ask<'a> {
    token: Option<&'a str>,
    fields: &'a [(&'a str, &'a str)],
    body: Option<(&'a str, &'a [u8])>,
}

fn text(method: &str, path: &str, ask: &Ask<'_>) -> Vec<u8> {
    let mut head = format!("{method} /api/v1{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    if let Some(token) = ask.token {
        head.push_str(&format!("Authorization: Bearer {token}\r\n"));
    }
    for (name, value) in ask.fields {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let body = ask.body.map_or(&[][..], |(media_type, body)| {
        head.push_str(&format!("Content-Type: {media_type}\r\nContent-Length: {}\r\n", body.len()));
        body
    });
    [head.as_bytes(), b"\r\n", body].concat()
}

fn parse(octets: &[u8]) -> Answer {
    let at = octets.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(octets[..at].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body: octets[at + 4..].to_vec() }
}

impl Operated {
    async fn start(admin: &str) -> Self {
        Self::start_edited(admin, |config| config).await
    }

    /// With a configuration that was edited before `admin` and the second tenant are added.
    async fn start_edited(admin: &str, edit: impl FnOnce(String) -> String) -> Self {
        let folder = Folder::new();
        let path = folder.path.join("config.toml");
        let config = edit(fs::read_to_string(&path).unwrap());
        let tenant = &config[config.find("[[tenant]]").unwrap()..];
        let name = config.lines().find(|line| line.starts_with("name = ")).unwrap();
        let other = tenant.replacen(name, "name = \"globex\"", 1).replace("name = \"devices\"", "name = \"others\"");
        let admin = admin.replace("FOLDER", folder.path.to_str().unwrap());
        fs::write(&path, format!("{config}\n{other}\n{admin}")).unwrap();
        Self { running: folder.start().await, folder }
    }

    /// The name of the tenant that `estd init` made.
    async fn tenant(&self) -> String {
        let tenants = self.ask("GET", "/tenants", Ask::default()).await.json();
        let names = tenants["items"].as_array().unwrap().iter().map(|tenant| tenant["name"].as_str().unwrap());
        names.filter(|name| *name != "globex").collect()
    }

    /// Over the local socket, on a thread of its own as the CLI would.
    async fn ask(&self, method: &str, path: &str, ask: Ask<'_>) -> Answer {
        let (socket, octets) = (self.running.admin_socket().unwrap().to_owned(), text(method, path, &ask));
        let answered = tokio::task::spawn_blocking(move || {
            let mut stream = UnixStream::connect(socket).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            stream.write_all(&octets).unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap();
            answer
        });
        parse(&answered.await.unwrap())
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, Ask::default()).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        let body = body.to_string();
        self.ask("POST", path, Ask { body: Some(("application/json", body.as_bytes())), ..Ask::default() }).await
    }

    async fn token(&self, role: Role, tenant: Option<&str>) -> String {
        let body = json!({ "name": format!("{role}-test"), "role": role.as_str() });
        let path = tenant.map_or_else(|| "/tokens".to_owned(), |tenant| format!("/tenants/{tenant}/tokens"));
        let made = self.post(&path, &body).await;
        assert_eq!(made.status, 200, "{}", made.head);
        made.json()["token"].as_str().unwrap().to_owned()
    }

    async fn devices(&self, tenant: &str) -> usize {
        self.get(&format!("/tenants/{tenant}/devices?limit=1000")).await.json()["items"].as_array().unwrap().len()
    }

    /// The status of a request to the EST listener, from somebody without a certificate.
    async fn stranger(&self, method: &str, path: &str) -> u16 {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.folder.path.join("ca/root.pem")).unwrap()).unwrap();
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let stream = tokio::net::TcpStream::connect(self.running.est_addresses()[0]).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        let head = format!(
            "{method} /.well-known/est/{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/pkcs10\r\nContent-Length: 4\r\n\r\nMAA="
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        drop(tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.unwrap());
        parse(&answer).status
    }

    /// Over TLS.
    async fn ask_remotely(&self, identity: Option<(&str, &str)>, method: &str, path: &str, ask: Ask<'_>) -> Answer {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.folder.path.join("ca/root.pem")).unwrap()).unwrap();
        let config = ClientConfig::builder().with_root_certificates(roots);
        let config = match identity {
            Some((certificate, key)) => config
                .with_client_auth_cert(
                    vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                    PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
                )
                .unwrap(),
            None => config.with_no_client_auth(),
        };
        let stream = tokio::net::TcpStream::connect(self.running.admin_addresses()[0]).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        stream.write_all(&text(method, path, &ask)).await.unwrap();
        let mut answer = Vec::new();
        // A close without close_notify ends the answer as well.
        drop(tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.unwrap());
        parse(&answer)
    }
}

/// Who may call what: a row each operation of the document, the roles that may in the order of [`Role::ALL`].
const MATRIX: &[(&str, [bool; 5])] = &[
    ("whoAmI", [true; 5]),
    ("listTenants", [true; 5]),
    ("listLabels", [true; 5]),
    ("explainRequest", [true; 5]),
    ("listDevices", [true; 5]),
    ("importDevices", [true, false, true, true, false]),
    ("showDevice", [true; 5]),
    ("tagDevice", [true, false, true, true, false]),
    ("unlistDevice", [true, false, true, true, false]),
    ("suspendDevice", [true, false, true, true, false]),
    ("resumeDevice", [true, false, true, true, false]),
    ("resetDevice", [true, false, true, true, false]),
    ("revokeDevice", [true, false, true, true, false]),
    ("listDeviceEvents", [true; 5]),
    ("listCertificates", [true; 5]),
    ("showCertificate", [true; 5]),
    ("downloadCertificate", [true; 5]),
    ("revokeCertificate", [true, false, true, true, false]),
    ("releaseCertificate", [true, false, true, true, false]),
    ("issueCertificate", [true, false, true, true, false]),
    ("listRequests", [true; 5]),
    ("showRequest", [true; 5]),
    ("approveRequest", [true, false, true, true, false]),
    ("denyRequest", [true, false, true, true, false]),
    ("listCodes", [true; 5]),
    ("makeCodes", [true, false, true, true, false]),
    ("revokeCode", [true, false, true, true, false]),
    ("listCrls", [true; 5]),
    ("downloadCrl", [true; 5]),
    ("showTenantStatistics", [true; 5]),
    ("showTenantExpiry", [true; 5]),
    ("showStatistics", [true, true, false, false, false]),
    ("showExpiry", [true, true, false, false, false]),
    ("listTenantEvents", [true; 5]),
    ("listEvents", [true, true, false, false, false]),
    ("exportTenantEvents", [true; 5]),
    ("exportEvents", [true, true, false, false, false]),
    ("listCheckpoints", [true, true, false, false, false]),
    ("listWebhooks", [true, true, false, false, false]),
    ("listDeadLetters", [true, true, false, false, false]),
    ("redeliverDeadLetter", [true, false, false, false, false]),
    ("redeliverAll", [true, false, false, false, false]),
    ("listTenantTokens", [true, false, true, false, false]),
    ("makeTenantToken", [true, false, true, false, false]),
    ("revokeTenantToken", [true, false, true, false, false]),
    ("listTokens", [true, true, false, false, false]),
    ("makeToken", [true, false, false, false, false]),
    ("revokeToken", [true, false, false, false, false]),
    ("makeBackup", [true, false, false, false, false]),
    ("takeOverCertificates", [true, false, false, false, false]),
    ("reload", [true, false, false, false, false]),
];

#[tokio::test]
async fn each_role_may_exactly_what_the_matrix_says_and_no_tenant_sees_another() {
    let server = Operated::start("").await;
    let own = server.tenant().await;
    let document = server.get("/openapi.json").await.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut rows: std::collections::BTreeMap<_, _> = MATRIX.iter().copied().collect();
    let mut tokens = Vec::new();
    for role in Role::ALL {
        tokens.push(server.token(role, role.is_of_a_tenant().then_some(own.as_str())).await);
    }
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap();
            let may = rows.remove(name).unwrap_or_else(|| panic!("{name} has no row in the matrix"));
            let method = method.to_uppercase();
            for ((role, token), may) in Role::ALL.into_iter().zip(&tokens).zip(may) {
                for tenant in [own.as_str(), "globex", "nobody"] {
                    let path = path.strip_prefix("/api/v1").unwrap().replace("{tenant}", tenant);
                    let named = path.contains(tenant);
                    let path = path
                        .replace("{device}", "SN-none")
                        .replace("{id}", "none")
                        .replace("{code}", &"00".repeat(16))
                        .replace("{list}", "full")
                        .replace("{label}", "none");
                    let path = path.replace("{request}", &"00".repeat(32)).replace("{issuer}", &"00".repeat(32));
                    let path = path.replace("{serial}", "01").replace("{webhook}", "none").replace("{sequence}", "1");
                    // Nothing is there and no body says anything: who may gets another refusal or an empty list.
                    let answer = server.ask(&method, &path, Ask { token: Some(token), ..Ask::default() }).await;
                    let foreign = named && (tenant == "nobody" || (role.is_of_a_tenant() && tenant != own));
                    let what = format!("{role} {method} {path}: {} {:?}", answer.head, answer.body);
                    match (foreign, may) {
                        (true, _) if may || role.is_of_a_tenant() => assert_eq!(answer.status, 404, "{what}"),
                        (_, false) => assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"), "{what}"),
                        // Nobody reloads a server of a test.
                        (_, true) if name == "reload" => assert_eq!(answer.code(), "unavailable", "{what}"),
                        (_, true) => assert!(![401, 403, 405, 500, 503].contains(&answer.status), "{what}"),
                    }
                }
            }
            let anonymous = server.ask_anonymously(&method, path).await;
            assert_eq!(anonymous, 401, "{method} {path}");
        }
    }
    assert!(rows.is_empty(), "no such operations: {rows:?}");
    server.running.shutdown().await;
}

impl Operated {
    /// With a token that was never given out.
    async fn ask_anonymously(&self, method: &str, path: &str) -> u16 {
        let token = format!("estd_{}_{}", "0".repeat(16), "0".repeat(64));
        let path = path.strip_prefix("/api/v1").unwrap().replace(['{', '}'], "");
        self.ask(method, &path, Ask { token: Some(&token), ..Ask::default() }).await.status
    }
}

#[tokio::test]
async fn an_import_is_all_or_nothing_and_names_the_row() {
    let server = Operated::start("").await;
    let devices = format!("/tenants/{}/devices", server.tenant().await);
    let import = async |body: &str, query: &str| {
        let body = Some(("text/csv", body.as_bytes()));
        server.ask("POST", &format!("{devices}{query}"), Ask { body, ..Ask::default() }).await
    };
    let mut csv = String::from("id,tags\n");
    for number in 0..2_500 {
        csv.push_str(&format!("SN-{number:05},batch-7;north\n"));
    }
    let tried = import(&csv, "?dry_run=true").await;
    assert_eq!((tried.status, tried.json()), (200, json!({ "devices": 2500, "dry_run": true })));
    assert_eq!(server.devices(&server.tenant().await).await, 0);
    let bad = import(&csv.replace("SN-01234,", "SN\u{202e}01234,"), "").await;
    assert_eq!((bad.status, bad.code().as_str()), (422, "unprocessable"));
    assert!(bad.json()["detail"].as_str().unwrap().starts_with("row 1235: "), "{}", bad.json());
    assert_eq!(server.devices(&server.tenant().await).await, 0);

    assert_eq!(import(&csv, "").await.json()["devices"], 2500);
    let again = import("id\nSN-90000\nSN-00000\n", "").await;
    assert_eq!((again.status, again.code().as_str()), (409, "conflict"));
    assert_eq!(server.get(&format!("{devices}/SN-90000")).await.status, 404);

    let mut seen = Vec::new();
    let mut next = format!("{devices}?limit=700&tag=north");
    loop {
        let page = server.get(&next).await.json();
        seen.extend(page["items"].as_array().unwrap().iter().map(|device| device["id"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next"].as_str() else { break };
        next = format!("{devices}?limit=700&tag=north&cursor={cursor}");
    }
    assert_eq!(seen, (0..2_500).map(|number| format!("SN-{number:05}")).collect::<Vec<_>>());
    let few = server.get(&format!("{devices}?prefix=sn-0249")).await.json();
    assert_eq!(few["items"].as_array().unwrap().len(), 10, "{few}");
    server.running.shutdown().await;
}

#[tokio::test]
async fn a_change_meets_the_state_that_was_seen_or_is_refused() {
    let server = Operated::start("").await;
    let devices = format!("/tenants/{}/devices", server.tenant().await);
    assert_eq!(server.post(&devices, &json!([{ "id": "SN-1" }])).await.status, 200);
    let device = format!("{devices}/SN-1");
    let first = server.get(&device).await.field("etag").unwrap().to_owned();
    let suspend = async |tag: &str| {
        let fields = [("If-Match", tag)];
        server.ask("POST", &format!("{device}/suspend"), Ask { fields: &fields, ..Ask::default() }).await
    };
    let suspended = suspend(&first).await;
    assert_eq!((suspended.status, &suspended.json()), (200, &json!({ "device": "SN-1", "now": "suspended" })));
    assert_eq!(suspended.field("etag"), server.get(&device).await.field("etag"));
    assert_eq!(suspend(&first).await.code(), "changed");
    assert_eq!(suspend("\"nonsense\"").await.status, 412);
    assert_eq!(server.get(&device).await.json()["state"], "suspended");

    let unlisted = server.ask("DELETE", &device, Ask::default()).await;
    assert_eq!(unlisted.code(), "conflict", "what is not merely listed stays");
    let events = server.get(&format!("{device}/events")).await.json();
    let events = events["items"].as_array().unwrap();
    assert!(
        events[0]["what"] == "suspended" && events[0]["actor"].as_str().unwrap().starts_with("local:"),
        "{events:?}"
    );
    server.running.shutdown().await;
}

#[tokio::test]
async fn an_idempotency_key_stands_for_one_request() {
    let server = Operated::start("").await;
    let devices = format!("/tenants/{}/devices", server.tenant().await);
    let import = async |id: &str| {
        let (fields, body) = ([("Idempotency-Key", "batch-7")], json!([{ "id": id }]).to_string());
        let body = Some(("application/json", body.as_bytes()));
        server.ask("POST", &devices, Ask { fields: &fields, body, ..Ask::default() }).await
    };
    let first = import("SN-1").await;
    assert_eq!((first.status, first.field("idempotency-replayed")), (200, None));
    let second = import("SN-1").await;
    assert_eq!((second.status, second.field("idempotency-replayed")), (200, Some("true")));
    assert_eq!(first.json(), second.json());
    assert_eq!(import("SN-2").await.code(), "idempotency-key-reused");
    assert_eq!(server.devices(&server.tenant().await).await, 1);

    let token = async || {
        let body = json!({ "name": "ci", "role": "auditor" }).to_string();
        let (fields, body) = ([("Idempotency-Key", "token-1")], Some(("application/json", body.as_bytes())));
        server.ask("POST", "/tokens", Ask { fields: &fields, body, ..Ask::default() }).await
    };
    let made = token().await.json()["token"].as_str().unwrap().to_owned();
    let replayed = token().await;
    assert_eq!((replayed.status, replayed.json()["token"].as_str()), (200, None), "a secret is shown once");
    let journal = fs::read(server.folder.path.join("data/journal")).unwrap();
    let secret = &made.as_bytes()[made.len() - 32..];
    assert!(!journal.windows(secret.len()).any(|window| window == secret), "and kept nowhere");
    server.running.shutdown().await;
}

#[tokio::test]
async fn enrollment_codes_are_shown_once_and_kept_as_hashes() {
    let server = Operated::start("").await;
    let codes = format!("/tenants/{}/codes", server.tenant().await);
    let make = async || {
        let body = json!({ "devices": ["SN-1", "AX-*"], "count": 2, "days": 7 }).to_string();
        let (fields, body) = ([("Idempotency-Key", "codes-1")], Some(("application/json", body.as_bytes())));
        server.ask("POST", &codes, Ask { fields: &fields, body, ..Ask::default() }).await
    };
    let made = make().await;
    assert_eq!((made.status, made.field("cache-control")), (200, Some("no-store")));
    let items = made.json()["items"].as_array().unwrap().clone();
    assert_eq!(
        items.iter().map(|code| code["devices"][0].as_str().unwrap()).collect::<Vec<_>>(),
        ["SN-1", "SN-1", "AX-*", "AX-*"]
    );
    assert_eq!(make().await.json(), json!({ "made": 4 }), "a code is shown once");
    let code = items[0]["code"].as_str().unwrap();
    let journal = fs::read(server.folder.path.join("data/journal")).unwrap();
    assert!(!journal.windows(code.len()).any(|window| window == code.as_bytes()), "and kept nowhere");

    let id = items[0]["id"].as_str().unwrap();
    assert_eq!(server.ask("DELETE", &format!("{codes}/{id}"), Ask::default()).await.json()["now"], "revoked");
    assert_eq!(server.ask("DELETE", &format!("{codes}/{id}"), Ask::default()).await.code(), "not-found");
    assert_eq!(server.ask("DELETE", &format!("{codes}/x"), Ask::default()).await.code(), "not-found");
    let mut seen = Vec::new();
    let mut next = format!("{codes}?limit=2&state=good");
    loop {
        let page = server.get(&next).await.json();
        seen.extend(page["items"].as_array().unwrap().clone());
        let Some(cursor) = page["next"].as_str() else { break };
        next = format!("{codes}?limit=2&state=good&cursor={cursor}");
    }
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|code| code["id"] != id && code["used"] == 0 && code["code"].is_null()), "{seen:?}");
    for body in [json!({ "devices": [] }), json!({ "devices": ["a*b"] }), json!({ "devices": ["SN-1"], "count": 1001 })]
    {
        assert_eq!(server.post(&codes, &body).await.code(), "unprocessable", "{body}");
    }
    server.running.shutdown().await;
}

#[tokio::test]
async fn a_token_opens_until_it_is_revoked_and_gives_no_more_than_its_maker_has() {
    let server = Operated::start("").await;
    let own = server.tenant().await;
    let token = server.token(Role::TenantAdmin, Some(&own)).await;
    let ask = async |method: &str, path: &str, body: Option<Value>| {
        let body = body.map(|body| body.to_string());
        let body = body.as_ref().map(|body| ("application/json", body.as_bytes()));
        server.ask(method, path, Ask { token: Some(&token), body, ..Ask::default() }).await
    };
    let who = ask("GET", "/whoami", None).await.json();
    assert_eq!(who, json!({ "operator": "tenant-admin-test", "role": "tenant-admin", "tenant": own }));
    let tokens = format!("/tenants/{own}/tokens");
    for role in ["admin", "auditor"] {
        assert_eq!(ask("POST", &tokens, Some(json!({ "name": "more", "role": role }))).await.status, 422);
    }
    for body in
        [json!({ "name": "", "role": "tenant-auditor" }), json!({ "name": "x", "role": "tenant-auditor", "days": 0 })]
    {
        assert_eq!(ask("POST", &tokens, Some(body)).await.code(), "unprocessable");
    }
    let foreign = server.token(Role::TenantAuditor, Some("globex")).await;
    let id = foreign.split('_').nth(1).unwrap();
    assert_eq!(ask("DELETE", &format!("{tokens}/{id}"), None).await.code(), "not-found", "another tenant's");
    let listed = ask("GET", &tokens, None).await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);

    let own_id = token.split('_').nth(1).unwrap();
    assert_eq!(server.ask("DELETE", &format!("/tokens/{own_id}"), Ask::default()).await.status, 200);
    let refused = ask("GET", "/whoami", None).await;
    assert_eq!((refused.status, refused.field("www-authenticate")), (401, Some("Bearer realm=\"estd admin\"")));
    server.running.shutdown().await;
}

#[tokio::test]
async fn what_is_malformed_is_a_problem_and_nothing_else() {
    let server = Operated::start("[admin]\nmax_body = 4096\n").await;
    let devices = format!("/tenants/{}/devices", server.tenant().await);
    let json = Some("application/json");
    let large = vec![b' '; 4097];
    for (method, path, media_type, body, status, code) in [
        ("GET", format!("{devices}?limit=0"), None, &b""[..], 400, "bad-request"),
        ("GET", format!("{devices}?limit=1001"), None, b"", 400, "bad-request"),
        ("GET", format!("{devices}?limit=many"), None, b"", 400, "bad-request"),
        ("GET", format!("{devices}?limits=5"), None, b"", 400, "bad-request"),
        ("POST", format!("{devices}/SN-1/revoke?dry_run=true"), json, b"{}", 400, "bad-request"),
        ("GET", "/whoami?as=admin".to_owned(), None, b"", 400, "bad-request"),
        ("GET", format!("{devices}?cursor=*"), None, b"", 404, "not-found"),
        ("GET", format!("{devices}?state=lost"), None, b"", 400, "bad-request"),
        ("GET", "/events?since=yesterday".to_owned(), None, b"", 400, "bad-request"),
        ("GET", "/nothing".to_owned(), None, b"", 404, "not-found"),
        ("PUT", devices.clone(), None, b"", 405, "method-not-allowed"),
        ("POST", devices.clone(), json, b"{", 422, "unprocessable"),
        ("POST", devices.clone(), json, b"[{\"id\":1}]", 422, "unprocessable"),
        ("POST", devices.clone(), json, b"[{\"id\":\"SN-1\",\"state\":\"active\"}]", 422, "unprocessable"),
        ("POST", devices.clone(), Some("application/xml"), b"<a/>", 415, "media-type"),
        ("POST", devices.clone(), json, &large, 413, "too-large"),
        ("POST", "/tokens".to_owned(), Some("text/plain"), b"{}", 415, "media-type"),
        (
            "POST",
            "/tokens".to_owned(),
            json,
            b"{\"name\":\"x\",\"role\":\"admin\",\"scope\":\"all\"}",
            422,
            "unprocessable",
        ),
        ("POST", "/tokens".to_owned(), json, b"{\"name\":\"x\",\"role\":\"tenant-admin\"}", 422, "unprocessable"),
    ] {
        let ask = Ask { body: media_type.map(|media_type| (media_type, body)), ..Ask::default() };
        let answer = server.ask(method, &path, ask).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{method} {path}");
        assert!(answer.field("x-request-id").is_some());
    }
    for (fields, status) in [
        (("Origin", "https://evil.example"), 403),
        (("Origin", "null"), 403),
        (("Sec-Fetch-Site", "cross-site"), 403),
        (("Sec-Fetch-Site", "same-site"), 403),
        (("Origin", "http://localhost"), 200),
    ] {
        let body = Some(("application/json", &b"[{\"id\":\"SN-1\"}]"[..]));
        let ask = Ask { fields: &[fields], body, ..Ask::default() };
        assert_eq!(server.ask("POST", &devices, ask).await.status, status, "{fields:?}");
    }
    for (field, status) in [("Basic YTpi", 401), ("Bearer x", 401), ("Bearer", 401)] {
        let fields = [("Authorization", field)];
        assert_eq!(server.ask("GET", "/whoami", Ask { fields: &fields, ..Ask::default() }).await.status, status);
    }
    assert_eq!(server.devices(&server.tenant().await).await, 1);
    server.running.shutdown().await;
}

#[tokio::test]
async fn remotely_a_token_or_a_pinned_certificate_is_needed() {
    let pinned = rcgen::generate_simple_self_signed(vec!["olga".to_owned()]).unwrap();
    let stranger = rcgen::generate_simple_self_signed(vec!["olga".to_owned()]).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), pinned.cert.pem()).unwrap();
    let admin = format!(
        "[admin]\nlisten = [\"127.0.0.1:0\"]\n[[admin.operator]]\nname = \"olga\"\ncertificate = {:?}\nrole = \"auditor\"\n",
        file.path()
    );
    let server = Operated::start(&admin).await;
    let pem = |it: &rcgen::CertifiedKey<rcgen::KeyPair>| (it.cert.pem(), it.signing_key.serialize_pem());
    let (certificate, key) = pem(&pinned);
    let who = server.ask_remotely(Some((&certificate, &key)), "GET", "/whoami", Ask::default()).await.json();
    assert_eq!(who, json!({ "operator": "olga", "role": "auditor" }));
    let (certificate, key) = pem(&stranger);
    let refused = server.ask_remotely(Some((&certificate, &key)), "GET", "/whoami", Ask::default()).await;
    assert_eq!((refused.status, refused.code().as_str()), (401, "unauthenticated"));
    assert_eq!(server.ask_remotely(None, "GET", "/tenants", Ask::default()).await.status, 401);
    assert_eq!(server.ask_remotely(None, "GET", "/openapi.json", Ask::default()).await.status, 200);
    let token = server.token(Role::Admin, None).await;
    let ask = Ask { token: Some(&token), ..Ask::default() };
    assert_eq!(server.ask_remotely(None, "GET", "/whoami", ask).await.json()["role"], "admin");
    server.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_operates_a_running_server() {
    let server = Operated::start("").await;
    let socket = server.running.admin_socket().unwrap().to_owned();
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let tenant = server.tenant().await;
    let config = server.folder.path.join("config.toml");
    let list = server.folder.path.join("batch.csv");
    fs::write(&list, "id,tags\nSN-1,north\nSN-2,\n").unwrap();
    let estd = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_estd"));
        let output = command.args(arguments).env("ESTD_CONFIG", &config).env("ESTD_TENANT", &tenant).output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (done, out, error) = estd(&["device", "import", list.to_str().unwrap()]);
    assert!(done && out.contains("devices: 2"), "{out}{error}");
    let (_, out, _) = estd(&["device", "list", "--tag", "north"]);
    assert!(out.contains("SN-1") && !out.contains("SN-2"), "{out}");
    assert!(estd(&["device", "suspend", "SN-2"]).0);
    let (_, out, _) = estd(&["device", "show", "SN-2", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["state"], "suspended");
    let (done, _, error) = estd(&["device", "show", "SN-3"]);
    assert!(!done && error.contains("there is no such device"), "{error}");
    let request = server.folder.path.join("request.pem");
    fs::write(&request, csr()).unwrap();
    let explain = ["explain", "--label", "devices", "--csr", request.to_str().unwrap()];
    let (done, out, error) = estd(&explain);
    assert!(done && out.starts_with("refuse: auth_missing: "), "{out}{error}");
    assert!(
        out.lines().any(|line| line.trim_start().starts_with("refused") && line.contains("certificate_path")),
        "{out}"
    );
    let der = server.folder.path.join("request.der");
    fs::write(&der, estd::est::transfer::decode(csr().as_bytes()).unwrap()).unwrap();
    let (_, again, _) = estd(&[&explain[..4], &[der.to_str().unwrap()]].concat());
    assert!(again.starts_with("refuse: auth_missing: "), "{again}");
    let (_, out, _) = estd(&[&explain[..], &["--json"]].concat());
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["would_issue"], false);
    assert!(!estd(&["explain", "--csr", request.to_str().unwrap()]).0, "neither label nor path");
    let (_, out, _) = estd(&["audit", "list", "--kind", "changed"]);
    assert!(out.contains("2 devices listed") && out.contains("local:"), "{out}");
    let (done, out, error) = estd(&["code", "create", "--device", "SN-1", "--json"]);
    assert!(done, "{error}");
    let code: Value = serde_json::from_str(&out).unwrap();
    assert!(estd(&["code", "revoke", code["id"].as_str().unwrap()]).0);
    let (_, out, _) = estd(&["code", "list", "--state", "revoked"]);
    assert!(out.contains(code["id"].as_str().unwrap()) && !out.contains(code["code"].as_str().unwrap()), "{out}");
    let (done, out, error) = estd(&["stats", "activity", "--by", "hour"]);
    assert!(done && out.lines().count() == 49, "{out}{error}");
    assert!(estd(&["stats", "refusals", "--all"]).1.contains("CODE"));
    assert!(estd(&["stats", "expiry", "--days", "3"]).1.contains("later"));
    let (done, out, _) = estd(&["admin", "bootstrap", "--name", "olga"]);
    assert!(done && out.contains("token: estd_"), "{out}");
    let (done, _, error) = estd(&["admin", "bootstrap"]);
    assert!(!done && error.contains("already"), "{error}");
    server.running.shutdown().await;
    assert!(!socket.exists());
    let (done, _, error) = estd(&["device", "list"]);
    assert!(!done && error.contains("is it running?"), "{error}");
}

/// Names are free text: neither keys nor the audit go by them.
/// A PKCS#10 in PEM.
fn csr() -> String {
    let mut request = rcgen::CertificateParams::default();
    request.distinguished_name = rcgen::DistinguishedName::new();
    request.serialize_request(&rcgen::KeyPair::generate().unwrap()).unwrap().pem().unwrap()
}

impl Operated {
    /// The octets of the journal, which grows with every record.
    fn journal(&self) -> Vec<u8> {
        fs::read(self.folder.path.join("data/journal")).unwrap()
    }

    /// Sends a request as a device without a certificate would; status, request id and body.
    async fn enroll(&self, path: &str, body: &str) -> (u16, String, String) {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.folder.path.join("ca/root.pem")).unwrap()).unwrap();
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let stream = tokio::net::TcpStream::connect(self.running.est_addresses()[0]).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/pkcs10\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        drop(tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.unwrap());
        let answer = parse(&answer);
        let id = answer.field("x-request-id").unwrap().to_owned();
        (answer.status, id, String::from_utf8(answer.body).unwrap())
    }
}

#[tokio::test]
async fn a_refusal_is_explained_before_and_after_and_to_ask_leaves_nothing() {
    let server = Operated::start("").await;
    let own = server.tenant().await;
    let csr = csr();
    let (status, id, told) = server.enroll("/.well-known/est/devices/simpleenroll", &csr).await;
    assert_eq!(status, 403);
    assert!(told.starts_with("estd: auth_missing: ") && told.ends_with(&format!(", request {id}\n")), "{told}");
    // What a device sent leads to the event, in the tenant's list as in the server's.
    for list in ["/events".to_owned(), format!("/tenants/{own}/events")] {
        // The event of a refusal is written behind its answer.
        let mut found = Vec::new();
        for _ in 0..500 {
            let listed = server.get(&format!("{list}?request={id}")).await.json();
            found = listed["items"].as_array().unwrap().clone();
            if !found.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((&found[0]["code"], &found[0]["clause"]), (&json!("auth_missing"), &json!("RFC 7030 3.3.2")));
        assert_eq!(
            (&found[0]["refused_by"]["rule"], &found[0]["refused_by"]["got"]),
            (&json!("certificate_path"), &json!("none"))
        );
    }
    assert_eq!(server.get("/events?request=0000").await.json()["items"], json!([]));

    let tokens =
        [server.token(Role::TenantAuditor, Some(&own)).await, server.token(Role::TenantAuditor, Some("globex")).await];
    let before = server.journal();
    let explained = server.post("/explain", &json!({ "label": "devices", "csr": csr })).await;
    assert_eq!(explained.status, 200, "{}", explained.head);
    let explained = explained.json();
    assert_eq!((&explained["would_issue"], &explained["verdict"]), (&json!(false), &json!("refuse")));
    assert_eq!(explained["refusal"]["code"], "auth_missing");
    let sentence = explained["refusal"]["sentence"].as_str().unwrap();
    assert!(told.contains(sentence), "the device was told the same: {told} {sentence}");
    assert_eq!(explained["steps"].as_array().unwrap().last().unwrap()["outcome"], "refused");
    // As a device would name it: by the path. Another tenant's label is none.
    let body = json!({ "path": "/.well-known/est/others/simpleenroll", "csr": csr }).to_string();
    for (token, status) in tokens.iter().zip([404, 200]) {
        let body = Some(("application/json", body.as_bytes()));
        let answer = server.ask("POST", "/explain", Ask { token: Some(token), body, ..Ask::default() }).await;
        assert_eq!(answer.status, status, "{}", answer.head);
    }
    for (body, status) in [
        (json!({ "csr": csr }), 422),
        (json!({ "label": "devices" }), 422),
        (json!({ "label": "devices", "csr": csr, "password": "x" }), 422),
        (json!({ "label": "devices", "path": "/.well-known/est/simpleenroll", "csr": csr }), 422),
        (json!({ "label": "devices", "host": "est.example", "csr": csr }), 422),
        (json!({ "label": "devices", "csr": "?" }), 422),
        (json!({ "label": "devices", "csr": csr, "certificates": "none" }), 422),
        (json!({ "label": "devices", "csr": csr, "operation": "cacerts" }), 422),
        (json!({ "label": "devices", "csr": csr, "credential_device": "SN-1" }), 422),
        (json!({ "path": "/.well-known/est/devices/cacerts", "csr": csr }), 422),
        (json!({ "path": "/est", "csr": csr }), 404),
        (json!({ "label": "no\u{0}label", "csr": csr }), 404),
    ] {
        let answer = server.post("/explain", &body).await;
        assert_eq!(answer.status, status, "{body}");
        answer.code();
    }
    assert!(server.journal() == before, "nothing was recorded");
    server.running.shutdown().await;
}

#[tokio::test]
async fn operators_of_one_name_are_told_apart() {
    let server = Operated::start("").await;
    let own = server.tenant().await;
    assert_eq!(server.post(&format!("/tenants/{own}/devices"), &json!([{ "id": "SN-1" }])).await.status, 200);
    let mut tokens = Vec::new();
    for tenant in [own.as_str(), "globex"] {
        let body = json!({ "name": "ci", "role": "tenant-operator" });
        let made = server.post(&format!("/tenants/{tenant}/tokens"), &body).await.json();
        tokens.push(made["token"].as_str().unwrap().to_owned());
    }
    let suspend = async |token: &str| {
        let (path, fields) = (format!("/tenants/{own}/devices/SN-1/suspend"), [("Idempotency-Key", "key")]);
        server.ask("POST", &path, Ask { token: Some(token), fields: &fields, ..Ask::default() }).await
    };
    assert_eq!(suspend(&tokens[0]).await.status, 200);
    assert_eq!(suspend(&tokens[0]).await.field("idempotency-replayed"), Some("true"));
    assert_eq!(suspend(&tokens[1]).await.code(), "not-found", "another's answer is not told");
    let events = server.get(&format!("/tenants/{own}/devices/SN-1/events")).await.json();
    let id = tokens[0].split('_').nth(1).unwrap();
    assert_eq!(events["items"][0]["credential"], format!("token:{id}"));
    let local = server.post("/tokens", &json!({ "name": "local:0", "role": "auditor" })).await;
    assert_eq!(local.code(), "unprocessable", "a name of the system's");
    server.running.shutdown().await;
}

#[tokio::test]
async fn nobody_sends_a_body_and_everybody_reads_no_more_than_there_is() {
    let server = Operated::start("[admin]\nlisten = [\"127.0.0.1:0\"]\n").await;
    let devices = format!("/tenants/{}/devices", server.tenant().await);
    let large = vec![b' '; 100_000];
    let ask = Ask { body: Some(("application/json", &large)), ..Ask::default() };
    assert_eq!(server.ask_remotely(None, "POST", &devices, ask).await.status, 401);
    // Misspelt it would import in earnest.
    assert_eq!(server.post(&format!("{devices}?dryrun=true"), &json!([{ "id": "SN-1" }])).await.code(), "bad-request");
    let twice = server.post(&devices, &json!([{ "id": "SN-a" }, { "id": "sn-A" }])).await;
    assert_eq!(twice.code(), "unprocessable", "ids that differ in case alone name one device");
    assert_eq!(server.post(&devices, &json!([{ "id": "SN-1" }])).await.status, 200);
    assert_eq!(server.post(&format!("{devices}/SN-1/resume"), &json!({})).await.code(), "conflict");
    for (method, path, body) in [("DELETE", "", None), ("POST", "/revoke", Some(&b"{\"reason\":\"superseded\"}"[..]))] {
        let (fields, body) = ([("If-Match", "\"0000000000000000\"")], body.map(|body| ("application/json", body)));
        let path = format!("{devices}/SN-1{path}");
        let answer = server.ask(method, &path, Ask { fields: &fields, body, ..Ask::default() }).await;
        assert_eq!(answer.code(), "changed", "{method} {path}");
    }
    let events = server.get("/events?order=oldest").await.json()["items"].as_array().unwrap().clone();
    let middle = events[events.len() / 2]["sequence"].as_u64().unwrap();
    let rest = server.get(&format!("/events?order=oldest&after={middle}")).await.json();
    assert_eq!(rest["items"][0]["sequence"], middle + 1);
    server.running.shutdown().await;
}

#[tokio::test]
async fn a_removed_operator_is_nobody_on_the_connection_that_is_open() {
    let pinned = rcgen::generate_simple_self_signed(vec!["olga".to_owned()]).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), pinned.cert.pem()).unwrap();
    let operator = format!("[[admin.operator]]\nname = \"olga\"\ncertificate = {:?}\nrole = \"admin\"\n", file.path());
    let server = Operated::start(&format!("[admin]\nlisten = [\"127.0.0.1:0\"]\n{operator}")).await;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(server.folder.path.join("ca/root.pem")).unwrap()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(pinned.signing_key.serialize_pem().as_bytes()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots);
    let config = config.with_client_auth_cert(vec![pinned.cert.der().clone()], key).unwrap();
    let stream = tokio::net::TcpStream::connect(server.running.admin_addresses()[0]).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    let mut ask = async || {
        stream.write_all(b"GET /api/v1/whoami HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut answer = [0; 4096];
        let read = stream.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..read]).split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(ask().await, "200");
    let path = server.folder.path.join("config.toml");
    fs::write(&path, fs::read_to_string(&path).unwrap().replace(&operator, "")).unwrap();
    server.running.reload(server.folder.config()).await.unwrap();
    assert_eq!(ask().await, "401");
    server.running.shutdown().await;
}
