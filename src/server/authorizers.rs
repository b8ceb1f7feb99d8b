//! Who is asked at which label of a configuration.

use std::sync::Arc;

use super::{ServerError, blocking};
use crate::config::Config;
use crate::http::Metrics;
use crate::ra::{Answer, AuthorizationFault, Authorizer, Ports, Question, Turn, TurnFuture};
use crate::webhook::{ClientError, WebhookAuthorizer};

/// For each label, in the order of the configuration. They are made anew with each configuration.
pub(super) type Authorizers = Vec<Option<Arc<dyn Authorizer>>>;

/// Why nobody can be asked.
#[derive(Debug, thiserror::Error)]
#[error("the authorization webhook of {tenant}/{label}: {source}")]
pub struct AuthorizerError {
    tenant: String,
    label: String,
    source: ClientError,
}

/// Those of a server. Made off the runtime: files are read for it.
pub(super) async fn prepared(
    config: &Config,
    ports: &Ports,
    metrics: &Arc<Metrics>,
) -> Result<Authorizers, ServerError> {
    let labels = config.labels.iter();
    let places =
        labels.map(|label| (label.tenant.clone(), label.label.to_string(), label.authorization_webhook.clone()));
    let (places, ports, metrics): (Vec<_>, _, _) = (places.collect(), ports.clone(), Arc::clone(metrics));
    let prepared = blocking(move || {
        let authorizers = places.into_iter().map(|(tenant, label, webhook)| {
            let Some(webhook) = webhook else { return Ok(None) };
            let (clock, entropy) = (Arc::clone(&ports.clock), Arc::clone(&ports.entropy));
            let made = WebhookAuthorizer::new(webhook, (&tenant, &label), clock, entropy, Arc::clone(&metrics));
            let made = made.map_err(|source| AuthorizerError { tenant, label, source })?;
            Ok(Some(Arc::new(made) as Arc<dyn Authorizer>))
        });
        authorizers.collect::<Result<Authorizers, AuthorizerError>>()
    });
    Ok(prepared.await??)
}

/// Those of commands, which ask nobody: a label where somebody is to be asked certifies nobody then.
pub(super) fn outside_a_server(config: &Config) -> Authorizers {
    let authorizer = |is_asked: bool| is_asked.then(|| Arc::new(Nobody) as Arc<dyn Authorizer>);
    config.labels.iter().map(|label| authorizer(label.authorization_webhook.is_some())).collect()
}

struct Nobody;

impl Nobody {
    fn fault(&self) -> AuthorizationFault {
        AuthorizationFault::Unanswered { asked: self.asks(), cause: "only a server asks".to_owned() }
    }
}

impl Authorizer for Nobody {
    fn asks(&self) -> String {
        "the authorization webhook".to_owned()
    }

    fn turn(&self, _is_unproven: bool) -> TurnFuture {
        let refused: Result<Turn, _> = Err(self.fault());
        Box::pin(std::future::ready(refused))
    }

    fn ask(&self, _question: &Question<'_>) -> Result<Answer, AuthorizationFault> {
        Err(self.fault())
    }
}
