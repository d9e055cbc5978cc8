//! The language of provider definitions.

use super::scalar::{
    BOOL, COUNT, DURATION, NAME, POINTER, RATE, STATUS, TEMPLATE, TEXT, URL, URL_PATH, ZONE,
};
use super::{Kind, Shape, field, required};

const POINTERS: Kind = Kind::OneOrList(&Kind::Scalar(&POINTER));
const STATUSES: Kind = Kind::OneOrList(&Kind::Scalar(&STATUS));
const TEXTS: Kind = Kind::OneOrList(&Kind::Scalar(&TEXT));
const TEMPLATES: Kind = Kind::Map("NAME", &Kind::Scalar(&TEMPLATE));
const UNIT: Kind = Kind::Choice(&["s", "ms"]);
const CLASS: Kind = Kind::Choice(&["rejected", "throttled", "transient", "malformed", "relogin", "config"]);

/// `providers.NAME:`, and a whole file of the catalogue.
pub(crate) static PROVIDER: Shape = Shape {
    name: "providers.NAME",
    doc: "A token API as data. At least one of `issue` and `refresh`.",
    fields: &[
        field("title", Kind::Scalar(&TEXT), "its name", "What people call it."),
        field(
            "docs",
            Kind::OneOrList(&Kind::Scalar(&URL)),
            "",
            "The vendor's pages that the facts come from.",
        ),
        field(
            "environments",
            Kind::Map("NAME", &Kind::Scalar(&URL)),
            "",
            "Base URLs by name; none where `base_url` or a param says where the API is.",
        ),
        field(
            "default_environment",
            Kind::Scalar(&NAME),
            "`production`, else the first",
            "The one that is used unless an account says otherwise.",
        ),
        field(
            "credentials",
            Kind::Map("NAME", &Kind::Section(&CREDENTIAL)),
            "",
            "What accounts give as secrets, by the vendor's own names.",
        ),
        field("params", Kind::Map("NAME", &Kind::Section(&PARAM)), "", "What accounts give beside secrets."),
        field(
            "life",
            Kind::Scalar(&DURATION),
            "",
            "The documented life of an access token: caps every expiry, never lengthens one.",
        ),
        field(
            "old_token",
            Kind::Choice(&["independent", "kills_old", "same_until", "extends"]),
            "`kills_old`",
            "What a renewal does to the token before it.",
        ),
        field(
            "reuse_window",
            Kind::Scalar(&DURATION),
            "",
            "With `same_until`: asking earlier than this before the end only brings the same token with the same end.",
        ),
        field("refresh_token", Kind::Section(&REFRESH_TOKEN), "", "How refresh tokens behave."),
        field(
            "min_interval",
            Kind::Scalar(&DURATION),
            "",
            "The vendor's own least time between two requests of an account.",
        ),
        field(
            "allow_list",
            Kind::Scalar(&BOOL),
            "`false`",
            "The vendor lets in registered client addresses only: unknown 401 and 403 replies get that hint.",
        ),
        field("limits", Kind::Section(&OWN_LIMITS), "", "Lower limits than the configuration's."),
        field(
            "idle_timeout",
            Kind::Scalar(&DURATION),
            "`20s`",
            "Connections that are idle for longer are dropped.",
        ),
        field(
            "response",
            Kind::Section(&RESPONSE),
            "",
            "How replies are read, for both operations; an operation's own `response` replaces it key by key.",
        ),
        field("issue", Kind::Section(&OPERATION), "", "Log in with the credentials."),
        field("refresh", Kind::Section(&OPERATION), "", "Renew with a refresh token."),
    ],
};

/// `providers.NAME.credentials.NAME:`.
pub(crate) static CREDENTIAL: Shape = Shape {
    name: "providers.NAME.credentials.NAME",
    doc: "A secret that accounts give; `{}` where nothing needs saying.",
    fields: &[
        field(
            "identity",
            Kind::Scalar(&BOOL),
            "`false`",
            "It says who asks, such as a client id: a token belongs to its value.",
        ),
        field("optional", Kind::Scalar(&BOOL), "`false`", "It may be left out."),
        field(
            "max_length",
            Kind::Scalar(&COUNT),
            "",
            "The longest value that the vendor takes, in characters.",
        ),
        field(
            "refresh_seed",
            Kind::Scalar(&BOOL),
            "`false`",
            "It is the first refresh token: the stored, rotated one wins until this one changes.",
        ),
        field(
            "owns_refresh",
            Kind::Scalar(&BOOL),
            "`false`",
            "Refresh tokens belong to its value: with another one the account logs in at once, and keeps its token until then.",
        ),
        field("description", Kind::Scalar(&TEXT), "", "For people."),
    ],
};

