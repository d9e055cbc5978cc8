//! The words of the field: identifiers, instants, tokens, secrets. No I/O; imports nothing of the project.

mod account_id;
mod alert_level;
mod boot;
mod class;
mod generation;
mod place;
mod secret;
mod state;
mod time;
mod token;

pub use account_id::{AccountId, InvalidAccountId};
pub use alert_level::AlertLevel;
pub use boot::BootId;
pub use class::{ErrorClass, ErrorInfo};
pub use generation::Generation;
pub use place::host_port;
pub use secret::Secret;
pub use state::{AccountState, Awaited, HookState, Lack, SinkState, Waiting, WaitsFor};
pub use time::{BootInstant, Deadline, Now, Timestamp, human_duration, span};
pub use token::{Token, TokenDocument, TokenMeta};
