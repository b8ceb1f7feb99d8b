//! The body of a request, sent piece by piece so that it is seen how far it has come.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use indicatif::ProgressBar;

/// Most octets of a piece.
const PIECE_OCTETS: usize = 1 << 16;

/// What is not sent yet, and who is told how much was.
pub(super) struct Sending {
    left: Bytes,
    bar: ProgressBar,
}

impl Sending {
    pub(super) fn new(octets: Vec<u8>, bar: ProgressBar) -> Self {
        Self { left: octets.into(), bar }
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let octets = self.left.len().min(PIECE_OCTETS);
        let piece = self.left.split_to(octets);
        self.bar.inc(octets as u64);
        if self.left.is_empty() {
            self.bar.set_message("the server takes it over");
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn every_octet_is_sent_once_and_counted() {
        for octets in [0, 1, PIECE_OCTETS, 3 * PIECE_OCTETS + 7] {
            let content: Vec<u8> = (0..octets).map(|at| at as u8).collect();
            let bar = ProgressBar::hidden();
            let mut sending = Sending::new(content.clone(), bar.clone());
            assert_eq!(sending.size_hint().exact(), Some(octets as u64));
            let (mut sent, mut seen) = (Vec::new(), Vec::new());
            while let Some(frame) = sending.frame().await {
                sent.extend_from_slice(frame.unwrap().data_ref().unwrap());
                seen.push(bar.position());
            }
            assert_eq!((sent, bar.position()), (content, octets as u64));
            assert!(sending.is_end_stream() && seen.is_sorted(), "{seen:?}");
            assert_eq!(seen.len(), octets.div_ceil(PIECE_OCTETS));
        }
    }
}
