//! The promise that a record will be durable, and who keeps it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use super::StoreFault;
use super::claims::locked;

/// Resolves once what it stands for is durable, or is known never to be.
///
/// Await it, or [`wait`](Self::wait) where nothing can be awaited. Dropping it takes nothing back.
#[derive(Debug)]
#[must_use = "nothing may leave the process before the receipt resolves"]
pub struct Receipt(State);

#[derive(Debug)]
enum State {
    Settled(Result<(), StoreFault>),
    Waiting(oneshot::AsyncReceiver<Result<(), StoreFault>>),
    /// Those that have not resolved yet.
    All(Vec<Receipt>),
}

impl Receipt {
    /// The receipt of what is durable already; costs nothing.
    pub const fn durable() -> Self {
        Self(State::Settled(Ok(())))
    }

    /// Resolves when all of them have: to the first fault, if there is one.
    pub fn all(receipts: Vec<Self>) -> Self {
        Self(State::All(receipts))
    }

    /// Blocks this thread until the outcome is known.
    ///
    /// # Errors
    /// What the record failed of; nothing of it was kept then.
    pub fn wait(mut self) -> Result<(), StoreFault> {
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            match Pin::new(&mut self).poll(&mut context) {
                Poll::Ready(outcome) => return outcome,
                Poll::Pending => std::thread::park(),
            }
        }
    }
}

impl Future for Receipt {
    type Output = Result<(), StoreFault>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = match &mut self.0 {
            State::Settled(outcome) => return Poll::Ready(outcome.clone()),
            State::Waiting(receiver) => match Pin::new(receiver).poll(context) {
                Poll::Ready(received) => received.unwrap_or(Err(StoreFault::Closed)),
                Poll::Pending => return Poll::Pending,
            },
            State::All(waiting) => {
                let mut outcome = Ok(());
                waiting.retain_mut(|receipt| match Pin::new(receipt).poll(context) {
                    Poll::Ready(settled) => {
                        outcome = std::mem::replace(&mut outcome, Ok(())).and(settled);
                        false
                    }
                    Poll::Pending => true,
                });
                if outcome.is_ok() && !waiting.is_empty() {
                    return Poll::Pending;
                }
                outcome
            }
        };
        self.0 = State::Settled(outcome.clone());
        Poll::Ready(outcome)
    }
}

/// One record on its way to the disk, with all who wait for it: the request that made it and those that repeat it.
#[derive(Debug)]
pub(super) struct Commit(Mutex<Outcome>);

#[derive(Debug)]
enum Outcome {
    Open(Vec<oneshot::Sender<Result<(), StoreFault>>>),
    Settled(Result<(), StoreFault>),
}

impl Commit {
    /// A commit nobody waits for yet.
    pub(super) fn new() -> Self {
        Self(Mutex::new(Outcome::Open(Vec::new())))
    }

    /// One more receipt on this commit. When the commit is dropped unsettled it resolves to [`StoreFault::Closed`].
    pub(super) fn receipt(&self) -> Receipt {
        match &mut *locked(&self.0) {
            Outcome::Settled(outcome) => Receipt(State::Settled(outcome.clone())),
            Outcome::Open(waiting) => {
                let (sender, receiver) = oneshot::async_channel();
                waiting.push(sender);
                Receipt(State::Waiting(receiver))
            }
        }
    }

    /// Resolves every receipt, those of the past and those to come. The first outcome stands.
    pub(super) fn settle(&self, outcome: Result<(), StoreFault>) {
        let mut state = locked(&self.0);
        let waiting = match &mut *state {
            Outcome::Settled(_) => return,
            Outcome::Open(waiting) => std::mem::take(waiting),
        };
        *state = Outcome::Settled(outcome.clone());
        drop(state);
        for sender in waiting {
            // A receipt that was dropped waits for nothing.
            let _ = sender.send(outcome.clone());
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_receipt_of_a_commit_resolves_alike_before_and_after_it_settles() {
        let commit = Arc::new(Commit::new());
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let receipt = commit.receipt();
                std::thread::spawn(move || receipt.wait())
            })
            .collect();
        commit.settle(Err(StoreFault::Overloaded { waiting: 7 }));
        commit.settle(Ok(()));
        for waiter in waiting {
            assert!(matches!(waiter.join().unwrap(), Err(StoreFault::Overloaded { waiting: 7 })));
        }
        assert!(matches!(commit.receipt().wait(), Err(StoreFault::Overloaded { waiting: 7 })));
        assert!(Receipt::durable().wait().is_ok());
    }

    #[test]
    fn all_of_several_receipts_resolve_when_the_last_one_does_or_one_fails() {
        for fails in [false, true] {
            let commits: Vec<_> = (0..3).map(|_| Arc::new(Commit::new())).collect();
            let all = Receipt::all(commits.iter().map(|commit| commit.receipt()).collect());
            let waiter = std::thread::spawn(move || all.wait());
            commits[2].settle(Ok(()));
            commits[0].settle(if fails { Err(StoreFault::Closed) } else { Ok(()) });
            if !fails {
                commits[1].settle(Ok(()));
            }
            assert_eq!(waiter.join().unwrap().is_err(), fails);
        }
        assert!(Receipt::all(Vec::new()).wait().is_ok());
    }

    #[test]
    fn a_commit_that_is_lost_does_not_leave_anybody_waiting() {
        let commit = Commit::new();
        let receipt = commit.receipt();
        drop(commit);
        assert!(matches!(receipt.wait(), Err(StoreFault::Closed)));
    }
}
