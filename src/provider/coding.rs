//! What a reply's body is wrapped in: `Content-Encoding` of RFC 9110 section 8.4. Pure.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use zeroize::Zeroizing;

use super::errors;
use super::response::{RawReply, Reading};

/// The largest body that is read, and the largest that may come out of it.
pub(super) const LARGEST_BODY: usize = 256 * 1024;

/// The one that is asked for.
pub(super) const GZIP: &str = "gzip";

/// More of them around one body mean nothing good.
const MOST: usize = 2;

/// Why a body cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Undecoded {
    /// Nobody has asked for that coding.
    Unknown(String),
    /// It is not what its header says, or breaks off.
    Broken,
    TooLarge,
}

/// The body without its codings; the last of them is taken off first.
pub(super) fn decoded(reply: &RawReply) -> Result<Zeroizing<Vec<u8>>, Undecoded> {
    let mut body = reply.body.clone();
    let codings: Vec<&str> = reply
        .headers("content-encoding")
        .flat_map(|value| value.split(','))
        .map(str::trim_ascii)
        .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"))
        .collect();
    if body.is_empty() || codings.is_empty() {
        return Ok(body);
    }
    if codings.len() > MOST {
        return Err(Undecoded::Unknown(String::new()));
    }
    for coding in codings.iter().rev() {
        // Section 8.4.1: case-insensitive. Section 8.4.1.3: `x-gzip` is the same.
        if !["gzip", "x-gzip"].iter().any(|known| coding.eq_ignore_ascii_case(known)) {
            return Err(Undecoded::Unknown((*coding).to_owned()));
        }
        body = unzipped(&body)?;
    }
    Ok(body)
}

/// In one allocation that never grows, so that no copy of a token stays behind.
fn unzipped(body: &[u8]) -> Result<Zeroizing<Vec<u8>>, Undecoded> {
    let mut plain = Zeroizing::new(Vec::with_capacity(LARGEST_BODY + 64));
    let limited = MultiGzDecoder::new(body).take(LARGEST_BODY as u64 + 1).read_to_end(&mut plain);
    match limited {
        _ if plain.len() > LARGEST_BODY => Err(Undecoded::TooLarge),
        Ok(_) => Ok(plain),
        Err(_) => Err(Undecoded::Broken),
    }
}

impl Undecoded {
    /// For people. A coding is named where it is a short word, and nothing that was sent.
    pub(super) fn words(&self, reading: &Reading<'_>) -> String {
        let is_word = |coding: &str| {
            (1..=12).contains(&coding.len())
                && coding.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !errors::repeats(reading, coding)
        };
        match self {
            Self::Unknown(coding) if is_word(coding) => {
                format!("the reply is coded as `{}`, which was not asked for", coding.to_ascii_lowercase())
            }
            Self::Unknown(_) => "the reply is coded in a way that was not asked for".to_owned(),
            Self::Broken => "the reply's body cannot be decoded".to_owned(),
            Self::TooLarge => "the reply is longer than 256 KiB".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::testing::raw;

    /// gzip of `GOOD` of the client's tests, and of 16 MiB of spaces.
    const GOOD: &[u8] = include_bytes!("client/testdata/good.gz");
    const BOMB: &[u8] = include_bytes!("client/testdata/bomb.gz");

    fn plain(codings: &[&str], body: &[u8]) -> Result<String, Undecoded> {
        let headers: Vec<_> = codings.iter().map(|coding| ("Content-Encoding", *coding)).collect();
        decoded(&raw(200, &headers, body)).map(|body| String::from_utf8(body.to_vec()).unwrap())
    }

    #[test]
    fn a_coding_is_known_in_any_case_and_by_its_old_name() {
        for coding in ["gzip", "GZIP", "Gzip", "x-gzip", "X-GZIP", " gzip ", "identity, gzip", "gzip,"] {
            assert!(plain(&[coding], GOOD).unwrap().contains("access_token"), "{coding}");
        }
        for coding in ["", "identity", "Identity"] {
            assert_eq!(plain(&[coding], b"{}").unwrap(), "{}", "{coding}");
        }
        assert_eq!(plain(&["gzip"], b"").unwrap(), "", "an empty body is just empty");
    }

    #[test]
    fn what_was_coded_twice_is_decoded_twice_and_within_the_same_cap() {
        let mut twice = flate2::read::GzEncoder::new(GOOD, flate2::Compression::fast());
        let mut body = Vec::new();
        twice.read_to_end(&mut body).unwrap();
        for codings in [&["gzip, x-gzip"][..], &["gzip", "gzip"]] {
            assert!(plain(codings, &body).unwrap().contains("access_token"), "{codings:?}");
        }
        assert_eq!(plain(&["gzip"], BOMB), Err(Undecoded::TooLarge));
        assert_eq!(plain(&["gzip, gzip, gzip"], &body), Err(Undecoded::Unknown(String::new())));
    }

    #[test]
    fn what_is_not_what_it_says_is_no_body() {
        assert_eq!(plain(&["gzip"], b"{}"), Err(Undecoded::Broken));
        assert_eq!(plain(&["gzip"], &GOOD[..GOOD.len() - 4]), Err(Undecoded::Broken));
        assert_eq!(plain(&["br"], b"{}"), Err(Undecoded::Unknown("br".to_owned())));
        assert_eq!(plain(&["gzip, br"], GOOD), Err(Undecoded::Unknown("br".to_owned())));
    }
}
