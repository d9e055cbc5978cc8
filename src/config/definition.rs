//! A provider's definition: a token API as data. `docs/writing-a-provider.md` teaches the language; the built-in
//! definitions are in `src/provider/catalog/` and use nothing that a user's `providers:` entry could not.

use std::time::Duration;

use url::Url;

use crate::domain::ErrorClass;

/// A token API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// The key under `providers:` or the catalogue file's name.
    pub name: String,
    /// For people: `renewd providers`.
    pub title: String,
    /// The vendor's pages that the facts come from.
    pub docs: Vec<String>,
    /// Base URLs by name; empty where the API is wherever `base_url` or a URL param says.
    pub environments: Vec<Environment>,
    /// Index into `environments` of the one used unless said; `production`, else the first.
    pub default_environment: usize,
    /// What the vendor calls them.
    pub credentials: Vec<Credential>,
    /// What it asks for beside secrets.
    pub params: Vec<Param>,
    /// The documented life of an access token: caps every expiry, never lengthens one.
    pub life: Option<Duration>,
    /// What a renewal does to the tokens before it.
    pub old_token: OldToken,
    /// With [`OldToken::SameUntil`]: asking earlier than this before the end is useless.
    pub reuse_window: Option<Duration>,
    /// Whether a refresh token dies by its use.
    pub refresh_single_use: bool,
    /// The documented life of a refresh token.
    pub refresh_life: Option<Duration>,
    /// The vendor's own least time between two requests of an account.
    pub min_interval: Option<Duration>,
    /// The vendor lets in registered client addresses only: unknown 401 and 403 replies get that hint.
    pub allow_list: bool,
    /// Lower limits than the configuration's.
    pub limits: LimitOverride,
    /// Connections are dropped when idle for longer.
    pub idle_timeout: Duration,
    /// Log in with the credentials. `None`: this API only refreshes (a first refresh token is a credential).
    pub issue: Option<Operation>,
    /// Renew with a refresh token.
    pub refresh: Option<Operation>,
}

/// A named base URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// `production`, `staging` ...
    pub name: String,
    /// Where it is.
    pub base_url: Url,
}

/// A credential that accounts give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The vendor's own name for it.
    pub name: String,
    /// Says who asks (an account or client id): a token belongs to its value.
    pub identity: bool,
    /// May be left out.
    pub optional: bool,
    /// The longest value that the vendor takes, in characters.
    pub max_length: Option<usize>,
    /// It is the first refresh token (a seed): the stored, rotated one wins until this one changes.
    pub refresh_seed: bool,
    /// Refresh tokens belong to its value, and access tokens do not: with another one the account logs in at once, and
    /// the token that is there stays until that has succeeded.
    pub owns_refresh: bool,
    /// For people.
    pub description: String,
}

/// A setting that accounts give under `params:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// Must be given.
    pub required: bool,
    /// Where it is not given; empty means unset.
    pub default: String,
    /// The values allowed; empty means any.
    pub one_of: Vec<String>,
    /// For people.
    pub description: String,
}

/// What a renewal does to the token before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OldToken {
    /// It lives to its own end.
    Independent,
    /// It dies (at once or soon). The default: unknown is treated so.
    KillsOld,
    /// The vendor hands out the same token until shortly before its end.
    SameUntil,
    /// Asking again moves the same token's end.
    Extends,
}

/// What a definition lowers of the host's limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LimitOverride {
    /// Least time between two requests.
    pub period: Option<Duration>,
    /// Burst.
    pub burst: Option<u32>,
    /// In flight.
    pub concurrency: Option<u32>,
}

/// One call of the token API: what is sent and how the reply is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// What is sent.
    pub request: Request,
    /// When a reply is a success; all must hold.
    pub success: Success,
    /// Where the access token stands: first pointer that has one. RFC 6901; `/data/0` also reads an object in an
    /// array's place and the other way round is written as a second pointer.
    pub token: Vec<String>,
    /// A success without a token means this (default: `malformed`).
    pub missing_token: ErrorClass,
    /// Where the token type stands; empty: always `Bearer`.
    pub token_type: Vec<String>,
    /// Where the refresh token stands; empty: none.
    pub refresh_token: Vec<String>,
    /// Where the refresh token's life in seconds stands; empty: the documented one.
    pub refresh_lifetime: Vec<String>,
    /// Further fields that are published under a name.
    pub extra: Vec<(String, String)>,
    /// How the expiry is told: the first rule that gives a plausible one.
    pub expiry: Vec<ExpiryRule>,
    /// Where the provider tells its own time (epoch seconds): absolute expiries are taken against it.
    pub clock: Vec<String>,
    /// What an error means: first match.
    pub errors: Vec<ErrorRule>,
    /// Headers that tell how long to wait; `Retry-After` is always read.
    pub wait: Vec<WaitHint>,
}

/// What is sent. Every value is a Jinja expression text over `credentials.*`, `params.*`, `base_url`,
/// `refresh_token`, `access_token` (the current one), `idempotency_key`, `nonce`, `uuid`, `now_unix`, `now_millis`.
/// A field whose value comes out empty is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET` or `POST` (or `PUT`).
    pub method: Method,
    /// Joined to the base URL, or a whole URL; may use `params.*` and `base_url` only.
    pub url: String,
    /// Header names and value templates.
    pub headers: Vec<(String, String)>,
    /// Query names and value templates.
    pub query: Vec<(String, String)>,
    /// HTTP Basic; left out where the username comes out empty.
    pub basic: Option<Basic>,
    /// The body.
    pub body: Body,
}

