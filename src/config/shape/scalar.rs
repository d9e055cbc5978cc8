//! The notations of single values: what they are called, how JSON Schema sees them, whether they may be printed.

/// The notation of a single value.
#[derive(Debug)]
pub(crate) struct ScalarKind {
    /// For the type column of the reference.
    pub(crate) name: &'static str,
    /// What is expected, in words.
    pub(crate) words: &'static str,
    /// How it is written in JSON.
    pub(crate) json: Json,
    /// Whether source lines may show it.
    pub(crate) show: Show,
}

/// The JSON types that stand for a value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Json {
    /// Text of any kind; numbers and booleans are taken as written.
    Text,
    /// Text that matches.
    Pattern(&'static str),
    /// Text or a number that matches as written.
    Number(&'static str),
    /// A whole number within.
    Integer(u32, u32),
    /// `true` or `false`.
    Bool,
}

/// When a source line may show a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    /// Always, except for URLs with a user, a query or a fragment.
    Plain,
    /// The scheme and the host of a URL, and the words that switch something off.
    Host,
    /// What stands in its `{{ }}`, and the name that it is written to.
    Braces,
    /// A part of a hook's command: its program, options without their values, whole paths.
    Argument,
    /// Where it looks like a JSON pointer.
    Pointer,
    /// Never.
    Never,
}

const fn plain(name: &'static str, words: &'static str, json: Json) -> ScalarKind {
    ScalarKind { name, words, json, show: Show::Plain }
}

const DURATION_PATTERN: &str = "^([0-9]+(ms|s|m|h|d|w))+$";

pub(crate) static TEXT: ScalarKind = plain("text", "text", Json::Text);
pub(crate) static BOOL: ScalarKind = plain("true or false", "`true` or `false`", Json::Bool);
pub(crate) static COUNT: ScalarKind =
    plain("number", "a whole number from 1 to 100000", Json::Integer(1, 100_000));
pub(crate) static DURATION: ScalarKind =
    plain("duration", "a duration such as `90s`, `10m` or `1h30m`", Json::Pattern(DURATION_PATTERN));
pub(crate) static LEAD: ScalarKind = plain(
    "duration or share",
    "a duration such as `10m` or a share of the lifetime such as `20%`",
    Json::Pattern(r"^(([0-9]+(ms|s|m|h|d|w))+|[0-9]{1,2}(\.[0-9]{1,3})?%)$"),
);
pub(crate) static RATE: ScalarKind = plain(
    "rate",
    "a rate such as `5/s`, `10/m` or `100/h`, or `off`",
    Json::Pattern("^(off|[0-9]+/(s|m|h|d))$"),
);
pub(crate) static PATH: ScalarKind = plain("path", "an absolute path", Json::Pattern("^/"));
pub(crate) static PATTERN: ScalarKind =
    plain("path pattern", "a path or a pattern such as `accounts.d/*.yaml`", Json::Pattern("^[^ ]"));
pub(crate) static OFF_OR_PATH: ScalarKind =
    plain("path or `off`", "an absolute path or `off`", Json::Pattern("^(off|/.*)$"));
pub(crate) static LISTEN: ScalarKind = plain(
    "address or `off`",
    "an address such as `127.0.0.1:9478`, or `off`",
    Json::Pattern("^(off|.+:[0-9]+)$"),
);
pub(crate) static IP: ScalarKind =
    plain("IP address", "an IP address such as `192.0.2.7`", Json::Pattern("^[0-9a-fA-F.:]+$"));
pub(crate) static URL: ScalarKind =
    plain("URL", "a URL such as `https://api.example.com`", Json::Pattern("^https?://"));
pub(crate) static MODE: ScalarKind =
    plain("file mode", "a file mode such as \"0640\"", Json::Number("^(0o?)?[0-7]{3}$"));
pub(crate) static CRON: ScalarKind = plain(
    "cron expression",
    "a cron expression of six fields such as \"0 0 4 * * *\"",
    Json::Pattern(r"^\S+( +\S+){5}$"),
);
pub(crate) static ZONE: ScalarKind =
    plain("time zone", "a time zone such as `Asia/Seoul`", Json::Pattern("^[A-Za-z]"));
