//! The pure engine. An [`Event`] goes in, [`Effect`]s come out, `now` is an argument.
//!
//! **Architecture invariant:** nothing in here is `async`, reads a clock, draws a random number, opens a file,
//! writes a log or holds a secret. The state is `Clone + Eq`, so it can be property-tested, model-checked and
//! run in virtual time ([`simulation`]).

mod account;
#[cfg(test)]
mod behaviour;
mod breaker;
#[cfg(test)]
mod deliveries;
mod effect;
mod engine;
mod event;
mod held;
mod host;
#[cfg(test)]
mod model_check;
mod named;
pub mod plan;
#[cfg(test)]
mod properties;
mod reload;
mod results;
mod retry;
mod roster;
#[cfg(test)]
mod scenarios;
mod schedule;
mod server;
mod set;
pub mod simulation;
mod tally;
mod target;
mod timers;
mod view;
#[cfg(test)]
mod watch;
mod wishes;

pub use account::{Admission, admit};
pub use effect::{Effect, Ending, Issue, Note, Operation, Schedule};
pub use engine::Engine;
pub use event::{CredentialChange, Event, FailureMeta, HookFailure, IssuedMeta, RefreshMeta, Restored};
pub use held::HeldView;
pub use plan::{AccountPlan, HookId, Plan, SetId, TargetId, TargetPlan, TemplatePlan};
pub use schedule::{default_lead, lead};
pub use view::{AccountView, HookView, ServerView, TargetView, TemplateView};
