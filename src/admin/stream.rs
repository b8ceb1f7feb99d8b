//! A body that is made while it is sent, a piece at a time.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use hyper::body::Frame;
use tokio::sync::mpsc;

/// Pieces made ahead of what the peer has taken.
const AHEAD: usize = 1;

/// The rest cannot be made; the connection is cut, so that what came is not taken for the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the rest of the answer cannot be made")]
pub(super) struct Broken;

/// Takes the pieces; once the peer is gone it takes no more.
pub(super) type Pieces = mpsc::Sender<Result<Bytes, Broken>>;

struct Streamed(mpsc::Receiver<Result<Bytes, Broken>>);

impl hyper::body::Body for Streamed {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

/// A body, and where its pieces go; it ends when that is dropped.
pub(super) fn body() -> (Pieces, Body) {
    let (pieces, taken) = mpsc::channel(AHEAD);
    (pieces, Body::new(Streamed(taken)))
}
