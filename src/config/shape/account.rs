//! Accounts, their secrets and sinks.

use super::delivery::{HOOK, KUBERNETES_SINK, VAULT_KEY, VAULT_SINK, VERIFY};
use super::scalar::{
    CRON, DURATION, GROUP, HIDDEN, IP, LEAD, MODE, NAME, OFF_OR_URL, PATH, SINK_TEMPLATE, TEXT, URL, USER,
    VAULT_TARGET, ZONE,
};
use super::{Field, Kind, Shape, field, required};

/// `accounts.NAME:`.
pub(crate) static ACCOUNT: Shape = Shape {
    name: "accounts.NAME",
    doc: "One account at one provider.",
    fields: &[
        required(
            "provider",
            Kind::Scalar(&NAME),
            "The provider's name: a built-in one, or one under `providers`.",
        ),
        ENVIRONMENT,
        BASE_URL,
        CREDENTIALS,
        PARAMS,
        RENEW_FIELD,
        HTTP_FIELD,
        VERIFY_FIELD,
        SINKS,
        ON_CHANGE,
    ],
};

/// `defaults:`.
pub(crate) static DEFAULTS: Shape = Shape {
    name: "defaults",
    doc: "Merged into every account that does not say otherwise: `renew`, `http`, `params` and `credentials` key by \
          key, everything else as a whole.",
    fields: &[
        field("provider", Kind::Scalar(&NAME), "", "The provider's name."),
        ENVIRONMENT,
        BASE_URL,
        CREDENTIALS,
        PARAMS,
        RENEW_FIELD,
        HTTP_FIELD,
        VERIFY_FIELD,
        SINKS,
        ON_CHANGE,
    ],
};

const PARAM_VALUES: Kind = Kind::Map("NAME", &Kind::Scalar(&TEXT));
const SINK_LIST: Kind = Kind::List(&Kind::Section(&SINK));
const ENVIRONMENT: Field = field(
    "environment",
    Kind::Scalar(&NAME),
    "the provider's `production`",
    "Which of the provider's environments.",
);
const BASE_URL: Field = field(
    "base_url",
    Kind::Scalar(&URL),
    "the environment's",
    "Where the API is; `https` except for this machine. Wins over the environment's.",
);
const CREDENTIALS: Field = field(
    "credentials",
    Kind::Map("NAME", &Kind::Secret),
    "",
    "By the vendor's own names (`renewd providers NAME` lists them).",
);
const PARAMS: Field =
    field("params", PARAM_VALUES, "", "What the provider's definition asks for beside secrets.");
const RENEW_FIELD: Field = field("renew", Kind::Section(&RENEW), "", "When to renew.");
const HTTP_FIELD: Field = field("http", Kind::Section(&HTTP), "", "How to reach the provider.");
const SINKS: Field =
    field("sinks", SINK_LIST, "none: `renewd token` and the socket serve it", "Where the token goes.");

const URL_OR_VERIFY: Kind = Kind::Either(&[Kind::Scalar(&OFF_OR_URL), Kind::Section(&VERIFY)]);
const HOOK_LIST: Kind = Kind::List(&Kind::Section(&HOOK));
const VERIFY_FIELD: Field = field(
    "verify",
    URL_OR_VERIFY,
    "`off`",
    "Try a new token before delivering it. The short form is a URL that answers 200.",
);
const ON_CHANGE: Field =
    field("on_change", HOOK_LIST, "", "Who is told once a new token is in all its sinks.");
pub(super) const ON_REMOVE: Field = field(
    "on_remove",
    Kind::Choice(&["keep", "delete"]),
    "`keep`",
    "What becomes of what was delivered, 10 s after this has left the configuration.",
);

// What every file that is written has.
pub(super) const FILE_MODE: Field = field("mode", Kind::Scalar(&MODE), "`\"0600\"`", "Permission bits.");
pub(super) const FILE_OWNER: Field =
    field("owner", Kind::Scalar(&USER), "the agent's own", "User name or number.");
pub(super) const FILE_GROUP: Field =
    field("group", Kind::Scalar(&GROUP), "the agent's own", "Group name or number.");

