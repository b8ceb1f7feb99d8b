//! The authorization webhook of a label over real sockets: what is asked, what counts as leave, and who waits for it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/cmc.rs"]
mod cmc;
#[path = "support/folder.rs"]
mod folder;
#[path = "support/receiver.rs"]
mod receiver;
#[path = "support/served.rs"]
mod served;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use cmc::{By, Response, signed};
use estd::ca::{Signer as _, SoftwareSigner};
use estd::clock::{Clock as _, SystemClock};
use estd::config::Config;
use estd::est::transfer::{self, LineWrapping};
use estd::pki::public_key::KeyType;
use estd::server::{Running, Server};
use estd_asn1::cmc::{CmcFailInfo, TaggedRequest};
use estd_asn1::{Name, certs_only, pkcs10};
use receiver::{Answer, Receiver, SECRET};
use serde_json::Value;
use served::{Device, Site};
use tokio::time::Instant;

const PATIENCE: Duration = Duration::from_secs(60);
/// Most octets of an answer.
const MAX_ANSWER: usize = 16 * 1024;

/// A server with the label `devices`, where somebody is asked, and the label `plain`, where nobody is.
struct Setting {
    site: Arc<Site>,
    running: Running,
}

impl Setting {
    async fn new(keys: &str) -> Self {
        Self::with(keys, "").await
    }

    /// `label` are further keys of the label that asks.
    async fn with(keys: &str, label: &str) -> Self {
        let site = Self::site(keys, label).await;
        let running = Server::start(load(&site)).await.unwrap();
        Self { site: Arc::new(site), running }
    }

    /// Its folder, that nobody serves yet.
    async fn site(keys: &str, label: &str) -> Site {
        let site = tokio::task::spawn_blocking(Site::new).await.unwrap();
        let secret = site.folder.join("hook.secret");
        fs::write(&secret, SECRET).unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        let config = fs::read_to_string(site.config()).unwrap();
        let own = &config[config.find("[[tenant.label]]").unwrap()..];
        let plain = own.replacen("\"devices\"", "\"plain\"", 1);
        let webhook = format!("[tenant.label.authorization_webhook]\nsecret = \"hook.secret\"\n{keys}\n");
        fs::write(site.config(), format!("{config}{label}\n{webhook}\n{plain}")).unwrap();
        site
    }

    /// To a receiver of this machine, over plain HTTP.
    async fn local(receiver: &Receiver, keys: &str) -> Self {
        Self::new(&local(receiver, keys)).await
    }

    /// The answer to a request, head and body.
    async fn post(&self, device: &Device, path: &str, media_type: &'static str, der: Vec<u8>) -> Vec<u8> {
        let (site, est) = (Arc::clone(&self.site), self.running.est_addresses()[0]);
        let (device, path) = (device.clone(), path.to_owned());
        let post = move || served::post(est, &site.folder.join("ca/root.pem"), &device, &path, media_type, &der);
        tokio::task::spawn_blocking(post).await.unwrap().unwrap()
    }

    async fn enroll(&self, device: &Device, path: &str) -> Result<Device, String> {
        enroll(Arc::clone(&self.site), self.running.est_addresses()[0], device.clone(), path.to_owned()).await
    }

    /// What an operator of this machine is answered.
    async fn operator(&self, path: &str) -> Value {
        let (socket, path) = (self.site.folder.join("data/admin.sock"), path.to_owned());
        let ask = move || served::ask(&socket, "GET", &path, "", b"").unwrap();
        let (status, body) = tokio::task::spawn_blocking(ask).await.unwrap();
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap()
    }

