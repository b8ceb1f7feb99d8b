//! What operators are told is so: kept when the process is killed, and true from the next request on under load.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/served.rs"]
mod served;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use served::*;

/// How often the process is killed.
const CYCLES: usize = 4;
/// Devices of one import.
const ROWS: usize = 40;
/// Devices that enroll while others are imported and revoked.
const OTHERS: usize = 3;

/// What became of something that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// It was answered that it is so.
    Done,
    /// The process died before it answered.
    Nothing,
}

/// What was asked for and answered until the process died.
#[derive(Default)]
struct Asked {
    imports: Mutex<BTreeMap<String, Told>>,
    revocations: Mutex<BTreeMap<String, Told>>,
    /// The last certificate of each device that was revoked or was to be.
    certificates: Mutex<BTreeMap<String, Device>>,
}

impl Asked {
    fn note(&self, of: &Mutex<BTreeMap<String, Told>>, name: String, answer: Option<(u16, Vec<u8>)>) -> Told {
        let told = match answer {
            Some((200, _)) => Told::Done,
            Some((status, body)) => panic!("{name}: {status} {}", String::from_utf8_lossy(&body)),
            None => Told::Nothing,
        };
        of.lock().unwrap().insert(name, told);
        told
    }

    /// Imports and revocations that were answered.
    fn done(&self) -> [usize; 2] {
        [&self.imports, &self.revocations]
            .map(|of| of.lock().unwrap().values().filter(|told| **told == Told::Done).count())
    }
}

fn import(server: &Served, tenant: &str, batch: &str) -> Option<(u16, Vec<u8>)> {
    let rows: String = (0..ROWS).map(|row| format!("{batch}-{row:03},crash\n")).collect();
    let path = format!("/tenants/{tenant}/devices");
    server.ask("POST", &path, "Content-Type: text/csv\r\n", format!("id,tags\n{rows}").as_bytes())
}

