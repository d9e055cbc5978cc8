//! The main file, the agent, the limits.

use super::scalar::{
    ARGUMENT, COUNT, DURATION, GROUP, HIDDEN_URL, LISTEN, MODE, OFF_OR_PATH, PATH, PATTERN, RATE,
};
use super::{
    ACCOUNT, DEFAULTS, Field, Kind, PROVIDER, Shape, TEMPLATE_TARGET, VAULT, field, refused, required,
};

/// The main file.
pub(crate) static MAIN: Shape = Shape {
    name: "the main file",
    doc: "The main file: `/etc/renewd/renewd.yaml`, or what `--config` or `RENEWD_CONFIG` names.",
    fields: &[
        field(
            "include",
            Kind::OneOrList(&Kind::Scalar(&PATTERN)),
            "",
            "More files with accounts, templates and providers, relative to this one; `*` and `?` stand for any characters but `/`.",
        ),
        field("agent", Kind::Section(&AGENT), "", "The agent itself."),
        field("limits", Kind::Section(&LIMITS), "", "How hard any one provider host may be pressed."),
        field(
            "vault",
            Kind::Section(&VAULT),
            "",
            "The Vault or OpenBao server; needed only where a sink or a secret uses it.",
        ),
        field(
            "defaults",
            Kind::Section(&DEFAULTS),
            "",
            "Merged into every account that does not say otherwise.",
        ),
        required(
            "accounts",
            ACCOUNTS,
            "The accounts by name: `[a-z0-9][a-z0-9._-]{0,62}`. `{}` where there are none yet.",
        ),
        TEMPLATES,
        PROVIDERS,
    ],
};

/// A file named by `include`.
pub(crate) static INCLUDED: Shape = Shape {
    name: "an included file",
    doc: "A file named by `include`.",
    fields: &[
        field("accounts", ACCOUNTS, "", "Further accounts."),
        TEMPLATES,
        PROVIDERS,
        refused("include", Kind::Refused("cannot stand in an included file: includes do not nest")),
        refused("agent", MAIN_ONLY),
        refused("limits", MAIN_ONLY),
        refused("defaults", MAIN_ONLY),
        refused("vault", MAIN_ONLY),
    ],
};

const ACCOUNTS: Kind = Kind::Map("NAME", &Kind::Section(&ACCOUNT));
const MAIN_ONLY: Kind = Kind::Refused("may stand in the main file only");
const DEFINITIONS: Kind = Kind::Map("NAME", &Kind::Section(&PROVIDER));
const PROVIDERS: Field = field(
    "providers",
    DEFINITIONS,
    "",
    "Token APIs of your own, in the language of the built-in ones; one of the same name replaces the built-in one.",
);

const TEMPLATE_LIST: Kind = Kind::List(&Kind::Section(&TEMPLATE_TARGET));
const TEMPLATES: Field = field("templates", TEMPLATE_LIST, "", "Files made from several accounts' tokens.");

/// `agent:`.
pub(crate) static AGENT: Shape = Shape {
    name: "agent",
    doc: "The agent itself.",
    fields: &[
        field(
            "state_dir",
            Kind::Scalar(&PATH),
            "`$STATE_DIRECTORY`, else `/var/lib/renewd`",
            "Where durable state lives; one agent at a time.",
        ),
        field(
            "socket",
            Kind::Either(&[Kind::Scalar(&OFF_OR_PATH), Kind::Section(&SOCKET)]),
            "`$RUNTIME_DIRECTORY/renewd.sock`, else `/run/renewd/renewd.sock`",
            "The control socket of `status`, `token`, `renew` and others.",
        ),
        field(
            "listen",
            Kind::Scalar(&LISTEN),
            "`127.0.0.1:9478`",
            "Health, metrics and a status page; never serves a token.",
        ),
        field(
            "shutdown_grace",
            Kind::Scalar(&DURATION),
            "`20s`",
            "How long TERM waits for deliveries; 1 s to 1 h.",
        ),
        field("log", Kind::Section(&LOG), "", "What is logged, and how."),
        field(
            "audit",
            Kind::Either(&[Kind::Scalar(&OFF_OR_PATH), Kind::Section(&AUDIT)]),
            "`off`",
            "A file of JSON lines: who took or forced what over the socket, and what was delivered where; never a token.",
        ),
        field(
            "alerts",
            Kind::List(&Kind::Section(&ALERT)),
            "",
            "Who is told of tokens that are about to end without being renewed, and when all is well again.",
        ),
    ],
};

