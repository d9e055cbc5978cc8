//! One request and its reply.

use std::time::Duration;

use http_body_util::{BodyExt as _, Limited};
use jiff::fmt::rfc2822::DateTimeParser;
use kube::Client;
use kube::client::Body;

use super::error::KubeError;
use super::words;
use crate::domain::Timestamp;

/// The most of a reply that is read: a full Secret in base64, with what is known of its owners.
const LARGEST_REPLY: usize = 4 << 20;

/// The longest that a `Retry-After` is believed.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// A reply that is neither 401, 429 nor 5xx.
pub(super) struct Reply {
    pub(super) status: u16,
    /// The server's clock.
    pub(super) date: Option<Timestamp>,
    pub(super) body: Vec<u8>,
}

/// Sends a request and reads the whole reply.
pub(super) async fn exchange(client: &Client, request: Request) -> Result<Reply, KubeError> {
    let response = client.send(request.map(Body::from)).await.map_err(|error| words::unreachable(&error))?;
    let status = response.status().as_u16();
    // In a block: what borrows the response must be gone before the next await.
    let (retry_after, date) = {
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let seconds = header("retry-after").and_then(|text| text.trim().parse().ok());
        (seconds.map(|seconds| Duration::from_secs(seconds).min(LONGEST_WAIT)), header("date").and_then(date))
    };
    match status {
        401 => return Err(KubeError::Unauthorized),
        429 => return Err(KubeError::Busy { retry_after }),
        500.. => return Err(KubeError::Server { status, retry_after }),
        _ => {}
    }
    let body = Limited::new(response.into_body(), LARGEST_REPLY).collect().await;
    let body = body.map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            KubeError::NotKubernetes
        } else {
            words::unreachable(error.as_ref())
        }
    })?;
    Ok(Reply { status, date, body: body.to_bytes().into() })
}

/// As the library makes it.
pub(super) type Request = axum::http::Request<Vec<u8>>;

fn date(text: &str) -> Option<Timestamp> {
    // RFC 9110's `GMT` is RFC 2822's obsolete zone.
    let instant = DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Timestamp::from_millis(instant.as_millisecond()))
}