impl Request {
    /// Whether a provider can tell a repeated request by its key, and answers it with the reply of the first one.
    #[must_use]
    pub fn sends_idempotency_key(&self) -> bool {
        let fields = self.headers.iter().chain(&self.query).map(|(_, template)| template);
        let basic = self.basic.iter().flat_map(|basic| [&basic.username, &basic.password]);
        fields.chain(basic).any(|template| uses_key(template)) || self.body.sends_idempotency_key()
    }
}

impl Body {
    fn sends_idempotency_key(&self) -> bool {
        fn holds(value: &serde_json::Value) -> bool {
            match value {
                serde_json::Value::String(template) => uses_key(template),
                serde_json::Value::Array(values) => values.iter().any(holds),
                serde_json::Value::Object(fields) => fields.values().any(holds),
                _ => false,
            }
        }
        match self {
            Self::Empty => false,
            Self::Form(fields) => fields.iter().any(|(_, template)| uses_key(template)),
            Self::Json(value) => holds(value),
        }
    }
}

/// A template's variables stand between braces; text outside is only text.
fn uses_key(template: &str) -> bool {
    let inside = template.split('{').skip(1).filter_map(|part| part.split('}').next());
    inside.into_iter().any(|expression| expression.contains("idempotency_key"))
}

/// Request methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the HTTP methods of these names")]
pub enum Method {
    Get,
    Post,
    Put,
}

/// HTTP Basic authentication (RFC 7617).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Basic {
    /// Template.
    pub username: String,
    /// Template.
    pub password: String,
    /// Form-encode both first (RFC 6749 section 2.3.1).
    pub form_encoded: bool,
}

/// The request's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// None.
    Empty,
    /// `application/x-www-form-urlencoded`.
    Form(Vec<(String, String)>),
    /// JSON; every string in it is a template.
    Json(serde_json::Value),
}

/// When a reply is a success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Success {
    /// Any of these.
    pub status: Vec<StatusPattern>,
    /// Each of these.
    pub body: Vec<BodyTest>,
}

/// `200` or `5xx`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusPattern {
    /// Exactly this.
    Exact(u16),
    /// Any of the hundred: 5 means 500 to 599.
    Class(u8),
}

/// A test on a field of the body; numbers, strings and booleans are compared as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyTest {
    /// RFC 6901 pointer.
    pub at: String,
    /// Any of these values.
    pub values: Vec<String>,
    /// Whether an absent field passes.
    pub or_absent: bool,
}

/// One way in which an expiry is told. Numbers may come as strings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpiryRule {
    /// A life that counts from before the request was sent.
    Lifetime {
        /// Pointer.
        at: String,
        /// Unit.
        unit: Unit,
    },
    /// An absolute instant since the Unix epoch.
    Epoch {
        /// Pointer.
        at: String,
        /// Unit.
        unit: Unit,
    },
    /// An absolute civil time.
    DateTime {
        /// Pointer.
        at: String,
        /// strptime format.
        format: String,
        /// IANA zone.
        zone: String,
    },
    /// An RFC 3339 instant.
    Rfc3339 {
        /// Pointer.
        at: String,
    },
    /// A NumericDate claim of the access token read as a JWT, unverified.
    Jwt {
        /// Its name.
        claim: String,
    },
    /// Always this, from before the request was sent.
    Fixed(Duration),
    /// A duration that the account gives as a param (`90s`, `1h`); skipped where that is empty.
    Param(String),
}

/// The unit of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// `s`
    Seconds,
    /// `ms`
    Millis,
}

/// What a failing reply means: all given conditions must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorRule {
    /// Any of these; empty: any.
    pub status: Vec<StatusPattern>,
    /// This field has one of the values (compared as text).
    pub body: Option<BodyTest>,
    /// Then it means this.
    pub class: ErrorClass,
    /// Wait at least that long.
    pub wait: Option<Duration>,
    /// What a person should do; empty: nothing to say.
    pub hint: String,
}

/// A header that tells how long to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitHint {
    /// Its name.
    pub header: String,
    /// The unit of its number (fractions allowed, rounded up to whole seconds).
    pub unit: Unit,
    /// The least wait taken from it.
    pub min: Duration,
    /// The longest wait taken from it.
    pub max: Duration,
}

impl Definition {
    /// The credential of that name.
    #[must_use]
    pub fn credential(&self, name: &str) -> Option<&Credential> {
        self.credentials.iter().find(|credential| credential.name == name)
    }

    /// The param of that name.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&Param> {
        self.params.iter().find(|param| param.name == name)
    }
}

impl StatusPattern {
    /// Whether `status` fits.
    #[must_use]
    pub fn matches(self, status: u16) -> bool {
        match self {
            Self::Exact(code) => status == code,
            Self::Class(hundred) => status / 100 == u16::from(hundred),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_sends_the_idempotency_key_wherever_a_template_names_it() {
        const KEY: &str = "\"{{ idempotency_key | upper }}\"";
        let plain = || Request {
            method: Method::Post,
            url: "/token".to_owned(),
            headers: vec![("Idempotency-Key".to_owned(), "{{ uuid }}".to_owned())],
            query: vec![("idempotency_key".to_owned(), "idempotency_key".to_owned())],
            basic: None,
            body: Body::Json(json!({"idempotency_key": ["{{ nonce }}", 1, null]})),
        };
        assert!(!plain().sends_idempotency_key());
        let pair = || vec![("key".to_owned(), KEY.to_owned())];
        let password = Basic { username: String::new(), password: KEY.to_owned(), form_encoded: false };
        for request in [
            Request { headers: pair(), ..plain() },
            Request { query: pair(), ..plain() },
            Request { basic: Some(password), ..plain() },
            Request { body: Body::Form(pair()), ..plain() },
            Request { body: Body::Json(json!({"a": [{"b": KEY}]})), ..plain() },
        ] {
            assert!(request.sends_idempotency_key(), "{request:?}");
        }
    }
}
