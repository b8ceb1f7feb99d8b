//! The whole decision to enroll, against the memory store: nothing is ever issued without a valid proof-of-possession
//! and an authenticated identity, to another name or with power over others; and whoever may enroll is not refused.

#![no_main]

#[path = "enroll_decision/expectation.rs"]
mod expectation;
#[path = "enroll_decision/input.rs"]
mod input;
#[path = "enroll_decision/maker.rs"]
mod maker;
#[path = "enroll_decision/names.rs"]
mod names;
#[path = "enroll_decision/oracle.rs"]
mod oracle;
#[path = "enroll_decision/registry.rs"]
mod registry;
#[path = "enroll_decision/request.rs"]
mod request;
#[path = "enroll_decision/run.rs"]
mod run;
#[path = "enroll_decision/stage.rs"]
mod stage;
#[path = "enroll_decision/verdict.rs"]
mod verdict;
#[path = "../../tests/support/world.rs"]
mod world;

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;

use input::{Input, Step};
use run::Run;
use stage::Stage;

thread_local! {
    static STAGE: RefCell<Stage> = RefCell::new(Stage::new());
}

fuzz_target!(|input: Input| {
    STAGE.with_borrow_mut(|stage| {
        stage.world.begin_again();
        let mut run = Run::new(stage);
        for step in &input.steps {
            match step {
                Step::Enroll(attempt) => run.enroll(attempt),
                Step::Revoke { which, compromised } => run.revoke(*which, *compromised),
                Step::Operate { which, act } => run.operate(*which, *act),
                Step::CsrAttrs { label, peer } => run.csr_attrs(*label, peer),
                Step::Wait { days, minutes } => run.wait(*days, *minutes),
            }
        }
    });
});
