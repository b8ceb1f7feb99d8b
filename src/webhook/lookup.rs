//! The addresses of a name, looked up by so many at once that names nobody answers for keep few threads.

use std::io;
use std::net::SocketAddr;

use tokio::sync::Semaphore;

/// Names looked up at once, for all receivers. The system's resolver keeps a thread for each, as long as it likes: no time limit
/// of ours ends it.
const MAX_LOOKUPS: usize = 32;

static LOOKUPS: Semaphore = Semaphore::const_new(MAX_LOOKUPS);

/// The addresses of `host`. Whoever stops waiting for them stops no lookup.
///
/// # Errors
/// When the name does not resolve.
pub(super) async fn lookup(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let host = host.to_owned();
    bounded(&LOOKUPS, async move { Ok(tokio::net::lookup_host((host.as_str(), port)).await?.collect()) }).await
}

/// What `lookup` finds. It has its turn until it ends, and not just until nobody waits for it any more.
async fn bounded<T: Send + 'static>(
    turns: &'static Semaphore,
    lookup: impl Future<Output = io::Result<T>> + Send + 'static,
) -> io::Result<T> {
    let turn = turns.acquire().await.map_err(io::Error::other)?;
    let looked_up = tokio::spawn(async move {
        let found = lookup.await;
        drop(turn);
        found
    });
    looked_up.await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lookup_keeps_its_turn_until_it_ends_whoever_waits_for_it() {
        static ONE: Semaphore = Semaphore::const_new(1);
        const LIMIT: Duration = Duration::from_secs(5);
        let (answer, answered) = oneshot::channel::<()>();
        let stuck = bounded(&ONE, async move { answered.await.map_err(io::Error::other) });
        assert!(timeout(LIMIT, stuck).await.is_err(), "nobody answers for the name");
        for _ in 0..3 {
            let next = bounded(&ONE, async { Ok(()) });
            assert!(timeout(LIMIT, next).await.is_err(), "its lookup goes on, and no other begins");
        }
        answer.send(()).unwrap();
        timeout(LIMIT, bounded(&ONE, async { Ok(()) })).await.unwrap().unwrap();
        assert_eq!(ONE.available_permits(), 1);
    }

    #[tokio::test]
    async fn a_name_of_this_machine_has_its_addresses() {
        let found = lookup("localhost", 8443).await.unwrap();
        assert!(!found.is_empty() && found.iter().all(|address| address.ip().is_loopback() && address.port() == 8443));
        assert_eq!(LOOKUPS.available_permits(), MAX_LOOKUPS);
    }
}
