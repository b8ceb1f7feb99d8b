//! Lists, a page at a time.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::problem::Problem;
use crate::est::transfer;

/// Rows on a page when none are asked for, and at most.
const DEFAULT_LIMIT: u16 = 100;
const MAX_LIMIT: u16 = 1_000;

/// Which part of a list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(super) struct PageQuery {
    /// Rows at most.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u16>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Part of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Listed<T> {
    /// What fits, in order.
    pub(super) items: Vec<T>,
    /// The `cursor` of the next page; without one there is nothing more. A page may be empty and have one: the filter fits
    /// little.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
}

impl PageQuery {
    pub(super) fn limit(&self) -> Result<usize, Problem> {
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(Problem::bad_request(format!("limit is 1 to {MAX_LIMIT}, {limit} came")));
        }
        Ok(limit.into())
    }

    /// The place that the cursor stands for, as `read` finds it in its octets.
    pub(super) fn place<T>(&self, read: impl FnOnce(&[u8]) -> Option<T>) -> Result<Option<T>, Problem> {
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let place = transfer::decode_base64url(cursor).and_then(|octets| read(&octets));
        place
            .map(Some)
            .ok_or_else(|| Problem::not_found("there is no such page: cursor is not one that this list gave"))
    }
}

/// The cursor of a place.
pub(super) fn cursor(octets: impl AsRef<[u8]>) -> String {
    transfer::encode_base64url(octets.as_ref())
}
