//! What runs beside the registry: lists, reloads, figures.

use estd::admin::Reloaded;

use tokio::net::TcpStream;

use super::*;

/// A server that publishes.
async fn publishing() -> Operated {
    Operated::start_edited("", |config| {
        let at = "public_listen = [\"127.0.0.1:0\"]\npublic_url = \"http://pki.example\"\ndata_dir = ";
        let config = config.replacen("data_dir = ", at, 1);
        config.replacen("name = \"issuing\"\n", "name = \"issuing\"\ncrl_shards = 2\ncrl_delta_lifetime = \"1h\"\n", 1)
    })
    .await
}

#[tokio::test]
async fn the_lists_are_told_and_given_out_as_they_are_published() {
    let server = publishing().await;
    let tenant = server.tenant().await;
    let path = format!("/tenants/{tenant}/crls");
    let mut lists = Vec::new();
    for _ in 0..200 {
        lists = server.get(&path).await.json()["items"].as_array().unwrap().clone();
        if lists.len() >= 6 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let names: Vec<_> = lists.iter().map(|list| list["list"].as_str().unwrap()).collect();
    assert_eq!(names, ["full", "1-of-2", "2-of-2", "delta", "1-of-2-delta", "2-of-2-delta"]);
    for list in &lists {
        assert_eq!((&list["entries"], list["authority"].as_str()), (&json!(0), Some(&*format!("{tenant}/issuing"))));
        let at = format!("{path}/{}/{}", list["issuer"].as_str().unwrap(), list["list"].as_str().unwrap());
        let file = server.get(&at).await;
        assert_eq!((file.status, file.field("content-type")), (200, Some("application/pkix-crl")));
        let crl = estd_asn1::crl::CertificateList::decode(&file.body).unwrap();
        assert_eq!(
            (json!(crl.number().unwrap()), json!(file.body.len())),
            (list["number"].clone(), list["octets"].clone())
        );
        assert!(list["url"].as_str().unwrap().starts_with("http://pki.example/crl/"), "{list}");
    }
    let issuer = lists[0]["issuer"].as_str().unwrap();
    for name in [format!("{issuer}/3-of-2"), format!("{}/full", "00".repeat(32)), "x/full".to_owned()] {
        assert_eq!(server.get(&format!("{path}/{name}")).await.code(), "not-found", "{name}");
    }
    server.running.shutdown().await;
}

#[tokio::test]
async fn a_reload_is_done_by_who_takes_it_and_told_to_who_asked() {
    let server = Operated::start("").await;
    assert_eq!(server.post("/reload", &json!({})).await.code(), "unavailable");
    let mut asked = server.running.reload_requests();
    let answers = async {
        let problems = vec!["config.toml: one".to_owned(), "config.toml: two".to_owned()];
        asked.recv().await.unwrap().answer(Reloaded::Refused { problems });
        let done = Reloaded::Done { restart: vec!["server.listen"], warnings: vec!["soon".to_owned()] };
        asked.recv().await.unwrap().answer(done);
    };
    let asks = async {
        let refused = server.post("/reload", &json!({})).await;
        assert_eq!((refused.status, refused.code().as_str()), (422, "configuration"));
        assert_eq!(refused.json()["problems"], json!(["config.toml: one", "config.toml: two"]));
        let done = server.post("/reload", &json!({})).await;
        assert_eq!(done.json(), json!({ "now": "reloaded", "restart": ["server.listen"], "warnings": ["soon"] }));
    };
    tokio::join!(answers, asks);
    let events = server.get("/events").await.json();
    assert_eq!(events["items"][0]["operation"], "server.reload", "{events}");
    assert!(events["items"][0]["actor"].as_str().unwrap().starts_with("local:"));
    server.running.shutdown().await;
}

#[tokio::test]
async fn figures_are_told_by_step_and_by_code_and_bounded() {
    let server = Operated::start("").await;
    let tenant = server.tenant().await;
    // A stranger at the label of the other tenant, and one at the server's own.
    for path in ["others/simpleenroll", "devices/simpleenroll", "devices/simpleenroll"] {
        assert_eq!(server.stranger("POST", path).await, 403);
    }
    let at = |path: &str| format!("/tenants/{tenant}/statistics{path}");
    // Nobody waits for the record of a refusal.
    for _ in 0..200 {
        if server.get("/statistics").await.json()["refusals"] == json!({ "auth_missing": 3 }) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let own = server.get(&at("?by=hour")).await.json();
    assert_eq!(own["steps"].as_array().unwrap().len(), 48);
    assert_eq!(own["refusals"], json!({ "auth_missing": 2 }));
    let sum = |figures: &Value, key: &str| {
        figures["steps"].as_array().unwrap().iter().map(|step| step[key].as_u64().unwrap()).sum::<u64>()
    };
    // What the server certified for itself is nobody's enrollment.
    assert_eq!((sum(&own, "refused"), sum(&own, "issued")), (2, 0));
    let all = server.get("/statistics").await.json();
    assert_eq!((all["steps"].as_array().unwrap().len(), sum(&all, "refused"), sum(&all, "issued")), (30, 3, 0));
    assert_eq!(server.get(&at("?label=nothing")).await.json()["refusals"], json!({}));
    let before = server.get(&at("?since=2026-01-01T00:00:00Z&until=2026-01-02T12:00:00Z")).await.json();
    assert_eq!(before["steps"].as_array().unwrap().len(), 2);
    assert_eq!(before["steps"][1]["start"], "2026-01-02T00:00:00Z");
    // Each of them is well formed, but there is no such span.
    for query in [
        "?by=hour&since=2026-01-01T00:00:00Z&until=2026-01-17T16:00:00Z",
        "?since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z",
        "/expiry?days=0",
        "/expiry?days=401",
    ] {
        assert_eq!(server.get(&at(query)).await.code(), "unprocessable", "{query}");
    }
    for query in ["?by=week", "?until=2026", "?form=pem", "/expiry?by=day"] {
        assert_eq!(server.get(&at(query)).await.code(), "bad-request", "{query}");
    }
    let most = server.get(&at("?by=hour&since=2026-01-01T00:00:00Z&until=2026-01-17T15:00:00Z")).await.json();
    assert_eq!(most["steps"].as_array().unwrap().len(), 400);
    let expiry = server.get(&at("/expiry?days=400")).await.json();
    assert_eq!((expiry["days"].as_array().unwrap().len(), &expiry["later"]), (400, &json!(0)));
    server.running.shutdown().await;
}

fn csr(subject: rcgen::DistinguishedName) -> (String, Vec<u8>) {
    let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    params.distinguished_name = subject;
    let key = rcgen::KeyPair::generate().unwrap();
    let request = params.serialize_request(&key).unwrap();
    (request.pem().unwrap(), request.der().to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_s_request_is_judged_as_a_device_s_is_but_for_who_it_is() {
    let server = Operated::start("").await;
    let tenant = server.tenant().await;
    let path = format!("/tenants/{tenant}/labels/devices/certificates");
    let (pem, der) = csr(rcgen::DistinguishedName::new());
    let issued = server.post(&path, &json!({ "device": "SN-1", "request": pem })).await;
    let shown = issued.json();
    assert_eq!((issued.status, shown["now"].as_str(), shown["device"].as_str()), (200, Some("issued"), Some("SN-1")));
    assert_eq!(shown["chain"].as_str().unwrap().matches("BEGIN CERTIFICATE").count(), 2);
    let at = format!(
        "/tenants/{tenant}/certificates/{}/{}",
        shown["issuer"].as_str().unwrap(),
        shown["serial"].as_str().unwrap()
    );
    let record = server.get(&at).await.json();
    assert_eq!((record["device"].as_str(), record["status"].as_str()), (Some("SN-1"), Some("good")));
    assert!(record["credential"].as_str().unwrap().starts_with("operator/local:"), "{record}");
    let event = server.get(&format!("/tenants/{tenant}/devices/SN-1/events")).await.json()["items"][0].clone();
    assert_eq!((event["operation"].as_str(), event["kind"].as_str()), (Some("issue"), Some("issued")));
    assert!(event["actor"].as_str().unwrap().starts_with("local:"));
    // The answer was lost.
    let again = server.post(&path, &json!({ "device": "SN-1", "request": pem })).await.json();
    assert_eq!(again["serial"], shown["serial"]);
    let mut monitor = TcpStream::connect(server.running.status_address()).await.unwrap();
    monitor.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut metrics = String::new();
    monitor.read_to_string(&mut metrics).await.unwrap();
    let issued = format!("estd_certificates_issued_total{{tenant=\"{tenant}\",label=\"devices\"}} 2\n");
    assert!(metrics.contains(&issued), "{metrics}");

    // One key is one device's, names are the profile's, possession is proven, and a device that is suspended stays so.
    let refused = server.post(&path, &json!({ "device": "SN-2", "request": pem })).await;
    assert_eq!(
        (refused.status, refused.code().as_str(), &refused.json()["code"]),
        (422, "refused", &json!("key_in_use"))
    );
    let mut other = rcgen::DistinguishedName::new();
    other.push(rcgen::DnType::CommonName, "SN-9");
    let (foreign, _) = csr(other);
    let mut forged = der.clone();
    *forged.last_mut().unwrap() ^= 1;
    let forged =
        String::from_utf8(estd::est::transfer::encode(&forged, estd::est::transfer::LineWrapping::Lines64)).unwrap();
    assert_eq!(server.post(&format!("/tenants/{tenant}/devices/SN-1/suspend"), &json!({})).await.status, 200);
    let (fresh, _) = csr(rcgen::DistinguishedName::new());
    for (device, request, code) in [
        ("SN-2", &foreign, "identity_mismatch"),
        ("SN-2", &forged, "pop_invalid"),
        ("SN-1", &fresh, "device_suspended"),
    ] {
        let refused = server.post(&path, &json!({ "device": device, "request": request })).await;
        assert_eq!(refused.json()["code"], code, "{device} {}", refused.json());
    }
    for (path, body, code) in [
        (&path, json!({ "device": "SN\u{202e}", "request": pem }), "unprocessable"),
        (&path, json!({ "device": "SN-2", "request": "?" }), "unprocessable"),
        (&path, json!({ "device": "SN-2" }), "unprocessable"),
        (&path.replace("devices/", "others/"), json!({ "device": "SN-2", "request": pem }), "not-found"),
    ] {
        assert_eq!(server.post(path, &body).await.code(), code, "{body}");
    }
    let file = server.folder.path.join("request.der");
    fs::write(&file, csr(rcgen::DistinguishedName::new()).1).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_estd"));
    command.args(["cert", "issue", "--label", "devices", "--device", "SN-3"]).arg(&file);
    let output =
        command.env("ESTD_CONFIG", server.folder.path.join("config.toml")).env("ESTD_TENANT", &tenant).output();
    let output = output.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).matches("BEGIN CERTIFICATE").count(), 3, "{output:?}");
    server.running.shutdown().await;
}

#[tokio::test]
async fn an_operator_s_request_waits_where_devices_are_approved() {
    let server = Operated::start_edited("", |config| {
        config.replacen("identity = ", "registration = \"approval\"\nidentity = ", 1)
    })
    .await;
    let tenant = server.tenant().await;
    let path = format!("/tenants/{tenant}/labels/devices/certificates");
    let body = json!({ "device": "SN-1", "request": csr(rcgen::DistinguishedName::new()).0 });
    let waiting = server.post(&path, &body).await;
    assert_eq!((waiting.status, waiting.json()["now"].as_str()), (202, Some("waiting")), "{}", waiting.json());
    let request = waiting.json()["request"].as_str().unwrap().to_owned();
    let approve = format!("/tenants/{tenant}/requests/{request}/approve");
    assert_eq!(server.post(&approve, &json!({})).await.status, 200);
    assert_eq!(server.post(&path, &body).await.json()["now"], "issued");
    server.running.shutdown().await;
}
