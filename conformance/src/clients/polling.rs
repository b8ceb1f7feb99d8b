//! A client that is put off until an operator approves its request.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Answer, Enrollment, EstClient, Job, Way, folder};
use crate::certificate::Certificate;
use crate::clock::Deadline;
use crate::command::text;
use crate::credentials;
use crate::matrix::{Check, Problem};
use crate::server::Binary;
use crate::stage::{Stage, own_subject};

/// How long a request may take until it waits for its operator.
const POLLING: Duration = Duration::from_secs(20);

/// The client is told 202 until an operator approves its request, and comes again (RFC 7030 section 4.2.3).
pub(super) fn check(client: &dyn EstClient, stage: &Stage) -> Check {
    let request = stage.request(&own_subject("SN-P256"), &[])?;
    let job = Job {
        server: &stage.approval,
        operation: Enrollment::SimpleEnroll,
        identity: None,
        request: &request,
        login: Some(credentials::login(Way::Basic, credentials::APPROVAL)),
        folder: folder(stage, client.name())?,
    };
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (binary, configuration) = (stage.binary.clone(), text(&stage.approval.configuration));
        let ended = &ended;
        let approved = scope.spawn(move || approve(&binary, &configuration, ended));
        let answer = client.poll(&job);
        ended.store(true, Ordering::Relaxed);
        let approved = approved.join().map_err(|_| Problem::failed("the operator gave up"))?;
        match (answer?, approved?) {
            (Answer::Certificate(pem), _) => {
                let certificate = Certificate::from_pem(&pem)?;
                stage.keep_certificate(&certificate, &request, "polling").map(|_| ())
            }
            (Answer::Refused(why), _) => Err(Problem::failed(format!("refused: {}", why.trim()))),
            (Answer::Generated { .. }, _) => Err(Problem::failed("a key came along that nobody asked for")),
        }
    })
}

/// Approves the request that waits, as soon as there is one, unless the client has ended before.
fn approve(binary: &Binary, configuration: &str, ended: &AtomicBool) -> Check {
    let deadline = Deadline::after(POLLING);
    while !deadline.passed() && !ended.load(Ordering::Relaxed) {
        let list = binary
            .run(&["pending", "list", "--json", "--tenant", "acme", "--config", configuration])?
            .succeeded("pending list")?;
        // One line a request.
        let first = list.split(|octet| *octet == b'\n').next().unwrap_or_default();
        let first: serde_json::Value = serde_json::from_slice(first).unwrap_or_default();
        let id = first.get("id").and_then(serde_json::Value::as_str);
        if let Some(id) = id {
            let approved = binary.run(&["pending", "approve", id, "--tenant", "acme", "--config", configuration])?;
            return approved.succeeded("pending approve").map(|_| ());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Err(Problem::not_run("no request came to wait"))
}
