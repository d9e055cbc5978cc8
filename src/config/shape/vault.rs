//! The server that vault sinks and vault secrets use, and how to log in there.

use super::scalar::{PATH, TEXT, URL, VAULT_MOUNT};
use super::{Field, Kind, Shape, field, required};

/// `vault:`.
pub(crate) static VAULT: Shape = Shape {
    name: "vault",
    doc: "The Vault or OpenBao server of vault sinks and vault secrets; needed only where there are such.",
    fields: &[
        required(
            "address",
            Kind::Scalar(&URL),
            "The server, without a path; `https` except for this machine.",
        ),
        field("namespace", Kind::Scalar(&TEXT), "none", "The namespace of everything here, the login too."),
        field(
            "ca_file",
            Kind::Scalar(&PATH),
            "the system's",
            "Root certificates (PEM) in place of the system's.",
        ),
        required(
            "auth",
            Kind::Section(&VAULT_AUTH),
            "How to log in: exactly one way, as in `{ token: { file: /run/secrets/vault-token } }`.",
        ),
    ],
};

/// `vault.auth:`.
pub(crate) static VAULT_AUTH: Shape = Shape {
    name: "vault.auth",
    doc: "How to log in: exactly one of these. A secret here never comes from Vault itself.",
    fields: &[
        field("token", Kind::Secret, "", "A token that someone else looks after; renewed where it can be."),
        field("approle", Kind::Section(&APPROLE), "", "An AppRole."),
        field("kubernetes", Kind::Section(&KUBERNETES_AUTH), "", "The pod's service account."),
        field("jwt", Kind::Section(&JWT), "", "A JWT from somewhere."),
        field("cert", Kind::Section(&CERT), "", "A client certificate."),
    ],
};

/// `vault.auth.approle:`.
pub(crate) static APPROLE: Shape = Shape {
    name: "vault.auth.approle",
    doc: "An AppRole.",
    fields: &[
        required("role_id", Kind::Secret, "The role's id: no secret by itself, but it may come from a file."),
        field("secret_id", Kind::Secret, "none, for roles with `bind_secret_id=false`", "The secret id."),
        mount("`approle`"),
    ],
};

/// `vault.auth.kubernetes:`.
pub(crate) static KUBERNETES_AUTH: Shape = Shape {
    name: "vault.auth.kubernetes",
    doc: "The pod's service account.",
    fields: &[
        required("role", Kind::Scalar(&TEXT), "The role."),
        field("jwt", Kind::Secret, "the pod's own, from its usual file", "The service account's token."),
        mount("`kubernetes`"),
    ],
};

/// `vault.auth.jwt:`.
pub(crate) static JWT: Shape = Shape {
    name: "vault.auth.jwt",
    doc: "A JWT from somewhere.",
    fields: &[
        required("jwt", Kind::Secret, "The JWT; it is read again for each login."),
        field("role", Kind::Scalar(&TEXT), "the mount's default role", "The role."),
        mount("`jwt`"),
    ],
};

/// `vault.auth.cert:`.
pub(crate) static CERT: Shape = Shape {
    name: "vault.auth.cert",
    doc: "A client certificate.",
    fields: &[
        required("cert_file", Kind::Scalar(&PATH), "The certificate (PEM)."),
        required("key_file", Kind::Scalar(&PATH), "Its key (PEM)."),
        field("name", Kind::Scalar(&TEXT), "any that fits", "The role's name."),
        mount("`cert`"),
    ],
};

const fn mount(default: &'static str) -> Field {
    field("mount", Kind::Scalar(&VAULT_MOUNT), default, "Where the login method is mounted.")
}
