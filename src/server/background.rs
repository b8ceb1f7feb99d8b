//! What a server does by itself: renew its certificate, make lists, note checkpoints, count, see how far behind it is.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::{Own, Shared, blocking, checkpoints, publication};

/// How often the server looks whether its own certificate is due; a failed renewal is tried again as often.
const RENEWAL_CHECK: Duration = Duration::from_secs(60);

/// How often the server looks whether somebody was refused by an old count.
const COUNT_CHECK: Duration = Duration::from_secs(1);

/// Tasks that end with the server; they leave nothing half done wherever they are cut off.
pub(super) struct Background(JoinSet<()>);

impl Background {
    /// `publishes`: there is somebody to show lists to.
    pub(super) fn start(shared: &Arc<Shared>, publishes: bool) -> Self {
        let mut tasks = JoinSet::new();
        tasks.spawn(renew_when_due(Arc::clone(shared)));
        tasks.spawn(shared.pressure.clone().watch());
        tasks.spawn(checkpoints::note_at_times(Arc::clone(shared)));
        tasks.spawn(count_holdings_when_awaited(Arc::clone(shared)));
        if publishes {
            tasks.spawn(publication::publish_when_due(Arc::clone(shared)));
        }
        Self(tasks)
    }

    pub(super) fn stop(&mut self) {
        self.0.abort_all();
    }
}

/// Replaces the server's own certificate when two thirds of its life are over. Looks at the clock again and again
/// instead of sleeping until then: a clock that jumps is noticed.
async fn renew_when_due(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(RENEWAL_CHECK).await;
        let mut renewal = shared.renewal.lock().await;
        if renewal.due.is_none_or(|due| shared.ports.clock.now() < due) {
            continue;
        }
        match Own::obtain(Arc::clone(&renewal.source), &shared.data_dir, &shared.ports).await {
            Ok(own) => {
                shared.certificate.replace(&own.certificate);
                renewal.due = own.renew_at;
                tracing::info!("the server certificate was renewed");
            }
            Err(error) => tracing::error!(%error, "the server certificate was not renewed"),
        }
    }
}

/// Counts anew what a tenant has that is at one of its quotas by an old count: it may have room since.
async fn count_holdings_when_awaited(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(COUNT_CHECK).await;
        let authority = shared.authority.load_full();
        match blocking(move || authority.count_holdings()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "what tenants have cannot be counted"),
            Err(error) => tracing::error!(%error, "what tenants have was not counted"),
        }
    }
}
