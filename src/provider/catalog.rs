//! The built-in definitions, in the very language that users have for their own.

/// Name and YAML text of each, sorted by name.
#[must_use]
pub fn texts() -> &'static [(&'static str, &'static str)] {
    &[
        ("bizppurio", include_str!("catalog/bizppurio.yaml")),
        ("bizppurio-napi", include_str!("catalog/bizppurio-napi.yaml")),
        ("bizppurio-rcs", include_str!("catalog/bizppurio-rcs.yaml")),
        ("kis", include_str!("catalog/kis.yaml")),
        ("kiwoom", include_str!("catalog/kiwoom.yaml")),
        ("oauth2-client-credentials", include_str!("catalog/oauth2-client-credentials.yaml")),
        ("oauth2-refresh-token", include_str!("catalog/oauth2-refresh-token.yaml")),
        ("portone", include_str!("catalog/portone.yaml")),
        ("portone-v1", include_str!("catalog/portone-v1.yaml")),
        ("rcs-biz-center", include_str!("catalog/rcs-biz-center.yaml")),
    ]
}
