//! The PEM files of a client: looked at and read off the runtime's workers, as any of them may hang.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustls::ClientConfig;
use zeroize::Zeroizing;

use super::made_of;
use crate::patience::{self, Silent};

/// The largest PEM file; the system's bundle has a quarter of one MiB.
pub(super) const LARGEST: usize = 8 << 20;

/// What stands in one.
pub(super) type Pem = Zeroizing<Vec<u8>>;

/// What the configuration calls the files, for messages.
#[derive(Debug, Clone, Copy)]
pub struct Fields {
    /// The roots.
    pub ca_file: &'static str,
    /// The certificate that a client shows.
    pub cert_file: &'static str,
    /// Its key.
    pub key_file: &'static str,
}

/// A client's own roots and identity (certificate chain, key). Without both it shares the one of the system's roots.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    /// In place of the system's roots.
    pub ca_file: Option<&'a Path>,
    /// Shown to who asks.
    pub identity: Option<&'a (PathBuf, PathBuf)>,
    /// For messages.
    pub fields: Fields,
}

/// Size and modification time of the files; `None` of one that is not there. A client made from others is replaced.
pub type Stamps = [Option<(u64, SystemTime)>; 3];

impl Files<'_> {
    /// What the files look like now.
    ///
    /// # Errors
    /// A file that does not answer, in words.
    pub async fn stamps(&self) -> Result<Stamps, String> {
        let mut stamps = [None; 3];
        for (stamp, file) in stamps.iter_mut().zip(self.named()) {
            let Some((path, field)) = file else { continue };
            let looked_at = path.to_owned();
            let look = move || {
                let found = std::fs::metadata(looked_at).ok()?;
                Some((found.len(), found.modified().ok()?))
            };
            *stamp = patience::answered(path, look).await.map_err(|Silent| silent(path, field))?;
        }
        Ok(stamps)
    }

    /// The configuration for them, without ever blocking the caller.
    ///
    /// # Errors
    /// A file that is missing, hangs or is not what it should be, in words that hold nothing of its content.
    pub async fn config(&self) -> Result<ClientConfig, String> {
        let mut pems = [None, None, None];
        for (pem, file) in pems.iter_mut().zip(self.named()) {
            let Some((path, field)) = file else { continue };
            let looked_at = path.to_owned();
            let content = patience::answered(path, move || patience::read(&looked_at, LARGEST)).await;
            let content = content.map_err(|Silent| silent(path, field))?;
            *pem = Some(content.map_err(|error| worded(&error, field))?);
        }
        made_of(pems, self.fields)
    }

    /// As [`Files::config`], for whoever may block; a file that hangs is waited for, a FIFO is not.
    ///
    /// # Errors
    /// As there.
    pub fn config_now(&self) -> Result<ClientConfig, String> {
        let mut pems = [None, None, None];
        for (pem, file) in pems.iter_mut().zip(self.named()) {
            let Some((path, field)) = file else { continue };
            *pem = Some(patience::read(path, LARGEST).map_err(|error| worded(&error, field))?);
        }
        made_of(pems, self.fields)
    }

    /// With the name that each has in the configuration.
    fn named(&self) -> [Option<(&Path, &'static str)>; 3] {
        let Fields { ca_file, cert_file, key_file } = self.fields;
        [
            self.ca_file.map(|path| (path, ca_file)),
            self.identity.map(|(certificate, _)| (certificate.as_path(), cert_file)),
            self.identity.map(|(_, key)| (key.as_path(), key_file)),
        ]
    }
}

fn silent(path: &Path, field: &str) -> String {
    format!("{field} {} does not answer", path.display())
}

fn worded(error: &io::Error, field: &str) -> String {
    match error.kind() {
        io::ErrorKind::InvalidInput => format!("{field} is not a regular file"),
        kind => format!("{field} cannot be read: {kind}"),
    }
}