    /// The events that a query finds, once there are so many: a refusal is answered before its event is durable.
    async fn events(&self, query: &str, count: usize) -> Vec<Value> {
        let start = Instant::now();
        loop {
            let found = self.operator(&format!("/events?{query}")).await["items"].as_array().unwrap().clone();
            if found.len() >= count {
                assert_eq!(found.len(), count, "{found:?}");
                return found;
            }
            assert!(start.elapsed() < PATIENCE, "{count} events of {query}: {found:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Takes the webhook away.
    async fn reload_without(&self) {
        let with = fs::read_to_string(self.site.config()).unwrap();
        let start = with.find("[tenant.label.authorization_webhook]").unwrap();
        let end = start + with[start..].find("[[tenant.label]]").unwrap();
        fs::write(self.site.config(), format!("{}{}", &with[..start], &with[end..])).unwrap();
        self.running.reload(load(&self.site)).await.unwrap();
    }

    async fn certificates(&self) -> usize {
        let tenant = self.operator("/tenants").await["items"][0]["name"].as_str().unwrap().to_owned();
        self.operator(&format!("/tenants/{tenant}/certificates")).await["items"].as_array().unwrap().len()
    }

    /// How many questions came out so.
    async fn counted(&self, outcome: &str) -> u64 {
        let page = folder::get(self.running.status_address(), "GET", "/metrics", "").await;
        let page = String::from_utf8(page.body).unwrap();
        let end = format!("outcome=\"{outcome}\"}} ");
        let line =
            page.lines().find(|line| line.starts_with("estd_authorization_questions_total{") && line.contains(&end));
        line.unwrap_or_else(|| panic!("no {outcome} in {page}")).split(' ').next_back().unwrap().parse().unwrap()
    }
}

fn load(site: &Site) -> Config {
    Config::load(&site.folder.join("config.toml"), SystemClock.now()).unwrap_or_else(|problems| panic!("{problems}"))
}

fn local(receiver: &Receiver, keys: &str) -> String {
    local_at(receiver.address.port(), keys)
}

fn local_at(port: u16, keys: &str) -> String {
    let url = format!("http://localhost:{port}/ask?key=k");
    format!("url = \"{url}\"\nallow_http = true\nallow_private = true\n{keys}")
}

async fn enroll(site: Arc<Site>, est: std::net::SocketAddr, device: Device, path: String) -> Result<Device, String> {
    let root = site.folder.join("ca/root.pem");
    let enrolled = tokio::task::spawn_blocking(move || served::enroll(est, &root, &device, &path)).await.unwrap();
    enrolled.map_err(|refused| refused.unwrap())
}

fn allow() -> Answer {
    Answer::Body("{\"allow\": true}".to_owned())
}

fn deny() -> Answer {
    Answer::Body("{\"allow\": false, \"reason\": \"unpaid\", \"further\": [1]}".to_owned())
}

fn plain_request() -> Vec<u8> {
    let (key, _) = SoftwareSigner::generate(KeyType::P256).unwrap();
    let info = pkcs10::encode_certification_request_info(&Name::empty(), key.public_key().der(), &[]);
    let signature = key.sign(&info).unwrap();
    pkcs10::encode_certification_request(&info, key.algorithm().identifier(), &signature)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_certificate_is_asked_about_over_tls_with_a_signature_and_without_secrets() {
    let (receiver, ca) = Receiver::over_tls(|_| allow()).await;
    let url = format!("https://localhost:{}/ask", receiver.address.port());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hook-ca.pem");
    fs::write(&path, ca).unwrap();
    let keys = format!("url = \"{url}\"\nallow_private = true\nca_file = \"{}\"", path.display());
    let setting = Setting::new(&keys).await;
    let birth = setting.site.birth("SN-1");
    let body = plain_request();
    let first = setting.post(&birth, "simpleenroll", "application/pkcs10", body.clone()).await;
    let again = setting.post(&birth, "simpleenroll", "application/pkcs10", body).await;
    let (status, issued) = served::parse(&first).unwrap();
    assert_eq!(status, 200);
    assert_eq!(served::parse(&again).unwrap().1, issued, "the same answer, and nobody is asked");
    assert_eq!(receiver.received().len(), 1);
    let second = setting.site.birth("SN-2");
    let current = setting.enroll(&second, "simpleenroll").await.unwrap();
    setting.enroll(&current, "simplereenroll").await.unwrap();
    assert!(setting.enroll(&setting.site.birth("SN-3"), "plain/simpleenroll").await.is_ok());

    let received = receiver.received();
    assert_eq!(received.len(), 3, "not for the label that asks nobody");
    assert!(receiver.connections() < 3, "a connection serves the next question too");
    for request in &received {
        request.verify();
        assert_eq!((request.field("content-type"), request.line.as_str()), ("application/json", "POST /ask HTTP/1.1"));
    }
    let ids: std::collections::BTreeSet<_> = received.iter().map(|request| request.field("webhook-id")).collect();
    assert_eq!(ids.len(), 3);
    let asked: Vec<Value> = received.iter().map(|request| serde_json::from_slice(&request.body).unwrap()).collect();
    assert!(asked.iter().all(|asked| asked["type"] == "enrollment.authorize" && asked["timestamp"].is_string()));
    let data = &asked[0]["data"];
    let certificate = certs_only::decode(&transfer::decode(&issued).unwrap(), 1).unwrap().remove(0);
    let certificate = estd_asn1::Certificate::decode(&certificate).unwrap();
    let hex = |octets: &[u8]| octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>();
    for (key, value) in [
        ("label", "devices".to_owned()),
        ("operation", "simpleenroll".to_owned()),
        ("kind", "initial".to_owned()),
        ("device", "SN-1".to_owned()),
        ("profile", "device".to_owned()),
        ("subject", certificate.subject().to_string()),
    ] {
        assert_eq!(data[key], value, "{key}");
    }
    let key = estd::pki::digest::sha256(&[certificate.public_key().der()]);
    assert_eq!(data["key"], serde_json::json!({"type": "p256", "spki_sha256": hex(&key)}));
    let shown = &data["authentication"]["certificate"];
    assert_eq!((&shown["kind"], &shown["issuer"]), (&"birth".into(), &"CN=Maker".into()));
    assert_eq!(shown["serial"], hex(birth.certificate.serial()));
    assert_eq!(shown["sha256"], hex(&estd::pki::digest::sha256(&[birth.certificate.der()])));
    assert!(data["source"].as_str().unwrap().starts_with("127.0.0.1:") && data["request_id"].is_string());
    let renewal = &asked[2]["data"];
    assert_eq!((&renewal["kind"], &renewal["operation"]), (&"renewal".into(), &"simplereenroll".into()));
    assert_eq!(renewal["renews"], hex(current.certificate.serial()));
    assert_eq!(renewal["authentication"]["certificate"]["kind"], "operational");
    assert_eq!((setting.counted("allowed").await, setting.counted("failed").await), (3, 0));
    setting.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_is_told_to_the_device_and_its_reason_to_operators() {
    let receiver = Receiver::new(|_| deny()).await;
    let label = "full_cmc = true\n[tenant.label.key_generation]\nplaintext = true\nbirth_certificates = true\n";
    let setting = Setting::with(&local(&receiver, ""), label).await;
    let birth = setting.site.birth("SN-1");
    let refused = setting.enroll(&birth, "simpleenroll").await.err().unwrap();
    assert!(refused.starts_with("403 estd: authorization_denied: ") && refused.contains("RFC 7030 3.7"), "{refused}");
    assert!(!refused.contains("unpaid"), "{refused}");
    let answer = setting.post(&birth, "serverkeygen", "application/pkcs10", plain_request()).await;
    let (status, body) = served::parse(&answer).unwrap();
    let body = String::from_utf8(body).unwrap();
    assert!(status == 403 && body.contains("authorization_denied") && !body.contains("PRIVATE"), "{body}");

    let key = SoftwareSigner::from_pem(&birth.key_pem).unwrap();
    let content = estd_asn1::cmc::encode_pki_data(&[], &[TaggedRequest::encode_pkcs10(7, &plain_request())], &[]);
    let message = signed(&By::Certificate(&key, birth.certificate.der()), &content);
    let answer = setting.post(&birth, "fullcmc", "application/pkcs7-mime; smime-type=CMC-request", message).await;
    let (status, body) = served::parse(&answer).unwrap();
    let response = Response::read(&transfer::decode(&body).unwrap());
    assert_eq!((status, response.fail_info()), (403, CmcFailInfo::BadIdentity));
    assert!(!response.status.text.unwrap().contains("unpaid"));

    for event in setting.events("code=authorization_denied", 3).await {
        assert_eq!((&event["kind"], &event["device"]), (&"refused".into(), &"SN-1".into()), "{event}");
        assert_eq!(event["refused_by"]["rule"], "authorization_webhook");
        assert_eq!(event["refused_by"]["got"], "denied: unpaid");
        let asked = format!("leave of http://localhost:{}/ask", receiver.address.port());
        assert_eq!(event["refused_by"]["expected"], asked, "without the query");
    }
    assert_eq!((setting.certificates().await, setting.counted("denied").await), (0, 3));
    setting.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_no_answer_is_no_leave() {
    let elsewhere = Receiver::new(|_| allow()).await;
    let target = format!("http://localhost:{}/", elsewhere.address.port());
    let yes = "{\"allow\": true}";
    let padded = move |octets: usize| format!("{yes}{}", " ".repeat(octets - yes.len()));
    let scripts: Vec<Box<dyn Fn() -> Answer + Send + Sync>> = vec![
        Box::new(|| Answer::Status(500)),
        Box::new(|| Answer::Status(403)),
        Box::new(|| Answer::Status(204)),
        Box::new(move || Answer::Redirect(307, target.clone())),
        Box::new(|| Answer::Body("<html>".into())),
        Box::new(|| Answer::Body("{\"allow\": \"true\"}".into())),
        Box::new(|| Answer::Body(String::new())),
        Box::new(move || Answer::Body(padded(MAX_ANSWER + 1))),
        Box::new(|| Answer::Endless),
        Box::new(|| Answer::LongHead(1 << 20)),
        Box::new(|| Answer::Close),
        Box::new(|| Answer::Hang),
        Box::new(move || Answer::Begun(yes.into())),
        Box::new(move || Answer::Late(Duration::from_secs(3), yes.into())),
    ];
    let failures = scripts.len();
    let receiver = Receiver::new(move |number| match scripts.get(number) {
        Some(script) => script(),
        None => Answer::Body(padded(MAX_ANSWER)),
    })
    .await;
    let setting = Setting::local(&receiver, "timeout = \"1s\"").await;
    let birth = setting.site.birth("SN-1");
    let body = plain_request();
    for number in 0..failures {
        let started = Instant::now();
        let answer = setting.post(&birth, "simpleenroll", "application/pkcs10", body.clone()).await;
        let text = String::from_utf8_lossy(&answer);
        assert!(text.starts_with("HTTP/1.1 503") && text.contains("Retry-After: "), "{number}: {text}");
        assert!(text.contains("estd: unavailable"), "{number}: of whoever was asked nothing is told: {text}");
        assert!(started.elapsed() < Duration::from_secs(3), "{number}: {:?}", started.elapsed());
    }
    assert_eq!((setting.certificates().await, elsewhere.connections()), (0, 0));
    setting.events("kind=failed", failures).await;
    assert_eq!(setting.counted("failed").await, failures as u64);
    // The largest answer that is read.
    let answer = setting.post(&birth, "simpleenroll", "application/pkcs10", body).await;
    assert_eq!(served::parse(&answer).unwrap().0, 200);
    assert_eq!(setting.certificates().await, 1);
    setting.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_hangs_keeps_nobody_waiting_but_those_it_is_asked_about() {
    let receiver = Receiver::new(|_| Answer::Hang).await;
    let setting = Setting::local(&receiver, "timeout = \"4s\"\nmax_concurrent = 2").await;
    let est = setting.running.est_addresses()[0];
    let held: Vec<_> = (0..6)
        .map(|number| {
            let device = setting.site.birth(&format!("SN-{number}"));
            tokio::spawn(enroll(Arc::clone(&setting.site), est, device, "simpleenroll".to_owned()))
        })
        .collect();
    receiver.wait_for(2, PATIENCE).await;
    for number in 6..10 {
        let device = setting.site.birth(&format!("SN-{number}"));
        setting.enroll(&device, "plain/simpleenroll").await.unwrap();
    }
    assert!(held.iter().all(|held| !held.is_finished()), "the others were not answered later than these");
    assert_eq!(receiver.received().len(), 2, "no more are asked at once");
    for held in held {
        let refused = held.await.unwrap().err().unwrap();
        assert!(refused.starts_with("503 "), "{refused}");
    }
    assert_eq!(setting.certificates().await, 4);
    let (failed, shed) = (setting.counted("failed").await, setting.counted("shed").await);
    assert!(failed >= 2 && failed + shed == 6, "{failed} failed, {shed} shed");
    tokio::time::timeout(PATIENCE, setting.running.shutdown()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_asked_in_a_private_network_unless_it_is_allowed() {
    for host in ["localhost", "127.0.0.1", "[::ffff:127.0.0.1]", "169.254.169.254"] {
        let receiver = Receiver::new(|_| allow()).await;
        let url = format!("http://{host}:{}/", receiver.address.port());
        let setting = Setting::new(&format!("url = \"{url}\"\nallow_http = true")).await;
        let refused = setting.enroll(&setting.site.birth("SN-1"), "simpleenroll").await.err().unwrap();
        assert!(refused.starts_with("503 estd: unavailable"), "{host}: {refused}");
        assert_eq!((receiver.connections(), setting.counted("failed").await), (0, 1), "{host}");
        setting.running.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_was_closed_meanwhile_costs_nobody_a_certificate() {
    // The second question is read and the connection closed: it comes again, under the same id, over a new one.
    let receiver = Receiver::new(|number| if number == 1 { Answer::Close } else { allow() }).await;
    let setting = Setting::local(&receiver, "").await;
    for id in ["SN-1", "SN-2"] {
        setting.enroll(&setting.site.birth(id), "simpleenroll").await.unwrap();
    }
    let ids: Vec<_> = receiver.received().iter().map(|request| request.field("webhook-id").to_owned()).collect();
    assert!(ids.len() == 3 && ids[0] != ids[1] && ids[1] == ids[2], "{ids:?}");
    setting.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_has_somebody_asked_or_nobody() {
    let receiver = Receiver::new(|_| deny()).await;
    let setting = Setting::local(&receiver, "").await;
    let with = fs::read_to_string(setting.site.config()).unwrap();
    let refused = setting.enroll(&setting.site.birth("SN-1"), "simpleenroll").await.err().unwrap();
    assert!(refused.starts_with("403 "), "{refused}");
    let tenant = setting.operator("/tenants").await["items"][0]["name"].as_str().unwrap().to_owned();
    let labels = format!("/tenants/{tenant}/labels");
    let shown = setting.operator(&labels).await;
    let url = format!("http://localhost:{}/ask", receiver.address.port());
    assert_eq!(shown["items"][0]["authorization_webhook"], url, "without the query");
    assert!(shown["items"][1]["authorization_webhook"].is_null(), "{shown}");
    setting.reload_without().await;
    setting.enroll(&setting.site.birth("SN-1"), "simpleenroll").await.unwrap();
    fs::write(setting.site.config(), &with).unwrap();
    setting.running.reload(load(&setting.site)).await.unwrap();
    let refused = setting.enroll(&setting.site.birth("SN-2"), "simpleenroll").await.err().unwrap();
    assert!(refused.starts_with("403 "), "{refused}");
    assert_eq!(receiver.received().len(), 2);
    setting.running.shutdown().await;
}

/// Whoever waits for a request that is asked about must not keep the threads that the answer comes by, whatever a reload did to the
/// label meanwhile. With one thread a single one is too many.
#[test]
fn a_reload_that_takes_the_webhook_away_while_it_is_asked_holds_nobody_up() {
    const TIMEOUT: Duration = Duration::from_secs(8);
    let (done, ended) = std::sync::mpsc::channel();
    // A runtime that hangs is not to be waited for: the limit is kept by a thread that has nothing to do with it.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let receiver = Receiver::new(|_| Answer::Hang).await;
            let setting = Arc::new(Setting::local(&receiver, &format!("timeout = \"{}s\"", TIMEOUT.as_secs())).await);
            let (birth, body) = (setting.site.birth("SN-1"), plain_request());
            let post = || {
                let (setting, birth, body) = (Arc::clone(&setting), birth.clone(), body.clone());
                async move { setting.post(&birth, "simpleenroll", "application/pkcs10", body).await }
            };
            let started = Instant::now();
            let first = tokio::spawn(post());
            receiver.wait_for(1, PATIENCE).await;
            setting.reload_without().await;
            let second = String::from_utf8(post().await).unwrap();
            assert!(second.starts_with("HTTP/1.1 503") && second.contains("Retry-After: "), "{second}");
            let healthy = folder::get(setting.running.status_address(), "GET", "/healthz", "").await;
            assert_eq!(healthy.status, 200);
            setting.enroll(&setting.site.birth("SN-2"), "simpleenroll").await.unwrap();
            assert!(!first.is_finished() && started.elapsed() < TIMEOUT, "{:?}", started.elapsed());
            let first = String::from_utf8(first.await.unwrap()).unwrap();
            assert!(first.starts_with("HTTP/1.1 503"), "{first}");
            assert_eq!(served::parse(&post().await).unwrap().0, 200, "nobody is asked any more");
            assert_eq!((receiver.received().len(), setting.certificates().await), (1, 2));
        });
        done.send(()).unwrap();
    });
    ended.recv_timeout(PATIENCE).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_again_and_again_keeps_one_turn() {
    let receiver = Receiver::new(|_| Answer::Hang).await;
    let setting = Arc::new(Setting::local(&receiver, "timeout = \"8s\"\nmax_concurrent = 2").await);
    let (birth, body) = (setting.site.birth("SN-1"), plain_request());
    let post = || {
        let (setting, birth, body) = (Arc::clone(&setting), birth.clone(), body.clone());
        async move { setting.post(&birth, "simpleenroll", "application/pkcs10", body).await }
    };
    let first = tokio::spawn(post());
    receiver.wait_for(1, PATIENCE).await;
    for _ in 0..4 {
        let again = String::from_utf8(post().await).unwrap();
        assert!(again.starts_with("HTTP/1.1 503") && again.contains("Retry-After: "), "{again}");
    }
    let other = setting.site.birth("SN-2");
    let est = setting.running.est_addresses()[0];
    let other = tokio::spawn(enroll(Arc::clone(&setting.site), est, other, "simpleenroll".to_owned()));
    receiver.wait_for(2, PATIENCE).await;
    assert!(!first.is_finished(), "nobody waited for the first one");
    drop((first.await.unwrap(), other.await.unwrap()));
    assert_eq!((receiver.received().len(), setting.counted("shed").await), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_guesses_at_passwords_leaves_turns_to_those_with_certificates() {
    let receiver = Receiver::new(|_| Answer::Hang).await;
    let label = "authentication = \"certificate-or-http\"\nhttp_schemes = [\"code\"]";
    let setting = Arc::new(Setting::with(&local(&receiver, "timeout = \"6s\"\nmax_concurrent = 2"), label).await);
    let guesses: Vec<_> = (0..4)
        .map(|number| {
            let (setting, birth) = (Arc::clone(&setting), setting.site.birth(&format!("SN-{number}")));
            // Whether it is verified is known only once it has a turn: here its certificate is enough.
            let fields = "application/pkcs10\r\nAuthorization: Basic Omd1ZXNz";
            tokio::spawn(async move { setting.post(&birth, "simpleenroll", fields, plain_request()).await })
        })
        .collect();
    receiver.wait_for(1, PATIENCE).await;
    let est = setting.running.est_addresses()[0];
    let device = setting.site.birth("SN-9");
    let certified = tokio::spawn(enroll(Arc::clone(&setting.site), est, device, "simpleenroll".to_owned()));
    let asked = receiver.wait_for(2, PATIENCE).await;
    assert!(guesses.iter().all(|guess| !guess.is_finished()) && !certified.is_finished());
    let devices =
        asked.iter().map(|asked| serde_json::from_slice::<Value>(&asked.body).unwrap()["data"]["device"].clone());
    assert_eq!(devices.filter(|device| device == "SN-9").count(), 1, "one of the two turns is for certificates");
    for answer in guesses {
        assert!(answer.await.unwrap().starts_with(b"HTTP/1.1 503"));
    }
    assert!(certified.await.unwrap().err().unwrap().starts_with("503 "));
}

/// As for devices: whatever is no answer leaves an event, and a line in the log under its request id.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_has_issued_fails_as_what_a_device_asks_for() {
    let receiver = Receiver::new(|_| Answer::Hang).await;
    let site = Setting::site(&local(&receiver, "timeout = \"1s\"\nmax_concurrent = 1"), "").await;
    let failed = tokio::task::spawn_blocking(move || {
        let served = site.serve();
        let path = format!("/tenants/{}/labels/devices/certificates", served.tenant());
        std::thread::scope(|scope| {
            for number in 0..3 {
                let (served, path) = (&served, path.as_str());
                scope.spawn(move || {
                    let request = transfer::encode(&plain_request(), LineWrapping::Lines64);
                    let request = String::from_utf8(request).unwrap();
                    let body = serde_json::json!({"device": format!("SN-{number}"), "request": request}).to_string();
                    let fields = "Content-Type: application/json\r\n";
                    let (status, answer) = served.ask("POST", path, fields, body.as_bytes()).unwrap();
                    assert_eq!(status, 503, "{}", String::from_utf8_lossy(&answer));
                });
            }
        });
        let start = Instant::now();
        let failed = loop {
            let failed = served.get("/events?kind=failed")["items"].as_array().unwrap().clone();
            if failed.len() == 3 || start.elapsed() > PATIENCE {
                break failed;
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let log = served.log();
        for event in &failed {
            let request_id = event["request_id"].as_str().unwrap();
            let mut lines = log.lines().filter(|line| line.contains("was not issued") && line.contains(request_id));
            assert!(lines.next().is_some_and(|line| line.contains("/ask")), "{request_id}: {log}");
            assert_eq!((&event["operation"], &event["label"]), (&"issue".into(), &"devices".into()), "{event}");
        }
        assert!(log.contains("at once, the limit"), "one had no turn: {log}");
        failed.len()
    });
    assert_eq!(failed.await.unwrap(), 3);
}

/// The receiver of the documentation, ended when dropped.
struct Documented(Child);

impl Documented {
    /// `None` where there is no Python. Also its port.
    fn start(folder: &Path, secret: &str) -> Option<(Self, u16)> {
        let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/authorization-webhook.md");
        let document = fs::read_to_string(document).unwrap();
        let program = document.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
        fs::write(folder.join("receiver.py"), program).unwrap();
        fs::write(folder.join("secret"), secret).unwrap();
        fs::write(folder.join("devices"), "SN-1\nSN-2\n").unwrap();
        let mut command = Command::new("python3");
        command.args(["receiver.py", "secret", "devices", "0"]).current_dir(folder);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        let line = BufReader::new(child.stdout.take().unwrap()).lines().next();
        let receiver = Self(child);
        let line = line.unwrap().unwrap();
        Some((receiver, line.strip_prefix("listening on ").unwrap().parse().unwrap()))
    }
}

impl Drop for Documented {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_receiver_of_the_documentation_does_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let Some((receiver, port)) = Documented::start(folder.path(), SECRET) else { return };
    let setting = Setting::new(&local_at(port, "")).await;
    for id in ["SN-1", "SN-2"] {
        setting.enroll(&setting.site.birth(id), "simpleenroll").await.unwrap();
    }
    let refused = setting.enroll(&setting.site.birth("SN-3"), "simpleenroll").await.err().unwrap();
    assert!(refused.starts_with("403 "), "{refused}");
    let events = setting.events("code=authorization_denied", 1).await;
    assert_eq!(events[0]["refused_by"]["got"], "denied: SN-3 is not in the inventory");
    drop(receiver);
    setting.running.shutdown().await;

    // One that has another secret takes none of our questions.
    let other = format!("whsec_{}", "C".repeat(44));
    let (_receiver, port) = Documented::start(folder.path(), &other).unwrap();
    let setting = Setting::new(&local_at(port, "")).await;
    let refused = setting.enroll(&setting.site.birth("SN-1"), "simpleenroll").await.err().unwrap();
    assert!(refused.starts_with("503 "), "{refused}");
    setting.running.shutdown().await;
}
