//! URLs of providers: `https`, except to this machine; nothing secret in them.

use url::{Host, Url};

use super::scalar::Refusal;

/// A base URL: no user, no query, no fragment.
pub(super) fn base(text: &str) -> Result<Url, Refusal> {
    let url = endpoint(text).map_err(|refusal| with_scheme(text, refusal))?;
    match url.query() {
        None => Ok(url),
        Some(_) => {
            Err(Refusal::because("a base URL with a query").with_hint("leave out the `?` and what follows"))
        }
    }
}

/// A whole URL of a token API or another server; it may have a query.
pub(super) fn endpoint(text: &str) -> Result<Url, Refusal> {
    let url = web(text)?;
    if url.scheme() == "http" && !is_loopback(&url) {
        return Err(Refusal::because("`http` would send secrets in the clear")
            .with_hint("use `https`; `http` is for this machine only: 127.0.0.0/8, [::1] and localhost"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Refusal::because("a URL with a user name or password")
            .with_hint("secrets go under `credentials`"));
    }
    if url.fragment().is_some() {
        return Err(Refusal::because("a URL with a fragment").with_hint("leave out the `#` and what follows"));
    }
    Ok(url)
}

/// A URL of someone else who is told something; it may have a query.
pub(super) fn outward(text: &str) -> Result<Url, Refusal> {
    endpoint(text).map_err(|refusal| match refusal.message.as_deref() {
        Some(message) if message.contains("user name") => {
            Refusal::because(message).with_hint("leave out what stands before the `@`")
        }
        _ => refusal,
    })
}

/// A server: a scheme, a host, a port.
pub(super) fn server(text: &str) -> Result<Url, Refusal> {
    let url = outward(text).map_err(|refusal| with_scheme(text, refusal))?;
    match url.path() == "/" && url.query().is_none() {
        true => Ok(url),
        false => Err(Refusal::because("an address is a scheme, a host and a port")
            .with_hint("leave out the path, as in `https://vault.example.com:8200`")),
    }
}

/// Any `http` or `https` URL: a proxy, a page of documentation.
pub(super) fn web(text: &str) -> Result<Url, Refusal> {
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(Refusal::because("a URL with a space or a control character"));
    }
    let Ok(url) = Url::parse(text) else {
        return Err(Refusal::EXPECTED);
    };
    match (url.scheme(), url.host()) {
        ("http" | "https", Some(_)) => Ok(url),
        _ => Err(Refusal::EXPECTED.with_hint("it begins with `https://`")),
    }
}

/// The refusal of a host without a scheme says how it is written. Only for values that source lines show.
fn with_scheme(text: &str, refusal: Refusal) -> Refusal {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-:/_".contains(c);
    if text.contains("://") || text.len() > 255 || !text.chars().all(is_plain) {
        return refusal;
    }
    match Url::parse(&format!("http://{text}")) {
        Ok(url) if is_loopback(&url) => refusal.with_hint(format!("write `http://{text}`")),
        Ok(url) if url.host_str().is_some_and(|host| host.contains('.')) => {
            refusal.with_hint(format!("write `https://{text}`"))
        }
        _ => refusal,
    }
}

/// `base` and the path of an operation, the base's own path kept.
pub(super) fn join(base: &Url, path: &str) -> String {
    format!("{}{path}", base.as_str().trim_end_matches('/'))
}

/// A key of `limits.hosts` in the form in which hosts are looked up: `host` or `host:port`, lower case.
pub(super) fn host_key(text: &str) -> Result<String, Refusal> {
    let expected = || Refusal::because("expected `host` or `host:port`");
    if text.contains("://") {
        return Err(expected().with_hint("leave out the scheme, as in \"api.example.com:443\""));
    }
    if text.is_empty() || text.chars().any(|c| c.is_whitespace() || "/?#@\\".contains(c)) {
        return Err(expected());
    }
    let name = |host: &str| match Url::parse(&format!("http://{host}/")) {
        Ok(url) if url.port().is_none() => url.host_str().map(str::to_owned).ok_or_else(expected),
        _ => Err(expected()),
    };
    match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            let port: u16 = port.parse().map_err(|_| expected())?;
            Ok(format!("{}:{port}", name(host)?))
        }
        _ => name(text),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_is_for_this_machine_only() {
        for good in [
            "https://api.example.com",
            "http://127.0.0.1:8080",
            "http://127.9.9.9",
            "http://[::1]:80/x",
            "http://localhost:1/",
        ] {
            assert!(endpoint(good).is_ok(), "{good}");
        }
        for bad in [
            "http://api.example.com",
            "http://192.168.0.1",
            "http://0.0.0.0",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
            "ftp://x",
            "https://",
            "api.example.com",
            "https://user:pass@example.com",
            "https://user@example.com",
            "https://example.com/#x",
            "https://exa mple.com",
            "",
        ] {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_host_without_a_scheme_is_told_how_it_is_written() {
        let hint = |text: &str| base(text).err().and_then(|refusal| refusal.hint);
        for (text, written) in [
            ("api.example.com", "https://api.example.com"),
            ("api.example.com:8443/v1", "https://api.example.com:8443/v1"),
            ("127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("localhost:8080", "http://localhost:8080"),
        ] {
            assert_eq!(hint(text), Some(format!("write `{written}`")), "{text}");
        }
        for text in ["api", "", "user:pass@api.example.com", "api.example.com?key=x"] {
            assert!(!hint(text).is_some_and(|hint| hint.contains("write")), "{text}");
        }
        let hint = server("vault.example.com:8200").err().and_then(|refusal| refusal.hint);
        assert_eq!(hint.as_deref(), Some("write `https://vault.example.com:8200`"));
    }

    #[test]
    fn a_base_path_is_kept() {
        let url = |base: &str| join(&Url::parse(base).unwrap(), "/token");
        assert_eq!(url("https://h/api/1.1"), "https://h/api/1.1/token");
        assert_eq!(url("https://h/api/1.1/"), "https://h/api/1.1/token");
        assert_eq!(url("https://h"), "https://h/token");
    }

    #[test]
    fn hosts_are_looked_up_in_one_form() {
        for (key, expected) in [
            ("API.example.com", "api.example.com"),
            ("127.0.0.1:9999", "127.0.0.1:9999"),
            ("[::1]:443", "[::1]:443"),
            ("[::1]", "[::1]"),
            ("h:80", "h:80"),
        ] {
            assert_eq!(host_key(key).as_deref(), Ok(expected), "{key}");
        }
        for bad in ["", "https://x", "a/b", "a:b", "a:99999", "a b", "u@h", ":80"] {
            assert!(host_key(bad).is_err(), "{bad}");
        }
    }
}