/// `providers.NAME.params.NAME:`.
pub(crate) static PARAM: Shape = Shape {
    name: "providers.NAME.params.NAME",
    doc: "A setting that accounts give; `{}` where nothing needs saying.",
    fields: &[
        field("description", Kind::Scalar(&TEXT), "", "For people."),
        field("default", Kind::Scalar(&TEXT), "unset", "What holds where it is not given."),
        field("required", Kind::Scalar(&BOOL), "`false`", "It must be given."),
        field("one_of", Kind::List(&Kind::Scalar(&TEXT)), "any", "The values allowed."),
    ],
};

/// `providers.NAME.refresh_token:`.
pub(crate) static REFRESH_TOKEN: Shape = Shape {
    name: "providers.NAME.refresh_token",
    doc: "How refresh tokens behave.",
    fields: &[
        field("single_use", Kind::Scalar(&BOOL), "`true` where there is `refresh`", "One use ends it."),
        field("life", Kind::Scalar(&DURATION), "", "Its documented life."),
    ],
};

/// `providers.NAME.limits:`.
pub(crate) static OWN_LIMITS: Shape = Shape {
    name: "providers.NAME.limits",
    doc: "Lower limits than the configuration's.",
    fields: &[
        field("rate", Kind::Scalar(&RATE), "", "Requests in the long run."),
        field("burst", Kind::Scalar(&COUNT), "", "How many may follow each other at once after a pause."),
        field("concurrency", Kind::Scalar(&COUNT), "", "How many may be in flight."),
    ],
};

/// `providers.NAME.issue:` and `refresh:`.
pub(crate) static OPERATION: Shape = Shape {
    name: "providers.NAME.issue",
    doc: "One call of the token API; `refresh` has the same keys.",
    fields: &[
        required("request", Kind::Section(&REQUEST), "What is sent."),
        field("response", Kind::Section(&RESPONSE), "the definition's", "How the reply is read."),
    ],
};

/// `providers.NAME.issue.request:`.
pub(crate) static REQUEST: Shape = Shape {
    name: "providers.NAME.issue.request",
    doc: "What is sent. Exactly one of `path` and `url`, at most one of `json` and `form`. Values are templates over \
          `credentials.*`, `params.*`, `base_url`, `environment`, `refresh_token`, `access_token`, `idempotency_key`, `nonce`, \
          `uuid`, `now_unix` and `now_millis`; a field that comes out empty is left out.",
    fields: &[
        field("method", Kind::Choice(&["GET", "POST", "PUT"]), "`POST`", "The HTTP method."),
        field(
            "path",
            Kind::Scalar(&URL_PATH),
            "",
            "Joined to the base URL; a template over `params.*`, `base_url` and `environment`.",
        ),
        field("url", Kind::Scalar(&TEMPLATE), "", "A whole URL; a template over the same."),
        field("headers", TEMPLATES, "", "Headers."),
        field("query", TEMPLATES, "", "The URL's query."),
        field(
            "basic",
            Kind::Section(&BASIC),
            "",
            "HTTP Basic authentication; left out where the username comes out empty.",
        ),
        field("json", Kind::Json, "", "A JSON body; every text in it is a template."),
        field("form", TEMPLATES, "", "A form body."),
    ],
};

/// `providers.NAME.issue.request.basic:`.
pub(crate) static BASIC: Shape = Shape {
    name: "providers.NAME.issue.request.basic",
    doc: "HTTP Basic authentication (RFC 7617).",
    fields: &[
        required("username", Kind::Scalar(&TEMPLATE), "A template."),
        required("password", Kind::Scalar(&super::scalar::HIDDEN), "A template."),
        field("form_encoded", Kind::Scalar(&BOOL), "`false`", "Form-encode both first (RFC 6749, 2.3.1)."),
    ],
};