fn revoke(server: &Served, tenant: &str, device: &str) -> Option<(u16, Vec<u8>)> {
    let path = format!("/tenants/{tenant}/devices/{device}/revoke");
    server.ask("POST", &path, "Content-Type: application/json\r\n", br#"{"reason":"superseded"}"#)
}

/// How many certificates of a device there are, revoked or not.
fn certificates(server: &Served, tenant: &str, device: &str, revoked: bool) -> usize {
    let path = format!("/tenants/{tenant}/certificates?device={device}&revoked={revoked}&limit=1000");
    server.get(&path)["items"].as_array().unwrap().len()
}

/// Imports, enrolls and revokes until the process is killed, after some answers of each kind.
fn live_and_die(site: &Site, server: Served, tenant: &str, cycle: usize, asked: &Asked) {
    let (server, [imports, revocations]) = (&server, asked.done());
    let enough = [imports + 2 + 2 * cycle, revocations + 1 + cycle];
    thread::scope(|scope| {
        scope.spawn(move || {
            for number in 0.. {
                let batch = format!("B-{cycle}-{number}");
                let answer = import(server, tenant, &batch);
                if asked.note(&asked.imports, batch, answer) == Told::Nothing {
                    return;
                }
            }
        });
        for line in 0..OTHERS {
            scope.spawn(move || {
                for number in 0.. {
                    let id = format!("SN-{cycle}-{line}-{number}-end");
                    let birth = site.birth(&id);
                    // Two certificates each: a revocation takes both or none.
                    let Ok(first) = server.enroll(&birth, "simpleenroll") else { return };
                    let Ok(device) = server.enroll(&first, "simplereenroll") else { return };
                    asked.certificates.lock().unwrap().insert(id.clone(), device);
                    let answer = revoke(server, tenant, &id);
                    if asked.note(&asked.revocations, id, answer) == Told::Nothing {
                        return;
                    }
                }
            });
        }
        let patience = 3000;
        let waited = (0..patience)
            .take_while(|_| asked.done().iter().zip(&enough).any(|(done, enough)| done < enough))
            .inspect(|_| thread::sleep(Duration::from_millis(10)))
            .count();
        assert!(waited < patience, "{enough:?} answers are too many");
        server.signal("KILL");
    });
}

#[test]
fn nothing_that_operators_were_told_is_lost_or_half_done_when_the_process_is_killed() {
    let site = Site::new();
    let asked = Asked::default();
    let mut server = site.serve();
    let tenant = server.tenant();
    for cycle in 0..CYCLES {
        live_and_die(&site, server, &tenant, cycle, &asked);
        server = site.serve();
        for (batch, told) in asked.imports.lock().unwrap().iter() {
            let listed = server.get(&format!("/tenants/{tenant}/devices?limit=1000&prefix={batch}-"));
            match (listed["items"].as_array().unwrap().len(), told) {
                (ROWS, _) | (0, Told::Nothing) => {}
                (some, _) => panic!("{some} of {ROWS} devices of {batch}, {told:?}"),
            }
        }
        for (id, told) in asked.revocations.lock().unwrap().iter() {
            let state = server.get(&format!("/tenants/{tenant}/devices/{id}"))["state"].as_str().unwrap().to_owned();
            let (revoked, good) = (certificates(&server, &tenant, id, true), certificates(&server, &tenant, id, false));
            match (state.as_str(), told) {
                ("revoked", _) => assert_eq!((revoked, good), (2, 0), "{id}"),
                ("active", Told::Nothing) => assert_eq!((revoked, good), (0, 2), "{id}"),
                (other, told) => panic!("{id} is {other}, {told:?}"),
            }
        }
    }
    let certificates = asked.certificates.lock().unwrap();
    for (id, _) in asked.revocations.lock().unwrap().iter().filter(|(_, told)| **told == Told::Done).take(8) {
        let refused = server.enroll(&certificates[id], "simplereenroll").err().flatten().unwrap();
        assert!(refused.contains("revoked"), "{id}: {refused}");
    }
    server.stop();
    run(&["journal", "verify", "--data-dir", site.folder.join("data").to_str().unwrap()]);
}

#[test]
fn a_revoked_device_is_refused_from_the_next_request_on_while_others_enroll() {
    let site = Site::new();
    let server = &site.serve();
    let tenant = &server.tenant();
    let over = &AtomicBool::new(false);
    thread::scope(|scope| {
        let others: Vec<_> = (0..OTHERS)
            .map(|number| {
                let birth = site.birth(&format!("SN-other-{number}"));
                scope.spawn(move || {
                    let mut issued = 0;
                    while !over.load(Ordering::Relaxed) {
                        server.enroll(&birth, "simpleenroll").unwrap();
                        issued += 1;
                    }
                    issued
                })
            })
            .collect();
        for number in 0..6 {
            let id = format!("SN-{number}");
            let birth = site.birth(&id);
            let current = server.enroll(&birth, "simpleenroll").unwrap();
            // Its own requests are under way when it is revoked.
            let stopping = &AtomicBool::new(false);
            thread::scope(|scope| {
                let busy = scope.spawn(|| {
                    let mut refused = None;
                    while !stopping.load(Ordering::Acquire) {
                        refused = server.enroll(&birth, "simpleenroll").err().flatten();
                    }
                    refused
                });
                thread::sleep(Duration::from_millis(40 * number));
                assert_eq!(revoke(server, tenant, &id).unwrap().0, 200);
                for (device, operation) in [(&current, "simplereenroll"), (&birth, "simpleenroll")] {
                    let refused = server.enroll(device, operation).err().flatten().unwrap();
                    assert!(refused.contains("revoked"), "{id} {operation}: {refused}");
                }
                stopping.store(true, Ordering::Release);
                busy.join().unwrap();
            });
            assert_eq!(certificates(server, tenant, &id, false), 0, "one was issued past the revocation");
            assert!(certificates(server, tenant, &id, true) > 0);
        }
        over.store(true, Ordering::Relaxed);
        for other in others {
            assert!(other.join().unwrap() > 0, "others were not kept waiting");
        }
    });
}
