//! Sinks on servers, verification, hooks, and files made from several accounts.

use super::account::{FILE_GROUP, FILE_MODE, FILE_OWNER, ON_REMOVE};
use super::scalar::{
    ARGUMENT, DNS_NAME, DURATION, HIDDEN, HIDDEN_URL, KV_VERSION, PATH, SIGNAL, SINK_TEMPLATE, SOURCE,
    STATUS_CODE, TEXT_TEMPLATE, VAULT_MOUNT, VAULT_PATH,
};
use super::{Field, Kind, Shape, field, required};

/// `verify:` in its long form.
pub(crate) static VERIFY: Shape = Shape {
    name: "accounts.NAME.verify",
    doc: "A new token is tried before it is delivered: one GET with it as `Authorization`.",
    fields: &[
        required("url", Kind::Scalar(&HIDDEN_URL), "What is asked for; `https` except for this machine."),
        field(
            "expect",
            Kind::OneOrList(&Kind::Scalar(&STATUS_CODE)),
            "`[200]`",
            "The statuses that mean that the token works.",
        ),
        field("timeout", Kind::Scalar(&DURATION), "`10s`", "The whole exchange; 100 ms to 1 min."),
    ],
};

/// An item of `on_change`.
pub(crate) static HOOK: Shape = Shape {
    name: "accounts.NAME.on_change",
    doc: "Who is told once a new token is in all its sinks (or a template is written anew): each item has exactly \
          one key. Names and times, never the token.",
    fields: &[
        field("signal", Kind::Section(&HOOK_SIGNAL), "", "A signal to a process."),
        field(
            "command",
            Kind::Either(&[Kind::List(&Kind::Scalar(&ARGUMENT)), Kind::Section(&COMMAND)]),
            "",
            "A program and its arguments: no shell, a cleared environment.",
        ),
        field("webhook", Kind::Section(&WEBHOOK), "", "A POST of a JSON document."),
    ],
};

/// `signal:` of a hook.
pub(crate) static HOOK_SIGNAL: Shape = Shape {
    name: "accounts.NAME.on_change.signal",
    doc: "A signal to the process whose id stands in a file.",
    fields: &[
        required("pid_file", Kind::Scalar(&PATH), "The file with the id; read each time."),
        field(
            "signal",
            Kind::Scalar(&SIGNAL),
            "`HUP`",
            "Which: `HUP`, `INT`, `QUIT`, `USR1`, `USR2`, `TERM`, `WINCH` or `CONT`.",
        ),
    ],
};

/// `command:` of a hook in its long form.
pub(crate) static COMMAND: Shape = Shape {
    name: "accounts.NAME.on_change.command",
    doc: "A program in its long form.",
    fields: &[
        required(
            "argv",
            Kind::List(&Kind::Scalar(&ARGUMENT)),
            "The program (a whole path, or a name to find in `PATH`) and its arguments.",
        ),
        field(
            "timeout",
            Kind::Scalar(&DURATION),
            "`30s`",
            "After it the program and all that it started is killed; 100 ms to 1 h.",
        ),
    ],
};

/// `webhook:` of a hook.
pub(crate) static WEBHOOK: Shape = Shape {
    name: "accounts.NAME.on_change.webhook",
    doc: "A POST of names and times as JSON.",
    fields: &[
        required("url", Kind::Scalar(&HIDDEN_URL), "Where to; `https` except for this machine."),
        field("timeout", Kind::Scalar(&DURATION), "`10s`", "The whole exchange; 100 ms to 1 min."),
    ],
};

/// `vault:` of a sink in its long form.
pub(crate) static VAULT_SINK: Shape = Shape {
    name: "accounts.NAME.sinks.vault",
    doc: "A vault sink in its long form.",
    fields: &[
        required(
            "mount",
            Kind::Scalar(&VAULT_MOUNT),
            "Where the key-value engine is mounted, as in `secret`.",
        ),
        required(
            "path",
            Kind::Scalar(&VAULT_PATH),
            "The secret's path below the mount, without the `data/` of the API.",
        ),
        KV,
        field(
            "fields",
            Kind::Map("NAME", &Kind::Scalar(&SINK_TEMPLATE)),
            "the token document's fields",
            "What is written: templates by field.",
        ),
        ON_REMOVE,
    ],
};

