//! What webhooks gave up on: listed, and sent again.

use super::RegistrationAuthority;
use super::lookup::{Page, page};
use crate::access::{ManageServer, ReadServer, ServerGrant};
use crate::audit::AuditOutcome;
use crate::store::dead_letter::{DeadLetter, MAX_DEAD_LETTERS};
use crate::store::{Receipt, StoreFault};

/// Why dead letters are not sent again.
#[derive(Debug, thiserror::Error)]
pub enum RedeliveryError {
    /// There is none.
    #[error("the webhook has no such dead letter")]
    NoLetter,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

impl RegistrationAuthority {
    /// The dead letters of a webhook in the order of their records.
    ///
    /// # Errors
    /// When the store cannot tell.
    pub fn dead_letters(
        &self,
        _grant: &ServerGrant<ReadServer>,
        webhook: &str,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Page<DeadLetter, u64>, StoreFault> {
        let read = |after: Option<&u64>, limit| {
            let letters = DeadLetter::list(self.ports.store.as_ref(), webhook, after.copied(), limit)?;
            Ok(letters.into_iter().map(|letter| (letter.sequence, letter)).collect())
        };
        page(after, limit, read, |letter| Ok(Some(letter.clone())))
    }

    /// How many dead letters a webhook has.
    ///
    /// # Errors
    /// When the store cannot tell.
    pub fn dead_letter_count(&self, _grant: &ServerGrant<ReadServer>, webhook: &str) -> Result<usize, StoreFault> {
        Ok(DeadLetter::list(self.ports.store.as_ref(), webhook, None, MAX_DEAD_LETTERS)?.len())
    }

    /// How many events [`redeliver`](Self::redeliver) would send: that of one record, or all that were given up.
    ///
    /// # Errors
    /// When there is none.
    pub fn asked_for(
        &self,
        _grant: &ServerGrant<ManageServer>,
        webhook: &str,
        sequence: Option<u64>,
    ) -> Result<usize, RedeliveryError> {
        self.letters(webhook, sequence).map(|letters| letters.len())
    }

    /// Asks for another attempt: for the event of one record, or for all that were given up.
    ///
    /// # Errors
    /// When there is none.
    pub fn redeliver(
        &self,
        grant: &ServerGrant<ManageServer>,
        webhook: &str,
        sequence: Option<u64>,
    ) -> Result<Receipt, RedeliveryError> {
        let store = self.ports.store.as_ref();
        let _held = store.hold(&DeadLetter::prefix(webhook));
        let letters = self.letters(webhook, sequence)?;
        let what = match sequence {
            Some(sequence) => format!("webhook {webhook}: event {sequence} to be delivered again"),
            None => format!("webhook {webhook}: {} events to be delivered again", letters.len()),
        };
        let event = grant.actor().event("", None, "webhook", self.ports.clock.now(), AuditOutcome::Changed { what });
        let asked = letters.into_iter().map(|letter| DeadLetter { requested: true, ..letter }.to_fact(webhook));
        Ok(store.record_facts(asked.chain(grant.answer()).collect(), event)?)
    }

    fn letters(&self, webhook: &str, sequence: Option<u64>) -> Result<Vec<DeadLetter>, RedeliveryError> {
        let store = self.ports.store.as_ref();
        let letters: Vec<_> = match sequence {
            Some(sequence) => DeadLetter::find(store, webhook, sequence)?.into_iter().collect(),
            None => DeadLetter::list(store, webhook, None, MAX_DEAD_LETTERS)?,
        };
        if letters.is_empty() { Err(RedeliveryError::NoLetter) } else { Ok(letters) }
    }
}
