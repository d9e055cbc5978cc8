//! Talks to the running agent: HTTP over its Unix socket.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::Deserialize;

use super::args::Globals;
use super::exit::Exit;
use super::report::Failure;
use super::socket;
use crate::domain::{AccountId, ErrorInfo, Generation, Timestamp};
use crate::observe::status::Status;
use crate::runtime::Makeup;

/// For answers that the agent gives from memory.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers are bounded; the status of 100,000 accounts is not near it.
const LONGEST_ANSWER: usize = 256 * 1024 * 1024;

/// A running agent, or the place where one may come up.
#[derive(Debug, Clone)]
pub(super) struct Agent {
    http: reqwest::Client,
    socket: PathBuf,
}

/// How a renewal on request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Renewal {
    /// There is a new token.
    Renewed {
        /// Its count.
        generation: Generation,
        /// Its end.
        expires_at: Timestamp,
        /// Why it is not known to work.
        unverified: Option<ErrorInfo>,
    },
    /// There is a new token, which not everything holds yet.
    Undelivered {
        /// Its count.
        generation: Generation,
        /// What does not.
        sinks: Vec<Undelivered>,
        /// Why it is not known to work.
        unverified: Option<ErrorInfo>,
    },
    /// `min_interval` or the vendor's wait holds it back.
    Held {
        /// Not asked before this.
        not_before: Timestamp,
        /// Why.
        reason: String,
    },
    /// The provider was asked, in vain.
    Failed(ErrorInfo),
    /// No outcome in time; the agent goes on with it.
    Unfinished,
}

/// A sink or template that does not hold the new token.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Undelivered {
    /// Its name.
    pub(super) sink: String,
    /// Why not; `None` while it is being written.
    pub(super) error: Option<ErrorInfo>,
    /// Since when, where that takes long.
    pub(super) writing_since: Option<Timestamp>,
}

/// Why there is no answer to work with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nobody answers.
    Unreachable {
        /// Where.
        socket: PathBuf,
        /// In which way.
        why: Silence,
    },
    /// The agent says no.
    Refused {
        /// Its status.
        status: u16,
        /// Its words.
        message: String,
        /// Its advice.
        hint: Option<String>,
    },
    /// What answers there does not speak as a renewd of this version does.
    Garbled(String),
}

/// In which way nobody answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Silence {
    /// There is no socket.
    Missing,
    /// There is one, but no process behind it.
    Dead,
    /// Something else stands there.
    NoSocket,
    /// This user may not.
    Forbidden,
    /// It accepts but does not answer.
    Mute,
    /// Anything else.
    Other(String),
}

impl Agent {
    /// The agent that `globals` and the configuration point at; it need not be running yet.
    ///
    /// # Errors
    /// The configuration switches the socket off.
    pub(super) fn locate(globals: &Globals) -> Result<Self, Failure> {
        Self::at(&socket::locate(globals)?)
    }