pub(crate) static USER: ScalarKind = plain("user", "a user's name or number", Json::Number("^[A-Za-z0-9_]"));
pub(crate) static GROUP: ScalarKind =
    plain("group", "a group's name or number", Json::Number("^[A-Za-z0-9_]"));
pub(crate) static NAME: ScalarKind = plain("name", "a name", Json::Pattern("^[A-Za-z0-9]"));
pub(crate) static TEMPLATE: ScalarKind =
    plain("template", "a template such as \"{{ access_token }}\"", Json::Text);
/// A template that may hold anything beside the braces.
pub(crate) static TEXT_TEMPLATE: ScalarKind = ScalarKind {
    name: "template",
    words: "a template such as \"{{ accounts.NAME.access_token }}\"",
    json: Json::Text,
    show: Show::Braces,
};
/// The same of a sink, which sees one account.
pub(crate) static SINK_TEMPLATE: ScalarKind = ScalarKind {
    name: "template",
    words: "a template such as \"{{ access_token }}\"",
    json: Json::Text,
    show: Show::Braces,
};
pub(crate) static POINTER: ScalarKind = ScalarKind {
    name: "JSON pointer",
    words: "a JSON pointer such as `/data/token`",
    json: Json::Pattern("^/"),
    show: Show::Pointer,
};
pub(crate) static STATUS: ScalarKind =
    plain("HTTP status", "an HTTP status such as `401` or `5xx`", Json::Number("^([1-5][0-9]{2}|[1-5]xx)$"));
pub(crate) static URL_PATH: ScalarKind = plain("URL path", "a path such as `/v1/token`", Json::Pattern("^/"));
pub(crate) static STATUS_CODE: ScalarKind =
    plain("HTTP status", "an HTTP status such as `200`", Json::Number("^[1-5][0-9]{2}$"));
pub(crate) static KV_VERSION: ScalarKind = plain("`1` or `2`", "`1` or `2`", Json::Integer(1, 2));
pub(crate) static SIGNAL: ScalarKind = plain(
    "signal",
    "a signal such as `HUP`",
    Json::Pattern("^(SIG)?(HUP|INT|QUIT|USR1|USR2|TERM|WINCH|CONT)$"),
);
pub(crate) static SOURCE: ScalarKind =
    plain("path", "a path, absolute or relative to this file", Json::Pattern("^[^ ]"));
pub(crate) static VAULT_MOUNT: ScalarKind = plain("path", "a mount such as `secret`", Json::Pattern("[^/]"));
pub(crate) static VAULT_PATH: ScalarKind =
    plain("path", "a path such as `tokens/messaging`", Json::Pattern("[^/]"));
pub(crate) static VAULT_TARGET: ScalarKind =
    plain("`MOUNT/PATH`", "`MOUNT/PATH` such as `secret/tokens/messaging`", Json::Pattern("[^/]/+[^/]"));
pub(crate) static DNS_NAME: ScalarKind =
    plain("name", "a Kubernetes name such as `messaging-token`", Json::Pattern("^[a-z0-9][a-z0-9.-]*$"));
/// May hold a secret in its path, as some webhooks do.
pub(crate) static HIDDEN_URL: ScalarKind = ScalarKind {
    name: "URL",
    words: "a URL such as `https://api.example.com`",
    json: Json::Pattern("^https?://"),
    show: Show::Host,
};
pub(crate) static OFF_OR_URL: ScalarKind = ScalarKind {
    name: "URL or `off`",
    words: "a URL such as `https://api.example.com`, or `off`",
    json: Json::Pattern("^(off$|https?://)"),
    show: Show::Host,
};
pub(crate) static HIDDEN: ScalarKind =
    ScalarKind { name: "text", words: "text", json: Json::Text, show: Show::Never };
pub(crate) static ARGUMENT: ScalarKind =
    ScalarKind { name: "text", words: "text", json: Json::Text, show: Show::Argument };
