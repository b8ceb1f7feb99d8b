//! The stream hyper reads: only requests that are framed beyond doubt, each of them within its time.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
use zeroize::Zeroizing;

use super::connection::HttpLimits;
use super::field_names::FieldNames;
use super::framing::{Framing, Step};
use crate::est::Rejection;

/// Octets asked of the connection at once.
const READ_SIZE: usize = 4096;

/// How long a closed connection is still read, so that its last answer is not lost to a reset (RFC 9112 section 9.6).
const LINGER: Duration = Duration::from_secs(2);

/// How many octets are still read then.
const LINGER_OCTETS: usize = 1 << 20;

/// Octets that leave in one write, at the most.
const TOGETHER_OCTETS: usize = 64 * 1024;

/// What hyper is shown in place of a head that is refused: the one request on which [`Refused::get`] is some.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nHost: refused\r\nConnection: close\r\n\r\n";

/// Tells the service that the request before it stands for one that was refused, and why.
#[derive(Debug, Clone, Default)]
pub(super) struct Refused(Arc<OnceLock<Rejection>>);

impl Refused {
    /// To be asked when the service is called: hyper hands every request over before it reads on.
    pub(super) fn get(&self) -> Option<Rejection> {
        self.0.get().cloned()
    }
}

/// Stands between a connection and hyper.
///
/// A request head is held back until it is complete; one that is refused is replaced by a stand-in, nothing after it is
/// read. So hyper never answers by itself, and exactly one answer goes to an attempt at smuggling.
pub(super) struct Guard<Io> {
    io: Io,
    limits: HttpLimits,
    framing: Framing,
    refused: Refused,
    input: Input,
    /// Octets received and not yet handed on.
    inbound: Vec<u8>,
    /// How many of them hyper may read.
    cleared: usize,
    reading: Deadline,
    writing: Deadline,
    names: FieldNames,
    /// Octets that may still come after the connection was closed from here; `None` before that.
    lingering: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Input {
    Open,
    /// The peer may still send; it is not listened to.
    Ignored,
    /// The peer ended its side, or was too slow.
    Ended,
}

impl<Io> Guard<Io> {
    pub(super) fn new(io: Io, limits: HttpLimits) -> (Self, Refused) {
        let refused = Refused::default();
        let guard = Self {
            io,
            limits,
            framing: Framing::new(limits.max_header),
            refused: refused.clone(),
            input: Input::Open,
            inbound: Vec::new(),
            cleared: 0,
            reading: Deadline::default(),
            writing: Deadline::default(),
            names: FieldNames::default(),
            lingering: None,
        };
        (guard, refused)
    }

    /// Looks at what waits. `false` when more must arrive.
    fn advance(&mut self) -> io::Result<bool> {
        if self.inbound.is_empty() {
            return Ok(false);
        }
        let between_requests = self.framing.between_requests();
        match self.framing.step(&self.inbound) {
            Ok(Step::Wait) => return Ok(false),
            Ok(Step::Skip(count)) => drop(self.inbound.drain(..count)),
            Ok(Step::Clear(count)) => {
                self.cleared = count;
                self.reading.disarm();
            }
            Err(rejection) if between_requests => {
                // Once refused nothing more is judged, so the slot is empty here.
                let _ = self.refused.0.set(rejection);
                self.input = Input::Ignored;
                self.inbound = STAND_IN.to_vec();
                self.cleared = STAND_IN.len();
            }
            Err(rejection) => {
                self.input = Input::Ignored;
                return Err(io::Error::new(io::ErrorKind::InvalidData, rejection));
            }
        }
        Ok(true)
    }

