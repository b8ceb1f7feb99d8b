//! Lists made in the background: when they are due, or a certificate was revoked.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Shared, blocking};
use crate::va::Tended;

/// How often it is looked whether a certificate was revoked.
const TICK: Duration = Duration::from_millis(500);
/// So many times as long as making the lists took is rested afterwards: long lists cost a fifth of one processor at most.
const REST: u32 = 4;
/// How long is waited after a failure.
const PAUSE_AFTER_FAULT: Duration = Duration::from_secs(10);

/// Looks after the lists of every CA for as long as the server runs.
pub(super) async fn publish_when_due(shared: Arc<Shared>) {
    loop {
        let started = Instant::now();
        let failed = tend_all(&shared).await;
        let rest = if failed { PAUSE_AFTER_FAULT } else { TICK.max(started.elapsed() * REST) };
        tokio::time::sleep(rest).await;
    }
}

/// Whether any of them failed.
async fn tend_all(shared: &Shared) -> bool {
    let mut failed = false;
    let authority = shared.validation.load_full();
    for issuer in authority.issuers().map(Arc::clone) {
        let (tended, ports) = (Arc::clone(&issuer), authority.ports().clone());
        let outcome = blocking(move || tended.tend(&ports)).await;
        let name = issuer.name();
        match outcome {
            Ok(Ok(Tended::Idle)) => {}
            Ok(Ok(Tended::Published { number, lists, entries })) => {
                tracing::info!(authority = name, number, lists, entries, "CRLs published");
            }
            Ok(Err(error)) => {
                tracing::error!(authority = name, %error, "CRLs were not published");
                failed = true;
            }
            Err(error) => {
                tracing::error!(authority = name, %error, "CRLs were not published");
                failed = true;
            }
        }
    }
    failed
}
