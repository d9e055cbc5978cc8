//! Metrics in the classic Prometheus text format 0.0.4. What can be counted is counted as it passes the choke point;
//! what has a present value is taken from the status at the scrape, so that no series outlives its account.

mod counters;
mod descriptions;
mod recorder;
mod reference;
#[cfg(test)]
mod tests;
mod text;

pub use counters::{Counters, Histogram};
pub use descriptions::{DESCRIPTIONS, Description, Kind};
pub(super) use recorder::Recorder;
pub use reference::reference_markdown;
pub use text::{CONTENT_TYPE, Scrape};