/// A secret in its long form.
pub(crate) static SECRET: Shape = Shape {
    name: "secret",
    doc: "A secret is the text itself, or exactly one of these. It is read when it is used, and again when it changes.",
    fields: &[
        field("env", Kind::Scalar(&HIDDEN), "", "The name of an environment variable of the agent."),
        field(
            "file",
            Kind::Scalar(&HIDDEN),
            "",
            "The absolute path of a file; one trailing newline is dropped.",
        ),
        field(
            "credential",
            Kind::Scalar(&HIDDEN),
            "",
            "The name of a file in systemd's `$CREDENTIALS_DIRECTORY`.",
        ),
        field(
            "command",
            Kind::List(&Kind::Scalar(&HIDDEN)),
            "",
            "A program and its arguments; its output is the secret, one trailing newline dropped.",
        ),
        field("vault", Kind::Section(&VAULT_KEY), "", "A key of a secret in Vault or OpenBao."),
    ],
};

/// `accounts.NAME.renew:`.
pub(crate) static RENEW: Shape = Shape {
    name: "accounts.NAME.renew",
    doc: "When to renew.",
    fields: &[
        field(
            "before",
            Kind::Scalar(&LEAD),
            "a third of the lifetime, at least a minute, at most half of it and an hour",
            "How long before the expiry: a time, or a share of the lifetime.",
        ),
        field(
            "cron",
            Kind::Scalar(&CRON),
            "",
            "Rotate at these times too: second, minute, hour, day, month, weekday.",
        ),
        field("timezone", Kind::Scalar(&ZONE), "`UTC`", "The zone of `cron`, by its IANA name."),
        field(
            "min_interval",
            Kind::Scalar(&DURATION),
            "the definition's, else none",
            "Never ask more often than this, also across restarts.",
        ),
    ],
};

/// `accounts.NAME.http:`.
pub(crate) static HTTP: Shape = Shape {
    name: "accounts.NAME.http",
    doc: "How to reach the provider.",
    fields: &[
        field(
            "timeout",
            Kind::Scalar(&DURATION),
            "`30s`",
            "The whole exchange, from connecting to the last byte; 100 ms to 10 min.",
        ),
        field("proxy", Kind::Scalar(&URL), "none; `HTTP_PROXY` is not used", "An HTTP proxy."),
        field(
            "ca_file",
            Kind::Scalar(&PATH),
            "the system's",
            "Root certificates (PEM) in place of the system's.",
        ),
        field(
            "client_cert_file",
            Kind::Scalar(&PATH),
            "",
            "A client certificate (PEM); needs `client_key_file`.",
        ),
        field("client_key_file", Kind::Scalar(&PATH), "", "Its key (PEM)."),
        field(
            "source_address",
            Kind::Scalar(&IP),
            "",
            "The local address to send from, for vendors that let in registered addresses only.",
        ),
    ],
};

/// An item of `accounts.NAME.sinks`.
pub(crate) static SINK: Shape = Shape {
    name: "accounts.NAME.sinks",
    doc: "Where the token goes: each item has exactly one key.",
    fields: &[
        field(
            "file",
            Kind::Either(&[Kind::Scalar(&PATH), Kind::Section(&FILE)]),
            "",
            "A file. The short form, a path, gets the bare token with mode 0600.",
        ),
        field(
            "vault",
            Kind::Either(&[Kind::Scalar(&VAULT_TARGET), Kind::Section(&VAULT_SINK)]),
            "",
            "A secret in Vault or OpenBao. The short form, `MOUNT/PATH`, gets the token document's fields.",
        ),
        field("kubernetes", Kind::Section(&KUBERNETES_SINK), "", "A Kubernetes Secret."),
    ],
};

/// `file:` of a sink in its long form.
pub(crate) static FILE: Shape = Shape {
    name: "accounts.NAME.sinks.file",
    doc: "A file sink in its long form.",
    fields: &[
        required("path", Kind::Scalar(&PATH), "The file; missing folders are made, with mode 0755."),
        field(
            "content",
            Kind::Choice(&["token", "header", "json"]),
            "`token`",
            "The bare token; an `Authorization` line as `curl -H @FILE` reads it; the token document.",
        ),
        field(
            "template",
            Kind::Scalar(&SINK_TEMPLATE),
            "",
            "Jinja in place of `content`; values are escaped for the target by the path's ending.",
        ),
        FILE_MODE,
        FILE_OWNER,
        FILE_GROUP,
        field(
            "write",
            Kind::Choice(&["replace", "in-place"]),
            "`replace`",
            "A new file renamed over the old one; or the same file written over (for single-file bind mounts: whole reads cannot be promised).",
        ),
        field(
            "when_expired",
            Kind::Choice(&["keep", "remove"]),
            "`keep`",
            "What becomes of it when the token has expired.",
        ),
        ON_REMOVE,
    ],
};
