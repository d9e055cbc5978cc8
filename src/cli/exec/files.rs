use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::atomic::{self, Attributes, Folder, SyncLevel};
use crate::cli::exit::Exit;
use crate::cli::report::Failure;
use crate::domain::AccountId;

/// For the owner alone.
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// A private folder with a file for each account's token; gone when this is dropped.
pub(super) struct Files {
    folder: Folder,
    path: PathBuf,
    is_made: bool,
    written: Vec<AccountId>,
}

impl Files {
    /// Opens the folder, or makes it.
    ///
    /// # Errors
    /// Others may look into it, or could swap it.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let refused = || Failure::new(Exit::Failed, format!("cannot put tokens into {}", path.display()));
        let whole = std::path::absolute(path).map_err(|error| refused().because(&error))?;
        let is_made = std::fs::symlink_metadata(&whole).is_err();
        let folder =
            Folder::open_or_create(&whole, FOLDER_MODE).map_err(|error| explained(refused(), &error))?;
        if folder.mode() & 0o077 != 0 || folder.owner() != rustix::process::geteuid().as_raw() {
            return Err(refused()
                .cause("it is not for this user alone")
                .hint("name a folder that is not there yet, or one of your own with mode 0700"));
        }
        Ok(Self { folder, path: whole, is_made, written: Vec::new() })
    }

    /// Where they are.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts a token in place of the one before it.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) fn put(&mut self, account: &AccountId, document: &Value) -> Result<(), Failure> {
        let token = document["access_token"].as_str().unwrap_or_default();
        if !self.written.contains(account) {
            self.written.push(account.clone());
        }
        let attributes = Attributes { mode: FILE_MODE, uid: None, gid: None };
        let written =
            self.folder.replace(OsStr::new(account.as_str()), token.as_bytes(), attributes, SyncLevel::None);
        written.map_err(|error| {
            let failed = Failure::new(Exit::Failed, format!("cannot write the token file of `{account}`"));
            explained(failed, &error)
        })
    }
}

fn explained(failure: Failure, error: &atomic::Error) -> Failure {
    let failure = failure.cause(error.to_string());
    error.hint().into_iter().fold(failure, Failure::hint)
}

impl Drop for Files {
    fn drop(&mut self) {
        for account in &self.written {
            let _ = self.folder.remove(OsStr::new(account.as_str()));
        }
        if self.is_made {
            // Not empty: somebody else uses it too.
            let _ = std::fs::remove_dir(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;

    use super::*;

    #[test]
    fn token_files_are_private_and_gone_in_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        let shop = AccountId::new("shop").unwrap();
        let mut files = Files::open(&path).unwrap();
        for token in ["tok-1", "tok-2"] {
            files.put(&shop, &json!({ "access_token": token })).unwrap();
            assert_eq!(std::fs::read_to_string(path.join("shop")).unwrap(), token);
        }
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join("shop"))), (0o700, 0o600));
        drop(files);
        assert!(!path.exists());
    }

    #[test]
    fn a_folder_that_others_may_look_into_is_refused_and_one_that_was_there_stays() {
        let dir = tempfile::tempdir().unwrap();
        let set = |mode| std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        set(0o755);
        assert!(Files::open(dir.path()).is_err());
        set(0o700);
        drop(Files::open(dir.path()).unwrap());
        assert!(dir.path().exists());
    }
}
