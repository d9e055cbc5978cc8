use std::error::Error;
use std::io;

/// An error of the HTTP stack and its sources; what is wrapped in an `io::Error` included, which its `source()` skips.
pub fn chain<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    let next = |cause: &'e (dyn Error + 'static)| match cause
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
    {
        Some(inner) => Some(inner as &(dyn Error + 'static)),
        None => cause.source(),
    };
    std::iter::successors(Some(error), move |cause| next(*cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_io_error_wraps_is_found() {
        let tls = rustls::Error::DecryptError;
        let error = io::Error::other(io::Error::other(tls.clone()));
        let found = chain(&error).find_map(|cause| cause.downcast_ref::<rustls::Error>());
        assert_eq!(found, Some(&tls));
    }
}