/// `providers.NAME.response:`, also of an operation.
pub(crate) static RESPONSE: Shape = Shape {
    name: "providers.NAME.response",
    doc: "How a reply is read. Where several pointers stand, the first that leads to something counts.",
    fields: &[
        field(
            "success",
            Kind::Section(&SUCCESS),
            "status 200 or 201",
            "When a reply is a success; all must hold.",
        ),
        field(
            "token",
            POINTERS,
            "",
            "Where the access token stands. It must be given here or in the operation.",
        ),
        field("missing_token", CLASS, "`malformed`", "What a success without a token means."),
        field("token_type", POINTERS, "always `Bearer`", "Where the token's type stands."),
        field("refresh_token", POINTERS, "none", "Where the refresh token stands."),
        field(
            "refresh_lifetime",
            POINTERS,
            "the documented one",
            "Where the refresh token's life in seconds stands.",
        ),
        field(
            "extra",
            Kind::Map("NAME", &Kind::Scalar(&POINTER)),
            "",
            "Further fields that are published under a name.",
        ),
        field(
            "expiry",
            Kind::List(&Kind::Section(&EXPIRY)),
            "the documented `life`",
            "How the expiry is told: the first rule that gives a plausible one.",
        ),
        field(
            "clock",
            POINTERS,
            "the `Date` header",
            "Where the provider tells its own time, in epoch seconds: absolute expiries are taken against it.",
        ),
        field(
            "errors",
            Kind::List(&Kind::Section(&ERROR)),
            "",
            "What failures mean: the first match counts.",
        ),
        field(
            "wait",
            Kind::List(&Kind::Section(&WAIT)),
            "",
            "Headers that tell how long to wait; `Retry-After` is always read.",
        ),
    ],
};

/// `providers.NAME.response.success:`.
pub(crate) static SUCCESS: Shape = Shape {
    name: "providers.NAME.response.success",
    doc: "When a reply is a success; all must hold.",
    fields: &[
        field("status", STATUSES, "`[200, 201]`", "Any of these."),
        field("body", Kind::List(&Kind::Section(&BODY_TEST)), "", "Each of these."),
    ],
};

/// An item of `success.body`.
pub(crate) static BODY_TEST: Shape = Shape {
    name: "providers.NAME.response.success.body",
    doc: "A test on a field of the body; numbers, text and booleans are compared as text.",
    fields: &[
        required("at", Kind::Scalar(&POINTER), "The field."),
        required("values", TEXTS, "Any of these."),
        field("or_absent", Kind::Scalar(&BOOL), "`false`", "Passes also where there is no such field."),
    ],
};

/// An item of `expiry`.
pub(crate) static EXPIRY: Shape = Shape {
    name: "providers.NAME.response.expiry",
    doc: "One way in which an expiry is told: exactly one of the first seven keys. Numbers may come as text.",
    fields: &[
        field("lifetime", Kind::Scalar(&POINTER), "", "A life that counts from before the request was sent."),
        field("epoch", Kind::Scalar(&POINTER), "", "An instant since the Unix epoch."),
        field("datetime", Kind::Scalar(&POINTER), "", "A civil time, in `format` and `zone`."),
        field("rfc3339", Kind::Scalar(&POINTER), "", "An RFC 3339 instant."),
        field("jwt", Kind::Scalar(&NAME), "", "A claim of the access token read as a JWT, such as `exp`."),
        field("fixed", Kind::Scalar(&DURATION), "", "Always this."),
        field(
            "param",
            Kind::Scalar(&NAME),
            "",
            "A duration that the account gives as this param; skipped where that is empty.",
        ),
        field("unit", UNIT, "`s`", "The unit of `lifetime` or `epoch`."),
        field("format", Kind::Scalar(&TEXT), "", "The strptime format of `datetime`."),
        field("zone", Kind::Scalar(&ZONE), "`UTC`", "The time zone of `datetime`."),
    ],
};

/// An item of `errors`.
pub(crate) static ERROR: Shape = Shape {
    name: "providers.NAME.response.errors",
    doc: "What a failing reply means: all given conditions must hold.",
    fields: &[
        field("status", STATUSES, "any", "Any of these."),
        field("at", Kind::Scalar(&POINTER), "", "A field of the body; needs `values`."),
        field("values", TEXTS, "", "It has any of these, compared as text."),
        required("class", CLASS, "Then it means this."),
        field("wait", Kind::Scalar(&DURATION), "", "Wait at least that long."),
        field("hint", Kind::Scalar(&TEXT), "", "What a person should do."),
    ],
};

/// An item of `wait`.
pub(crate) static WAIT: Shape = Shape {
    name: "providers.NAME.response.wait",
    doc: "A header that tells how long to wait.",
    fields: &[
        required("header", Kind::Scalar(&NAME), "Its name."),
        field("unit", UNIT, "`s`", "The unit of its number; fractions are rounded up to whole seconds."),
        field("min", Kind::Scalar(&DURATION), "`0s`", "The least wait taken from it."),
        field("max", Kind::Scalar(&DURATION), "`1h`", "The longest wait taken from it."),
    ],
};