    /// The time limit that holds now, and whether it is a new one to each octet.
    fn read_timeout(&self) -> Option<(Phase, Duration)> {
        match (self.framing.between_requests(), self.inbound.is_empty()) {
            (true, true) => Some((Phase::Idle, self.limits.idle_timeout)),
            (true, false) => Some((Phase::Head, self.limits.header_timeout)),
            // Whoever awaits the body limits its time, since that can still be answered.
            (false, _) => None,
        }
    }
}

impl<Io: AsyncRead + Unpin> Guard<Io> {
    /// Receives more, or ends the input.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut chunk = [0; READ_SIZE];
        let mut chunk = ReadBuf::new(&mut chunk);
        match Pin::new(&mut self.io).poll_read(cx, &mut chunk) {
            Poll::Ready(Ok(())) if chunk.filled().is_empty() => self.input = Input::Ended,
            Poll::Ready(Ok(())) => self.inbound.extend_from_slice(chunk.filled()),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => {
                let Some((phase, timeout)) = self.read_timeout() else { return Poll::Pending };
                ready!(self.reading.poll(cx, phase, timeout));
                self.input = Input::Ended;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Drops what still comes after the close, until the peer closes too.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = [0; READ_SIZE];
        while self.input != Input::Ended && self.lingering.is_none_or(|left| left > 0) {
            let mut chunk = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.io).poll_read(cx, &mut chunk) {
                Poll::Ready(Ok(())) if !chunk.filled().is_empty() => {
                    self.lingering = self.lingering.map(|left| left.saturating_sub(chunk.filled().len()));
                }
                Poll::Ready(_) => self.input = Input::Ended,
                Poll::Pending => {
                    ready!(self.reading.poll(cx, Phase::Linger, LINGER));
                    self.input = Input::Ended;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Guard<Io> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let guard = self.get_mut();
        loop {
            if guard.cleared > 0 {
                let count = guard.cleared.min(out.remaining());
                out.put_slice(&guard.inbound[..count]);
                guard.inbound.drain(..count);
                guard.cleared -= count;
                return Poll::Ready(Ok(()));
            }
            if guard.input != Input::Open {
                return Poll::Ready(Ok(()));
            }
            if !guard.advance()? {
                ready!(guard.poll_fill(cx))?;
            }
        }
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guard<Io> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let guard = self.get_mut();
        let written = Pin::new(&mut guard.io).poll_write(cx, guard.names.exact(octets));
        if let Poll::Ready(Ok(count)) = written {
            guard.names.wrote(count);
        }
        guard.writing.bound(cx, guard.limits.body_timeout, written)
    }

    /// Head and body leave in one write, hence in one TLS record: strongSwan reads no second one. They are put together
    /// here and not by hyper, since a body can hold a private key, and hyper's buffers are not wiped.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // The rest of a long answer is written from where it is kept.
        if let Some(piece) =
            pieces.iter().find(|piece| !piece.is_empty()).filter(|piece| piece.len() >= TOGETHER_OCTETS)
        {
            return self.poll_write(cx, piece);
        }
        let length = pieces.iter().map(|piece| piece.len()).sum::<usize>().min(TOGETHER_OCTETS);
        let mut whole = Zeroizing::new(Vec::with_capacity(length));
        for piece in pieces {
            let room = length - whole.len();
            whole.extend_from_slice(&piece[..piece.len().min(room)]);
        }
        self.poll_write(cx, &whole)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let guard = self.get_mut();
        let flushed = Pin::new(&mut guard.io).poll_flush(cx);
        guard.writing.bound(cx, guard.limits.body_timeout, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let guard = self.get_mut();
        if guard.lingering.is_none() {
            let closed = Pin::new(&mut guard.io).poll_shutdown(cx);
            ready!(guard.writing.bound(cx, guard.limits.body_timeout, closed))?;
            guard.lingering = Some(LINGER_OCTETS);
        }
        guard.poll_linger(cx)
    }
}

/// What a time limit is for: another purpose starts it anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Head,
    Linger,
    Write,
}

/// A time limit; its timer is kept for the next one.
#[derive(Default)]
struct Deadline {
    armed: Option<Phase>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    fn disarm(&mut self) {
        self.armed = None;
    }

    /// Ready when `timeout` has passed since the first call for `phase`.
    fn poll(&mut self, cx: &mut Context<'_>, phase: Phase, timeout: Duration) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        if self.armed != Some(phase) {
            timer.as_mut().reset(Instant::now() + timeout);
            self.armed = Some(phase);
        }
        timer.as_mut().poll(cx)
    }

    /// An operation that fails when it stays pending too long.
    fn bound<T>(
        &mut self,
        cx: &mut Context<'_>,
        timeout: Duration,
        operation: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if operation.is_ready() {
            self.disarm();
            return operation;
        }
        ready!(self.poll(cx, Phase::Write, timeout));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}
