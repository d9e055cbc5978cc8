//! Who else may write a configuration: it decides where credentials are sent and which commands are run.
//!
//! Root, this user and whoever owns the main file are trusted. Told is what everybody may write, and what somebody else
//! owns: the files, the folders of `include` patterns (a new file there is read), and each folder above them in which a
//! name can be given to something else.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, statvfs};

use super::model::Config;
use super::problem::Problem;

const WRITABLE: u32 = 0o002;
/// Only a thing's owner, or the folder's, may take its name away.
const STICKY: u32 = 0o1000;
/// What a user namespace shows of owners outside of it, such as root above a container's folders.
const UNKNOWN: u32 = 65_534;
const MEANING: &str = "decides where credentials are sent, what is delivered and which commands are run";

/// What is doubtful, each place once.
pub(super) fn doubts(config: &Config) -> Vec<Problem> {
    let trusted = Trusted::of(&config.path);
    let mut places: BTreeSet<(PathBuf, Role)> = BTreeSet::new();
    for file in &config.files {
        place(file, Role::File, &mut places);
    }
    for folder in &config.include_folders {
        place(folder, Role::Include, &mut places);
    }
    // Of two roles of one folder the first says more.
    let mut told: BTreeSet<&Path> = BTreeSet::new();
    let doubt = |(path, role): &(PathBuf, Role)| doubt(path, *role, trusted);
    places.iter().filter_map(|place| told.insert(&place.0).then(|| doubt(place)).flatten()).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    /// It is read.
    File,
    /// Whatever file comes into it is read.
    Include,
    /// What is read stands somewhere below.
    Above,
}

#[derive(Debug, Clone, Copy)]
struct Trusted([u32; 3]);

impl Trusted {
    fn of(main: &Path) -> Self {
        let us = rustix::process::geteuid().as_raw();
        Self([0, us, std::fs::metadata(main).map_or(us, |main| main.uid())])
    }
}

/// The path as it is written and with its links resolved, and what stands above both.
fn place(path: &Path, role: Role, places: &mut BTreeSet<(PathBuf, Role)>) {
    let resolved = path.canonicalize().ok();
    for path in [Some(path.to_owned()), resolved].into_iter().flatten() {
        places.extend(path.ancestors().skip(1).map(|above| (above.to_owned(), Role::Above)));
        places.insert((path, role));
    }
}

fn doubt(path: &Path, role: Role, trusted: Trusted) -> Option<Problem> {
    let found = path.metadata().ok()?;
    let stranger = !trusted.0.contains(&found.uid()) && (role != Role::Above || found.uid() != UNKNOWN);
    let everybody = found.mode() & WRITABLE != 0 && (role != Role::Above || found.mode() & STICKY == 0);
    if !(stranger || everybody) || is_volume(path) {
        return None;
    }
    let what = match role {
        Role::File => "it",
        Role::Include => "what is in it, and `include` reads that,",
        Role::Above => "what stands below it, and the configuration does,",
    };
    Some(match everybody {
        true => Problem::of_file(path, format!("every user can write here: who writes {what} {MEANING}"))
            .with_hint(format!("`chmod o-w {}`", path.display())),
        false => {
            let uid = found.uid();
            Problem::of_file(path, format!("belongs to uid {uid}: who writes {what} {MEANING}"))
                .with_hint(owned(path, &found))
        }
    })
}

fn owned(path: &Path, found: &Metadata) -> String {
    let kind = if found.is_dir() { "folder" } else { "file" };
    format!("`chown root {}`, or give the {kind} to whoever owns the main configuration file", path.display())
}

/// A mounted ConfigMap is open to all by its mode, and nobody can write it. That it is read-only to us alone says nothing: a
/// unit's sandbox makes all of the machine so.
fn is_volume(path: &Path) -> bool {
    let of_kubelet = |link: Metadata| link.is_symlink() && link.uid() == 0;
    std::fs::symlink_metadata(path.join("..data")).is_ok_and(of_kubelet)
        && statvfs(path).is_ok_and(|system| system.f_flag.contains(StatVfsMountFlags::RDONLY))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown};

    use super::*;

    /// What is said of a configuration with an include folder, once `change` has been made to it.
    fn said(change: impl Fn(&Path)) -> Vec<String> {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("conf.d")).unwrap();
        let write = |name: &str, text: &str| {
            let mut file = std::fs::File::create(root.join(name)).unwrap();
            std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
            file.set_permissions(PermissionsExt::from_mode(0o644)).unwrap();
        };
        write("renewd.yaml", "accounts: {}\ninclude: [conf.d/*.yaml]\n");
        write("conf.d/a.yaml", "accounts: {}\n");
        std::fs::set_permissions(root.join("conf.d"), PermissionsExt::from_mode(0o755)).unwrap();
        change(&root);
        let loaded = crate::config::load(&root.join("renewd.yaml"), &|_| None, &[], &|_| None).unwrap();
        let here = format!("{}/", root.display());
        let lines = loaded.warnings.iter().map(|problem| problem.to_string().replace(&here, ""));
        lines.map(|line| line.replace(&root.display().to_string(), ".")).collect()
    }

    fn mode(path: PathBuf, mode: u32) {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_configuration_that_nobody_else_can_write_is_not_doubted() {
        assert_eq!(said(|_| {}), Vec::<String>::new());
        // Who is in the group was put there.
        assert_eq!(said(|root| mode(root.join("conf.d"), 0o2775)), Vec::<String>::new());
        assert_eq!(said(|root| mode(root.to_owned(), 0o1777)), Vec::<String>::new(), "as /tmp is");
    }

    #[test]
    fn what_everybody_can_write_is_told_once_with_what_to_do() {
        let file = said(|root| mode(root.join("conf.d/a.yaml"), 0o666));
        assert_eq!(
            file,
            [
                "conf.d/a.yaml: every user can write here: who writes it decides where credentials are sent, what is \
              delivered and which commands are run\n  hint: `chmod o-w conf.d/a.yaml`"
            ]
        );
        for bits in [0o777, 0o1777] {
            let folder = said(|root| mode(root.join("conf.d"), bits));
            assert_eq!(folder.len(), 1, "{folder:?}");
            assert!(folder[0].starts_with("conf.d: every user can write here"), "{folder:?}");
        }
        let above = said(|root| mode(root.to_owned(), 0o777));
        assert_eq!(above.len(), 1, "{above:?}");
        assert!(above[0].contains("what stands below it"), "{above:?}");
    }

    #[test]
    fn what_belongs_to_somebody_else_is_told_unless_the_main_file_does_too() {
        if !rustix::process::geteuid().is_root() {
            return; // only root gives files away
        }
        let give = |path: PathBuf| chown(path, Some(12_345), None).unwrap();
        let file = said(|root| give(root.join("conf.d/a.yaml")));
        assert_eq!(file.len(), 1, "{file:?}");
        assert!(file[0].starts_with("conf.d/a.yaml: belongs to uid 12345: "), "{file:?}");
        let folder = said(|root| give(root.join("conf.d")));
        assert!(folder[0].starts_with("conf.d: belongs to uid 12345: "), "{folder:?}");
        let all = said(|root| {
            ["conf.d", "conf.d/a.yaml", "renewd.yaml"].map(|name| give(root.join(name))).into_iter().collect()
        });
        assert_eq!(all, Vec::<String>::new());
    }
}