/// `agent.audit:` in its long form.
pub(crate) static AUDIT: Shape = Shape {
    name: "agent.audit",
    doc: "The audit log in its long form.",
    fields: &[
        required("path", Kind::Scalar(&PATH), "The file; lines are appended, and a missing file is made."),
        field("mode", Kind::Scalar(&MODE), "`\"0600\"`", "The permission bits of a file that is made."),
        field("group", Kind::Scalar(&GROUP), "the agent's own", "The group of a file that is made."),
    ],
};

/// An item of `agent.alerts`.
pub(crate) static ALERT: Shape = Shape {
    name: "agent.alerts",
    doc: "Who is told of what goes wrong: exactly one of the two.",
    fields: &[
        field(
            "webhook",
            Kind::Section(&ALERT_WEBHOOK),
            "",
            "A POST of a JSON document with a `text` for people.",
        ),
        field(
            "command",
            Kind::Either(&[Kind::List(&Kind::Scalar(&ARGUMENT)), Kind::Section(&ALERT_COMMAND)]),
            "",
            "A program and its arguments: no shell, a cleared environment.",
        ),
    ],
};

/// `webhook:` of an alert.
pub(crate) static ALERT_WEBHOOK: Shape = Shape {
    name: "agent.alerts.webhook",
    doc: "A POST of names, times and words as JSON.",
    fields: &[
        required("url", Kind::Scalar(&HIDDEN_URL), "Where to; `https` except for this machine."),
        AT,
        field("timeout", Kind::Scalar(&DURATION), "`10s`", "The whole exchange; 100 ms to 1 min."),
    ],
};

/// `command:` of an alert in its long form.
pub(crate) static ALERT_COMMAND: Shape = Shape {
    name: "agent.alerts.command",
    doc: "A program in its long form.",
    fields: &[
        required(
            "argv",
            Kind::List(&Kind::Scalar(&ARGUMENT)),
            "The program (a whole path, or a name to find in `PATH`) and its arguments.",
        ),
        AT,
        field(
            "timeout",
            Kind::Scalar(&DURATION),
            "`30s`",
            "After it the program and all that it started is killed; 100 ms to 1 h.",
        ),
    ],
};

const AT: Field =
    field("at", Kind::List(&Kind::Choice(&["warn", "critical", "recovered"])), "all three", "What is told.");

/// `agent.socket:` in its long form.
pub(crate) static SOCKET: Shape = Shape {
    name: "agent.socket",
    doc: "The control socket in its long form.",
    fields: &[
        field("path", Kind::Scalar(&PATH), "as above", "Where it is."),
        field("mode", Kind::Scalar(&MODE), "`\"0660\"`", "Its permission bits."),
        field(
            "group",
            Kind::Scalar(&GROUP),
            "the agent's own",
            "The group whose members may take tokens and renew.",
        ),
    ],
};

/// `agent.log:`.
pub(crate) static LOG: Shape = Shape {
    name: "agent.log",
    doc: "What is logged, and how; always to standard error.",
    fields: &[
        field(
            "level",
            Kind::Choice(&["error", "warn", "info", "debug", "trace"]),
            "`info`",
            "The least severity that is written.",
        ),
        field(
            "format",
            Kind::Choice(&["auto", "text", "json"]),
            "`auto`",
            "`auto` is text on a terminal and JSON lines elsewhere.",
        ),
    ],
};

/// `limits:`.
pub(crate) static LIMITS: Shape = Shape {
    name: "limits",
    doc: "How hard any one provider host may be pressed. A provider's definition may lower it.",
    fields: &[
        field("rate", Kind::Scalar(&RATE), "`5/s`", "Requests in the long run."),
        field("burst", Kind::Scalar(&COUNT), "`10`", "How many may follow each other at once after a pause."),
        field("concurrency", Kind::Scalar(&COUNT), "`4`", "How many may be in flight."),
        field(
            "hosts",
            Kind::Map("HOST", &Kind::Section(&HOST)),
            "",
            "Other limits by `host:port`, or by `host` for any port.",
        ),
    ],
};

/// `limits.hosts.HOST:`.
pub(crate) static HOST: Shape = Shape {
    name: "limits.hosts.HOST",
    doc: "Limits of one host. `rate: off` also sets aside what a definition asks for.",
    fields: &[
        field("rate", Kind::Scalar(&RATE), "as in `limits`", "Requests in the long run."),
        field(
            "burst",
            Kind::Scalar(&COUNT),
            "as in `limits`",
            "How many may follow each other at once after a pause.",
        ),
        field("concurrency", Kind::Scalar(&COUNT), "as in `limits`", "How many may be in flight."),
    ],
};