    /// The agent at that socket.
    ///
    /// # Errors
    /// The HTTP client cannot be made: a fault of the build.
    pub(super) fn at(socket: &Path) -> Result<Self, Failure> {
        // No roots: nothing here is TLS, and reading the system's takes longer than the whole exchange.
        let http = reqwest::Client::builder()
            .unix_socket(socket)
            .tls_certs_only([])
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| Failure::new(Exit::Internal, "cannot make an HTTP client").because(&error))?;
        Ok(Self { http, socket: socket.to_owned() })
    }

    /// The status document as the agent sent it.
    pub(super) async fn status_text(&self) -> Result<String, Trouble> {
        let (status, body) = self.exchange(Method::GET, "/v1/status", PATIENCE).await?;
        match status {
            StatusCode::OK => Ok(body),
            _ => Err(refusal(status, &body)),
        }
    }

    /// How everything stands.
    pub(super) async fn status(&self) -> Result<Status, Trouble> {
        read(&self.status_text().await?)
    }

    /// What the running configuration is made of.
    pub(super) async fn makeup(&self) -> Result<Makeup, Trouble> {
        let (status, body) = self.exchange(Method::GET, "/v1/config", PATIENCE).await?;
        match status {
            StatusCode::OK => read(&body),
            _ => Err(refusal(status, &body)),
        }
    }

    /// The token document as the agent sent it. Holds the token.
    pub(super) async fn token_text(&self, account: &AccountId) -> Result<String, Trouble> {
        let (status, body) =
            self.exchange(Method::GET, &format!("/v1/accounts/{account}/token"), PATIENCE).await?;
        match status {
            StatusCode::OK => Ok(body),
            _ => Err(refusal(status, &body)),
        }
    }

    /// The token document, as soon as its generation is another than `after`; `None` where `patience` is over before.
    pub(super) async fn token_after(
        &self,
        account: &AccountId,
        after: Option<u64>,
        patience: Duration,
    ) -> Result<Option<String>, Trouble> {
        let Some(after) = after else { return self.token_text(account).await.map(Some) };
        let path =
            format!("/v1/accounts/{account}/token?after={after}&timeout={}", patience.as_secs().max(1));
        let (status, body) = self.exchange(Method::GET, &path, patience.saturating_add(PATIENCE)).await?;
        match status {
            StatusCode::OK => Ok(Some(body)),
            StatusCode::NOT_MODIFIED => Ok(None),
            _ => Err(refusal(status, &body)),
        }
    }

    /// Renews the account now and waits for the outcome, `patience` at most.
    pub(super) async fn renew(&self, account: &AccountId, patience: Duration) -> Result<Renewal, Trouble> {
        #[derive(Deserialize)]
        struct Renewed {
            generation: Generation,
            expires_at: Timestamp,
            unverified: Option<ErrorInfo>,
        }
        #[derive(Deserialize)]
        struct Held {
            not_before: Timestamp,
            reason: String,
        }
        #[derive(Deserialize)]
        struct Failed {
            error: Option<ErrorInfo>,
            generation: Option<Generation>,
            unverified: Option<ErrorInfo>,
            #[serde(default)]
            undelivered: Vec<Undelivered>,
        }
        let seconds = patience.as_millis().div_ceil(1000).max(1); // the socket counts whole ones
        let path = format!("/v1/accounts/{account}/renew?timeout={seconds}");
        let (status, body) = self.exchange(Method::POST, &path, patience.saturating_add(PATIENCE)).await?;
        match status {
            StatusCode::OK => {
                let Renewed { generation, expires_at, unverified } = read(&body)?;
                Ok(Renewal::Renewed { generation, expires_at, unverified })
            }
            StatusCode::ACCEPTED => {
                read(&body).map(|Held { not_before, reason }| Renewal::Held { not_before, reason })
            }
            StatusCode::BAD_GATEWAY => match read(&body)? {
                Failed { generation: Some(generation), undelivered: sinks, unverified, .. } => {
                    Ok(Renewal::Undelivered { generation, sinks, unverified })
                }
                Failed { error: Some(error), .. } => Ok(Renewal::Failed(error)),
                Failed { .. } => Err(refusal(status, &body)),
            },
            StatusCode::GATEWAY_TIMEOUT => Ok(Renewal::Unfinished),
            _ => Err(refusal(status, &body)),
        }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        patience: Duration,
    ) -> Result<(StatusCode, String), Trouble> {
        let request = self.http.request(method, format!("http://renewd{path}")).timeout(patience);
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let whole = body(response).await.map_err(|error| self.unreachable(&error))?;
        let whole = whole.ok_or_else(|| Trouble::Garbled("the answer has no end".to_owned()))?;
        let text =
            String::from_utf8(whole).map_err(|_| Trouble::Garbled("the answer is not text".to_owned()))?;
        Ok((status, text))
    }

    fn unreachable(&self, error: &reqwest::Error) -> Trouble {
        let why = match io_kind(error) {
            _ if error.is_timeout() => Silence::Mute,
            Some(io::ErrorKind::NotFound) => Silence::Missing,
            Some(io::ErrorKind::ConnectionRefused) if is_socket(&self.socket) => Silence::Dead,
            Some(io::ErrorKind::ConnectionRefused) => Silence::NoSocket,
            Some(io::ErrorKind::PermissionDenied) => Silence::Forbidden,
            _ => Silence::Other(innermost(error)),
        };
        Trouble::Unreachable { socket: self.socket.clone(), why }
    }
}

