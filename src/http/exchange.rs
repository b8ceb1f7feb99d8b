//! One request and its answer.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body, Bytes};
use hyper::header::EXPECT;
use hyper::http::request::Parts;
use hyper::{Method, Request};
use tokio::time::Instant;

use super::connection::HttpEdge;
use super::line::{Place, TooLong};
use super::reply::{self, Reply};
use super::route::{Call, Route};
use super::{authorization, body, metrics};
use crate::est::{
    EstRequest, EstResponse, Operation, PresentedCredential, Rejection, RejectionCode, ResponseBody, WireShape,
};
use crate::ra::{
    Coming, Fault, HttpScheme, LabelContext, PeerSession, PendingResponse, Refusal, RegistrationAuthority, RequestKey,
    Turn,
};

/// How often a request whose answer is held back is looked after.
const DECISION_CHECK: Duration = Duration::from_millis(250);

/// How long a credential waits for its turn to be verified.
const VERIFICATION_WAIT: Duration = Duration::from_secs(5);

/// What the head of a request asks for.
struct Asked<'r> {
    route: &'r Route,
    call: Call,
    credential: Option<PresentedCredential>,
}

/// What a request needs to be answered.
pub(super) struct Exchange {
    edge: Arc<HttpEdge>,
    session: Arc<PeerSession>,
    request_id: String,
    started: Instant,
}

impl Exchange {
    pub(super) fn new(edge: Arc<HttpEdge>, session: Arc<PeerSession>) -> Self {
        let request_id = edge.request_ids.next();
        Self { edge, session, request_id, started: Instant::now() }
    }

    /// Answers `request`, or what it stands for.
    pub(super) async fn answer<B>(self, request: Request<B>, refused: Option<Rejection>) -> Reply
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let authority = self.edge.authority.load_full();
        let (head, incoming) = request.into_parts();
        let route = refused.map_or_else(|| Route::find(&head, &authority, &self.session), Err);
        let asked = match &route {
            Ok(route) => self.asked(&authority, route, &head),
            Err(rejection) => Err(rejection.clone()),
        };
        // RFC 9110 §10.1.1: who awaits a 100 is told at once that its body is not wanted. Any other body is read even
        // if the request is refused, so that the connection can be used again.
        let unwanted = asked.is_err() && head.headers.contains_key(EXPECT);
        let body = if unwanted { Ok(Bytes::new()) } else { body::receive(incoming, &self.edge.limits).await };
        let close = unwanted || body.is_err();