/// `vault:` of a secret.
pub(crate) static VAULT_KEY: Shape = Shape {
    name: "secret.vault",
    doc: "A key of a secret in Vault or OpenBao (see `vault`).",
    fields: &[
        required("mount", Kind::Scalar(&HIDDEN), "Where the key-value engine is mounted, as in `secret`."),
        required(
            "path",
            Kind::Scalar(&HIDDEN),
            "The secret's path below the mount, without the `data/` of the API.",
        ),
        required("key", Kind::Scalar(&HIDDEN), "The field whose text is the secret."),
        KV,
    ],
};

const KV: Field = field("kv", Kind::Scalar(&KV_VERSION), "`2`", "The version of the key-value engine.");

/// `kubernetes:` of a sink.
pub(crate) static KUBERNETES_SINK: Shape = Shape {
    name: "accounts.NAME.sinks.kubernetes",
    doc: "A Kubernetes Secret.",
    fields: &[
        required("secret", Kind::Scalar(&DNS_NAME), "The Secret's name."),
        field("namespace", Kind::Scalar(&DNS_NAME), "`$POD_NAMESPACE`", "Its namespace."),
        field(
            "keys",
            Kind::Map("NAME", &Kind::Scalar(&SINK_TEMPLATE)),
            "the token document's fields",
            "What is written: templates by key.",
        ),
        ON_REMOVE,
    ],
};

/// An item of `templates`.
pub(crate) static TEMPLATE_TARGET: Shape = Shape {
    name: "templates",
    doc: "A file, or a set of files, made from the tokens of several accounts: `accounts.NAME.FIELD`, or \
          `accounts[\"my-app\"].FIELD` where the name has `-` or `.`. It is written when every account that it names \
          has a token. The names are found in the text; one that loops over `accounts` or looks up `accounts[x]` \
          is made from all configured accounts.",
    fields: &[
        field("path", Kind::Scalar(&PATH), "", "The file; give it or `directory`."),
        field(
            "directory",
            Kind::Scalar(&PATH),
            "",
            "A folder whose `files` change all at once (by a link `..data`).",
        ),
        TEMPLATE_SOURCE_FILE,
        field("inline", Kind::Scalar(&TEXT_TEMPLATE), "", "The template itself, in place of `source`."),
        field(
            "files",
            Kind::Map("NAME", &Kind::Either(&[Kind::Scalar(&TEXT_TEMPLATE), Kind::Section(&TEMPLATE_FILE)])),
            "",
            "The files of `directory` by their names: a template, or where it stands.",
        ),
        FILE_MODE,
        FILE_OWNER,
        FILE_GROUP,
        field(
            "write",
            Kind::Choice(&["replace", "in-place"]),
            "`replace`",
            "As in a file sink; for `path` only.",
        ),
        ON_REMOVE,
        field(
            "on_change",
            Kind::List(&Kind::Section(&HOOK)),
            "",
            "Who is told once it has been written anew.",
        ),
    ],
};

const TEMPLATE_SOURCE_FILE: Field = field(
    "source",
    Kind::Scalar(&SOURCE),
    "",
    "The template's file, relative to this one, 1 MiB at most; it is watched.",
);

/// A file of a `directory` in its long form.
pub(crate) static TEMPLATE_FILE: Shape = Shape {
    name: "templates.files",
    doc: "A file of a `directory` in its long form: exactly one of these.",
    fields: &[
        TEMPLATE_SOURCE_FILE,
        field("inline", Kind::Scalar(&TEXT_TEMPLATE), "", "The template itself."),
    ],
};
