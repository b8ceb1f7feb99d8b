//! A body of known length that a thread writes while it is sent: it is never whole in memory.

use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::sync::mpsc;

/// Octets handed over at once.
const CHUNK: usize = 1 << 16;
/// Chunks that may wait for a peer that is slow: then the writer waits.
const WAITING: usize = 4;

/// What the thread writes, as it comes.
pub(crate) struct WrittenBody {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    left: u64,
}

impl WrittenBody {
    /// A body of so many octets. `write` runs where it may block; it fails once the peer is gone.
    pub(crate) fn new(octets: u64, write: impl FnOnce(&mut ChunkWriter) -> io::Result<()> + Send + 'static) -> Self {
        let (sender, chunks) = mpsc::channel(WAITING);
        tokio::task::spawn_blocking(move || {
            let mut out = ChunkWriter { sender, chunk: Vec::with_capacity(CHUNK) };
            if let Err(error) = write(&mut out).and_then(|()| out.flush()) {
                // Nobody is left to tell when the peer is gone.
                drop(out.sender.blocking_send(Err(error)));
            }
        });
        Self { chunks, left: octets }
    }
}

impl Body for WrittenBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let chunk = match ready!(self.chunks.poll_recv(context)) {
            Some(Ok(chunk)) => chunk,
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            // The thread ended early: what was sent must not pass for all of it.
            None if self.left > 0 => return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
            None => return Poll::Ready(None),
        };
        let Some(left) = self.left.checked_sub(chunk.len() as u64) else {
            return Poll::Ready(Some(Err(io::ErrorKind::InvalidData.into())));
        };
        self.left = left;
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Where the thread writes to.
pub(crate) struct ChunkWriter {
    sender: mpsc::Sender<io::Result<Bytes>>,
    chunk: Vec<u8>,
}

impl Write for ChunkWriter {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let taken = octets.len().min(CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(&octets[..taken]);
        if self.chunk.len() == CHUNK {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK));
        self.sender.blocking_send(Ok(chunk.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    #[tokio::test]
    async fn a_body_is_what_was_written_or_an_error() {
        let body = |octets: u64, written: usize| {
            WrittenBody::new(octets, move |out| (0..written).try_for_each(|at| out.write_all(&[at as u8])))
        };
        let long = 3 * CHUNK + 1;
        let whole = body(long as u64, long).collect().await.unwrap().to_bytes();
        assert!(whole.iter().copied().eq((0..long).map(|at| at as u8)));
        assert_eq!(body(0, 0).collect().await.unwrap().to_bytes().len(), 0);
        assert!(body(long as u64, long - 1).collect().await.is_err(), "it ended early");
        assert!(body(3, long).collect().await.is_err(), "more came than was told");
        let failing = WrittenBody::new(3, |out| out.write_all(b"ab").and(Err(io::ErrorKind::Other.into())));
        assert!(failing.collect().await.is_err());
    }
}