        let outcome = match (asked, body.as_ref().map_err(Rejection::clone)) {
            (Ok(Asked { route, call: Call::CaCerts, .. }), Ok(_)) => {
                // Who asks for the head alone is given nothing.
                if head.method == Method::GET {
                    self.note_fetched_anchors(&authority, &route.label).await;
                }
                Ok(authority.ca_certs(&route.label))
            }
            (Ok(Asked { route, call: Call::CsrAttrs, .. }), Ok(_)) => {
                Ok(authority.csr_attrs(&route.label, &self.session))
            }
            (Ok(Asked { route, call: Call::RenewalInfo(identifier), .. }), Ok(_)) => {
                let told = authority.renewal_info(&route.label, &identifier);
                told.map_err(|refusal| self.refuse(&authority, Some(route), refusal))
            }
            (Ok(Asked { route, call: Call::Enroll, credential }), Ok(body)) => {
                self.enroll(&authority, route, credential, body).await
            }
            (Err(rejection), _) | (Ok(_), Err(rejection)) => {
                Err(self.refuse(&authority, route.as_ref().ok(), rejection.into()))
            }
        };
        let mut reply = self.reply(&authority, route.as_ref().ok(), body.as_deref().unwrap_or_default(), &outcome);
        if close {
            reply::close_after(&mut reply);
        }
        self.report(route.as_ref().ok(), &outcome);
        reply
    }

    /// What the head of a request asks for. A credential is asked for before the body is looked at: curl sends none until
    /// it has seen the challenge of Digest.
    fn asked<'r>(
        &self,
        authority: &RegistrationAuthority,
        route: &'r Route,
        head: &Parts,
    ) -> Result<Asked<'r>, Rejection> {
        let call = route.call(head)?;
        let authentication = &route.label.authentication;
        if call != Call::Enroll || !authentication.rule.takes_http() {
            return Ok(Asked { route, call, credential: None });
        }
        let credential = authorization::presented(head, route.label.wire.tolerance)?;
        // A code may come in the certification request.
        if credential.is_none() && !authentication.accepted.takes(HttpScheme::Code) {
            authority.missing_credential(&route.label, &self.session).map_or(Ok(()), Err)?;
        }
        Ok(Asked { route, call, credential })
    }

    async fn enroll(
        &self,
        authority: &Arc<RegistrationAuthority>,
        route: &Route,
        credential: Option<PresentedCredential>,
        body: &[u8],
    ) -> Result<EstResponse, Refusal> {
        let body = body::decode(body, route.label.wire.tolerance).map_err(|rejection| {
            let missing = || authority.missing_credential(&route.label, &self.session);
            let rejection = credential.is_none().then(missing).flatten().unwrap_or(rejection);
            self.refuse(authority, Some(route), rejection.into())
        })?;
        let request = Arc::new(EstRequest { target: route.target.clone(), body, credential });
        let (response, waits) = self.decide(authority, route, &request, false).await?;
        let hold = route.label.registration.approval.hold;
        match waits {
            Some(waiting) if !hold.is_zero() => self.hold(authority, route, &request, (response, waiting), hold).await,
            Some(_) | None => Ok(response),
        }
    }

    /// Holds an answer back, until an operator has decided the request that waits or for as long as clients bear it.
    async fn hold(
        &self,
        authority: &RegistrationAuthority,
        route: &Route,
        request: &Arc<EstRequest>,
        (mut response, mut waiting): (EstResponse, RequestKey),
        hold: Duration,
    ) -> Result<EstResponse, Refusal> {
        let until = Instant::now() + hold;
        while decided(authority, &route.label, &waiting, until).await? {
            // By the rules of now, which a reload may have changed since the request came.
            let authority = self.edge.authority.load_full();
            let Some(route) = route.under(&authority) else { break };
            let (decided, waits) = self.decide(&authority, &route, request, true).await?;
            match waits {
                Some(again) => (response, waiting) = (decided, again),
                None => return Ok(decided),
            }
        }
        Ok(response)
    }

    /// Has a request decided, and its record made durable; with the request that waits, when it does.
    async fn decide(
        &self,
        authority: &Arc<RegistrationAuthority>,
        route: &Route,
        request: &Arc<EstRequest>,
        is_counted: bool,
    ) -> Result<(EstResponse, Option<RequestKey>), Refusal> {
        // Until its record is durable, and no longer: what is held back for an operator keeps nobody waiting. What was held
        // back is not sent away after all.
        let (pending, in_line) = if is_counted {
            (self.submit(authority, route, request, is_counted).await?, None)
        } else {
            self.submit_in_line(authority, route, request).await?
        };
        // Nothing is answered that is not durable. A client that leaves now loses the answer, not the record.
        let settled = pending.receipt.await;
        drop(in_line);
        settled.map_err(|fault| {
            let operation = request.target.operation.segment();
            authority.failed_to_record(&route.label, operation, &self.session, &self.request_id);
            Refusal::Fault(Fault::from(fault))
        })?;
        if let Some(alarm) = pending.alarm {
            self.edge.metrics.alarm(alarm);
            let (request_id, peer) = (self.request_id.as_str(), self.session.source());
            tracing::warn!(request_id, peer, alarm, "alarm");
        }
        Ok((pending.response, pending.waits))
    }

    /// Certificates are issued on the threads that serve connections: whoever asks joins a line for them, or is sent away while
    /// that costs next to nothing. Passwords are verified, keys made and others asked elsewhere, within limits of their own.
    async fn submit_in_line(
        &self,
        authority: &Arc<RegistrationAuthority>,
        route: &Route,
        request: &Arc<EstRequest>,
    ) -> Result<(PendingResponse, Option<(Place<'_>, metrics::Counted)>), Refusal> {
        if takes_a_while(route, request) {
            return Ok((self.submit(authority, route, request, false).await?, None));
        }
        let joined = self.edge.line.join(request.target.operation == Operation::SimpleReenroll, Instant::now());
        let mut place = joined.map_err(|TooLong { retry_after }| {
            let reason = "more is asked of the server than it can answer in time";
            let rejection = Rejection::new(RejectionCode::Overloaded, "RFC 9110 15.6.4", reason);
            self.refuse(authority, Some(route), rejection.with_retry_after(retry_after).into())
        })?;
        let counted = self.edge.metrics.request_in_line();
        let turn = place.turn().await;
        let submitted = self.submit(authority, route, request, false).await;
        // The disk takes many at once: who waits for it keeps no thread.
        drop(turn);
        place.note_answered();
        Ok((submitted?, Some((place, counted))))
    }

    /// What takes a while is moved off the runtime. A client that leaves meanwhile loses the answer, and its key is wiped.
    async fn submit(
        &self,
        authority: &Arc<RegistrationAuthority>,
        route: &Route,
        request: &Arc<EstRequest>,
        is_counted: bool,
    ) -> Result<PendingResponse, Refusal> {
        if !takes_a_while(route, request) {
            let coming = Coming { turn: None, is_counted };
            return authority.enroll_as(&route.label, request, &self.session, &self.request_id, coming);
        }
        // A label's own turn comes first: who waits for it keeps no credential of another label waiting.
        let verifies = verifies_credentials(route, request);
        let asking = self.turn_to_ask(authority, route, verifies).await?;
        let turn = if verifies { Some(self.turn(authority, route).await?) } else { None };
        let coming = Coming { turn, is_counted };
        let (aside, label, request) = (Arc::clone(authority), Arc::clone(&route.label), Arc::clone(request));
        let (session, request_id) = (Arc::clone(&self.session), self.request_id.clone());
        let enrolled = tokio::task::spawn_blocking(move || {
            let _asking = asking;
            aside.enroll_as(&label, &request, &session, &request_id, coming)
        });
        // Only a panic, or a runtime that is being torn down, ends it otherwise.
        enrolled.await.unwrap_or_else(|_| Err(self.refuse(authority, Some(route), Fault::Abandoned.into())))
    }

    /// So many credentials are verified at once: a password takes tens of milliseconds and megabytes.
    async fn turn(&self, authority: &RegistrationAuthority, route: &Route) -> Result<Turn, Refusal> {
        let turn = tokio::time::timeout(VERIFICATION_WAIT, Arc::clone(&self.edge.verifications).acquire_owned());
        match turn.await {
            Ok(Ok(turn)) => Ok(Turn::holding(turn)),
            Ok(Err(_)) | Err(_) => {
                let fault = Fault::Overloaded { verifying: self.edge.limits.max_verifications };
                Err(self.refuse(authority, Some(route), fault.into()))
            }
        }
    }

    /// So many ask at once whoever has a say at the label: each keeps a thread until it is answered.
    async fn turn_to_ask(
        &self,
        authority: &RegistrationAuthority,
        route: &Route,
        is_unproven: bool,
    ) -> Result<Option<Turn>, Refusal> {
        let Some(authorizer) = &route.label.authorizer else { return Ok(None) };
        let turn = authorizer.turn(is_unproven).await;
        turn.map(Some).map_err(|fault| self.refuse(authority, Some(route), Fault::from(fault).into()))
    }

    /// Takes note of who is given the certificates of a new CA. A store that takes no notes keeps nobody from them: who comes
    /// again is noted then.
    async fn note_fetched_anchors(&self, authority: &RegistrationAuthority, label: &LabelContext) {
        let noted = match authority.note_fetched_anchors(label, &self.session, &self.request_id) {
            Ok(Some(receipt)) => receipt.await.map_err(Fault::from),
            Ok(None) => Ok(()),
            Err(fault) => Err(fault),
        };
        if let Err(fault) = noted {
            let (request_id, cause) = (self.request_id.as_str(), fault.to_string());
            let cause = reply::printable(&cause);
            tracing::warn!(request_id, %cause, "not noted who was given the new CA certificates");
        }
    }

    /// Leaves the audit event of a refusal that the registration authority did not decide.
    fn refuse(&self, authority: &RegistrationAuthority, route: Option<&Route>, refusal: Refusal) -> Refusal {
        let label = route.map(|route| route.label.as_ref());
        let operation = route.map_or("", |route| route.target.operation.segment());
        authority.refused_at_edge(label, operation, &refusal, &self.session, &self.request_id);
        refusal
    }

    fn reply(
        &self,
        authority: &RegistrationAuthority,
        route: Option<&Route>,
        body: &[u8],
        outcome: &Result<EstResponse, Refusal>,
    ) -> Reply {
        let mut reply = match outcome {
            Ok(response) => {
                reply::success(response, route.map_or(WireShape::default(), |route| route.label.wire.shape).wrapping())
            }
            Err(Refusal::Rejected(rejection)) => {
                let challenges = route.map(|route| authority.challenges(&route.label, rejection.code()));
                match challenges.unwrap_or_default().as_slice() {
                    [] => {
                        let operation = route.map(|route| route.target.operation);
                        reply::refusal(rejection, operation, Some(&self.request_id))
                    }
                    challenges => reply::challenged(rejection, challenges, &self.request_id),
                }
            }
            Err(Refusal::Fault(fault)) => reply::fault(fault, &self.request_id),
        };
        if let (Err(refusal), Some(route)) = (outcome, route) {
            reply = self.told_by_cmc(authority, route, body, refusal, reply);
        }
        reply::identify(&mut reply, &self.request_id);
        reply
    }

    /// Full CMC has its refusals told in its own way, but for those of requests that hand in no body, or too many.
    fn told_by_cmc(
        &self,
        authority: &RegistrationAuthority,
        route: &Route,
        body: &[u8],
        refusal: &Refusal,
        reply: Reply,
    ) -> Reply {
        // To sign an answer costs what was to be saved.
        let untold = [RejectionCode::MethodNotAllowed, RejectionCode::Overloaded];
        let hands_in = |rejection: &Rejection| !untold.contains(&rejection.code());
        let told = route.target.operation == Operation::FullCmc
            && match refusal {
                Refusal::Rejected(rejection) => hands_in(rejection),
                Refusal::Fault(_) => true,
            };
        if !told {
            return reply;
        }
        let label = &route.label;
        let body = body::decode(body, label.wire.tolerance).ok();
        match authority.full_cmc_refusal(label, body.as_deref(), refusal, &self.session, &self.request_id) {
            Some(response) => reply::told_by_cmc(reply, &response, label.wire.shape.wrapping()),
            None => reply,
        }
    }

    /// One log line and one count for each request.
    fn report(&self, route: Option<&Route>, outcome: &Result<EstResponse, Refusal>) {
        let elapsed = self.started.elapsed();
        let operation = route.map(|route| route.target.operation);
        let label = route.map(|route| route.label.as_ref());
        let outcome_label = match outcome {
            Ok(EstResponse {
                body: ResponseBody::Deferred { .. } | ResponseBody::FullPki { retry_after: Some(_), .. },
            }) => metrics::Outcome::Deferred,
            Ok(_) => metrics::Outcome::Served,
            Err(Refusal::Rejected(rejection)) => metrics::Outcome::Refused(rejection.code()),
            Err(Refusal::Fault(_)) => metrics::Outcome::Failed,
        };
        self.edge.metrics.request(operation, label, outcome_label, elapsed);
        let (request_id, peer) = (self.request_id.as_str(), self.session.source());
        let (operation, label) =
            (operation.map_or("-", Operation::segment), label.map_or("-", |label| label.label.as_str()));
        let (code, micros) = (outcome_label.as_str(), elapsed.as_micros());
        match outcome {
            Ok(_) => tracing::info!(request_id, peer, operation, label, code, micros, "request served"),
            Err(Refusal::Rejected(rejection)) => {
                let reason = reply::printable(rejection.reason());
                tracing::info!(request_id, peer, operation, label, code, micros, %reason, "request refused");
            }
            Err(Refusal::Fault(fault)) => {
                let cause = fault.to_string();
                let cause = reply::printable(&cause);
                tracing::error!(request_id, peer, operation, label, code, micros, %cause, "request failed");
            }
        }
    }
}

/// Whether a credential may have to be verified, a key to be made, or somebody else to be asked.
fn takes_a_while(route: &Route, request: &EstRequest) -> bool {
    verifies_credentials(route, request)
        || request.target.operation == Operation::ServerKeyGen
        || route.label.authorizer.is_some()
}

/// Whether a credential may have to be verified. A CMC message may prove identity by a code (RFC 5272 section 6.2.1), which is
/// held against each one that there is.
fn verifies_credentials(route: &Route, request: &EstRequest) -> bool {
    let authentication = &route.label.authentication;
    let may_have_code = authentication.rule.takes_http() && authentication.accepted.takes(HttpScheme::Code);
    request.credential.is_some() || (request.target.operation == Operation::FullCmc && may_have_code)
}

/// Waits until an operator decides the request; `false` when time passes without.
async fn decided(
    authority: &RegistrationAuthority,
    label: &LabelContext,
    waiting: &RequestKey,
    until: Instant,
) -> Result<bool, Refusal> {
    while Instant::now() < until {
        tokio::time::sleep(DECISION_CHECK.min(until - Instant::now())).await;
        if !authority.is_waiting(label, waiting)? {
            return Ok(true);
        }
    }
    Ok(false)
}
