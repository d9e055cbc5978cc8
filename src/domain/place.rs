use url::Url;

/// `host:port`, with the scheme's own port where none is given: what may be said of a URL. Userinfo, path and query may
/// hold secrets.
#[must_use]
pub fn host_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    format!("{host}:{}", url.port_or_known_default().unwrap_or(443))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_host_and_port_and_nothing_else() {
        for (url, place) in [
            ("https://user:s3cr3t@api.example.com/s3cr3t?key=s3cr3t#s3cr3t", "api.example.com:443"),
            ("http://LOCALHOST/", "localhost:80"),
            ("http://127.0.0.1:9478/metrics", "127.0.0.1:9478"),
            ("https://[::1]:8443/", "[::1]:8443"),
            ("https://[::1]/", "[::1]:443"),
        ] {
            assert_eq!(host_port(&Url::parse(url).unwrap()), place);
        }
    }
}