impl Trouble {
    /// The trouble in one line.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Unreachable { socket, why } => format!("no agent at {}: {}", socket.display(), why.cause()),
            Self::Refused { message, .. } => message.clone(),
            Self::Garbled(what) => format!("the agent's answer makes no sense: {what}"),
        }
    }

    /// The trouble as a command's failure; `globals` name the agent to start.
    pub(super) fn into_failure(self, globals: &Globals) -> Failure {
        match self {
            Self::Unreachable { socket, why } => unreachable_failure(&socket, &why, globals),
            Self::Refused { message, hint, .. } => {
                let failure = Failure::new(Exit::Failed, message);
                hint.into_iter().fold(failure, Failure::hint)
            }
            Self::Garbled(what) => Failure::new(Exit::Unavailable, "the agent's answer makes no sense")
                .cause(what)
                .hint("is the running agent of the same version as this command? `renewd --version`"),
        }
    }
}

fn unreachable_failure(socket: &Path, why: &Silence, globals: &Globals) -> Failure {
    let failure = Failure::new(Exit::Unavailable, format!("no agent answers at {}", socket.display()));
    let hint = match why {
        Silence::Missing | Silence::Dead | Silence::Other(_) => socket::way_in(globals),
        Silence::Forbidden => {
            "become root or the agent's user, or join the socket's group (`agent.socket.group` in \
                               the configuration)"
                .to_owned()
        }
        Silence::NoSocket => format!(
            "an agent that runs with it makes its socket there again within 5 s once that is moved away; else {}",
            socket::way_in(globals)
        ),
        Silence::Mute => "look at its log: `journalctl -u renewd`".to_owned(),
    };
    failure.cause(why.cause()).hint(hint)
}

impl Silence {
    fn cause(&self) -> &str {
        match self {
            Self::Missing => "there is no such socket",
            Self::Dead => "the socket is there, but no process listens on it",
            Self::NoSocket => "what stands there is no socket",
            Self::Forbidden => "this user may not connect to it",
            Self::Mute => "it accepts the connection but does not answer in time",
            Self::Other(words) => words,
        }
    }
}

/// What the agent says when it says no: `{error: {message, hint?}}`.
fn refusal(status: StatusCode, body: &str) -> Trouble {
    #[derive(Deserialize)]
    struct Body {
        error: Told,
    }
    #[derive(Deserialize)]
    struct Told {
        message: String,
        hint: Option<String>,
    }
    let (message, hint) = match serde_json::from_str(body) {
        Ok(Body { error: Told { message, hint } }) => (message, hint),
        Err(_) => (format!("the agent answers with status {}", status.as_u16()), None),
    };
    Trouble::Refused { status: status.as_u16(), message, hint }
}

pub(super) fn read<T: for<'de> Deserialize<'de>>(body: &str) -> Result<T, Trouble> {
    // The position says enough; the text at it might be a token.
    serde_json::from_str(body).map_err(|error| {
        Trouble::Garbled(format!("unexpected JSON at line {}, column {}", error.line(), error.column()))
    })
}

/// The whole body; `None` where it has no end.
pub(super) async fn body(mut response: reqwest::Response) -> reqwest::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > LONGEST_ANSWER {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// To a connection both answer alike, a socket that nobody listens on and a file.
fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

fn io_kind(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        next = cause.source();
    }
    None
}

fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
