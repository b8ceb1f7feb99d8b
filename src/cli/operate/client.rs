//! Requests to the admin API over the server's local socket.

use std::io::Write;
use std::path::{Path, PathBuf};

use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use indicatif::ProgressBar;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;

use super::sending::Sending;
use crate::cli::{CliError, progress};
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;

/// What stands as it is in an address (RFC 3986 section 2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Rows asked for at once.
const PAGE: usize = 1000;

/// Why the server did not do it.
#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    /// There is no socket to connect to.
    #[error("no server answers at {}: {source}; is it running?", path.display())]
    Connect {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The configuration has none.
    #[error("the configuration has no local socket (admin.socket is empty)")]
    NoSocket,
    /// The connection broke.
    #[error("the server did not answer: {0}")]
    Http(#[from] hyper::Error),
    /// It answers something else.
    #[error("the server did not answer with JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// It refused.
    #[error("{0}")]
    Refused(String),
    /// A tenant must be named.
    #[error("there are several tenants, name one with --tenant: {0}")]
    WhichTenant(String),
}

/// Octets that go into a request, with their media type.
pub(super) type Body = (&'static str, Vec<u8>);

/// Speaks to one server.
pub(super) struct Client {
    socket: PathBuf,
    runtime: Runtime,
}

impl Client {
    /// Finds the socket. Only the configuration is read for it, no key.
    pub(super) fn open(config: &Path, socket: Option<&Path>) -> Result<Self, CliError> {
        let socket = match socket {
            Some(socket) => socket.to_owned(),
            None => Config::load(config, SystemClock.now())?.admin.socket.ok_or(OperateError::NoSocket)?,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|source| CliError::Setup { what: "the runtime", source })?;
        Ok(Self { socket, runtime })
    }

    pub(super) fn get(&self, path: &str) -> Result<Value, CliError> {
        self.call(&Method::GET, path, None)
    }

    pub(super) fn post(&self, path: &str, body: Option<Body>) -> Result<Value, CliError> {
        self.call(&Method::POST, path, body)
    }

    /// Posts what may be long, and shows how far that has come.
    pub(super) fn import(&self, path: &str, body: Body) -> Result<Value, CliError> {
        let bar = progress::octets("sending", body.1.len() as u64);
        let octets = self.answered(&Method::POST, path, Some(body), &bar);
        bar.finish_and_clear();
        Ok(serde_json::from_slice(&octets?).map_err(OperateError::from)?)
    }

    pub(super) fn call(&self, method: &Method, path: &str, body: Option<Body>) -> Result<Value, CliError> {
        let octets = self.octets(method, path, body)?;
        Ok(serde_json::from_slice(&octets).map_err(OperateError::from)?)
    }

    /// The body of an answer.
    pub(super) fn octets(&self, method: &Method, path: &str, body: Option<Body>) -> Result<Bytes, CliError> {
        self.answered(method, path, body, &ProgressBar::hidden())
    }

    fn answered(&self, method: &Method, path: &str, body: Option<Body>, bar: &ProgressBar) -> Result<Bytes, CliError> {
        let answered = self.runtime.block_on(async {
            let response = self.exchange(method, path, body, bar).await?;
            let status = response.status();
            Ok::<_, OperateError>((status, response.into_body().collect().await?.to_bytes()))
        });
        let (status, octets) = answered?;
        if status.is_success() { Ok(octets) } else { Err(refused(&octets)?.into()) }
    }

    /// Writes the body of an answer as it comes; `each` is told how many octets came, and of how many where that is known.
    pub(super) fn stream(
        &self,
        method: &Method,
        path: &str,
        out: &mut dyn Write,
        each: &mut dyn FnMut(u64, Option<u64>),
    ) -> Result<(), CliError> {
        self.runtime.block_on(async {
            let response = self.exchange(method, path, None, &ProgressBar::hidden()).await?;
            let status = response.status();
            let mut body = response.into_body();
            if !status.is_success() {
                let octets = body.collect().await.map_err(OperateError::from)?.to_bytes();
                return Err(refused(&octets)?.into());
            }
            let octets = body.size_hint().exact();
            while let Some(frame) = body.frame().await {
                if let Ok(piece) = frame.map_err(OperateError::from)?.into_data() {
                    out.write_all(&piece)?;
                    each(piece.len() as u64, octets);
                }
            }
            Ok(())
        })
    }

    async fn exchange(
        &self,
        method: &Method,
        path: &str,
        body: Option<Body>,
        bar: &ProgressBar,
    ) -> Result<Response<Incoming>, OperateError> {
        let stream = UnixStream::connect(&self.socket).await;
        let stream = stream.map_err(|source| OperateError::Connect { path: self.socket.clone(), source })?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // It ends with the answer, or with the runtime.
        tokio::spawn(connection);
        let (media_type, octets) = body.unzip();
        let mut request = Request::new(Sending::new(octets.unwrap_or_default(), bar.clone()));
        *request.method_mut() = method.clone();
        // Segments and parameters are encoded by who puts them together.
        *request.uri_mut() =
            format!("/api/v1{path}").parse().map_err(|_| OperateError::Refused(format!("no address: {path:?}")))?;
        request.headers_mut().insert(HOST, hyper::header::HeaderValue::from_static("localhost"));
        let media_type = media_type.map(hyper::header::HeaderValue::from_static);
        request.headers_mut().extend(media_type.map(|media_type| (CONTENT_TYPE, media_type)));
        Ok(sender.send_request(request).await?)
    }

    /// The rows of a list that has no pages.
    pub(super) fn whole(&self, path: &str) -> Result<Vec<Value>, CliError> {
        Ok(items(&mut self.get(path)?))
    }

    /// The rows of a list, page after page, up to `limit`; all of them with 0.
    pub(super) fn list(&self, path: &str, parameters: &[(&str, String)], limit: usize) -> Result<Vec<Value>, CliError> {
        let mut rows = Vec::new();
        let mut cursor = None;
        loop {
            let left = if limit == 0 { PAGE } else { (limit - rows.len()).min(PAGE) };
            let mut parameters = parameters.to_vec();
            parameters.push(("limit", left.to_string()));
            parameters.extend(cursor.map(|cursor| ("cursor", cursor)));
            let mut page = self.get(&format!("{path}?{}", query(&parameters)))?;
            rows.extend(items(&mut page));
            cursor = page.get("next").and_then(Value::as_str).map(str::to_owned);
            if cursor.is_none() || (limit > 0 && rows.len() >= limit) {
                return Ok(rows);
            }
        }
    }

    /// The tenant, when there is one alone.
    pub(super) fn only_tenant(&self) -> Result<String, CliError> {
        let tenants = self.whole("/tenants")?;
        let names: Vec<_> = tenants.iter().filter_map(|tenant| tenant.get("name")?.as_str()).collect();
        match names.as_slice() {
            [name] => Ok((*name).to_owned()),
            names => Err(OperateError::WhichTenant(names.join(", ")).into()),
        }
    }
}

/// What a problem document says.
fn refused(octets: &[u8]) -> Result<OperateError, OperateError> {
    let problem: Value = serde_json::from_slice(octets)?;
    let text = |key: &str| problem.get(key).and_then(Value::as_str).unwrap_or_default();
    let several = problem.get("problems").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let several: String = several.iter().filter_map(Value::as_str).map(|one| format!("\n{one}")).collect();
    Ok(OperateError::Refused(format!("{}: {}{several}", text("title"), text("detail"))))
}

/// A segment of a path.
pub(super) fn segment(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

/// Parameters of an address.
pub(super) fn query(parameters: &[(&str, String)]) -> String {
    let pairs = parameters.iter().map(|(name, value)| format!("{name}={}", segment(value)));
    pairs.collect::<Vec<_>>().join("&")
}

fn items(answer: &mut Value) -> Vec<Value> {
    match answer.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => items,
        Some(_) | None => Vec::new(),
    }
}
