//! Somebody who is asked, answers as told, and remembers what it was asked.

#![allow(dead_code, unreachable_pub, reason = "each of those that include it uses its part")]

use std::sync::{Arc, Mutex};

use estd::ra::{Answer, AuthorizationFault, Authorizer, Question, Turn, TurnFuture};

/// A question, as it was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub operation: String,
    pub is_renewal: bool,
    pub device: String,
    pub actor: Option<String>,
    /// SHA-256 of the presented certificate.
    pub peer: Option<[u8; 32]>,
    pub credentials: Vec<String>,
    pub subject: String,
    pub spki_sha256: Option<[u8; 32]>,
    pub renews: Option<Vec<u8>>,
    pub is_clone_suspected: bool,
}

type Script = Box<dyn Fn() -> Result<Answer, AuthorizationFault> + Send + Sync>;

pub struct Oracle {
    script: Mutex<Arc<Script>>,
    asked: Mutex<Vec<Asked>>,
}

impl Oracle {
    /// Allows whatever it is asked.
    pub fn new() -> Arc<Self> {
        let script: Script = Box::new(|| Ok(Answer::Allowed));
        Arc::new(Self { script: Mutex::new(Arc::new(script)), asked: Mutex::default() })
    }

    /// Answers so from now on.
    pub fn says(&self, script: impl Fn() -> Result<Answer, AuthorizationFault> + Send + Sync + 'static) {
        let script: Script = Box::new(script);
        *self.script.lock().unwrap() = Arc::new(script);
    }

    pub fn denies(&self, reason: &'static str) {
        self.says(move || Ok(Answer::Denied { reason: Some(reason.to_owned()) }));
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Authorizer for Oracle {
    fn asks(&self) -> String {
        "https://oracle.acme.example/".to_owned()
    }

    fn turn(&self, _is_unproven: bool) -> TurnFuture {
        Box::pin(std::future::ready(Ok(Turn::holding(()))))
    }

    fn ask(&self, question: &Question<'_>) -> Result<Answer, AuthorizationFault> {
        self.asked.lock().unwrap().push(Asked {
            operation: question.operation.to_owned(),
            is_renewal: question.is_renewal,
            device: question.device.to_owned(),
            actor: question.actor.map(str::to_owned),
            peer: question.peer.map(|peer| peer.fingerprint()),
            credentials: question.credentials.iter().map(|id| (*id).to_owned()).collect(),
            subject: question.subject.clone(),
            spki_sha256: question.spki_sha256,
            renews: question.renews.map(<[u8]>::to_vec),
            is_clone_suspected: question.is_clone_suspected,
        });
        let script = Arc::clone(&self.script.lock().unwrap());
        script()
    }
}
