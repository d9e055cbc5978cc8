use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;

const STRANGER: u32 = 12_345;
const PRIVATE: Attributes = Attributes { mode: 0o600, uid: None, gid: None };

/// A folder of ours below `/tmp`, its path free of links.
struct Scratch {
    path: PathBuf,
    _removed_at_the_end: tempfile::TempDir,
}

impl Scratch {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        Self { path, _removed_at_the_end: folder }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn folder(&self, name: &str) -> PathBuf {
        let path = self.at(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.at(name);
        std::io::Write::write_all(&mut std::fs::File::create(&path).unwrap(), content.as_bytes()).unwrap();
        path
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.path).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// Replaces what `path` means.
fn put(path: &Path, content: &str) -> Result<(), Error> {
    let (folder, name) = locate(path, Missing::Refuse)?;
    folder.replace(&name, content.as_bytes(), PRIVATE, SyncLevel::Full)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn a_file_is_made_then_replaced_and_nothing_is_left_over() {
    let scratch = Scratch::new();
    let path = scratch.at("token");
    for content in ["first", "second", ""] {
        put(&path, content).unwrap();
        assert_eq!(read(&path), content);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    }
    assert_eq!(scratch.names(), ["token"]);
}

#[test]
fn mode_owner_and_group_are_as_asked_whatever_the_umask() {
    let scratch = Scratch::new();
    let folder = Folder::open(&scratch.path).unwrap();
    let owner = is_root().then_some(STRANGER);
    let wanted = Attributes { mode: 0o666, uid: owner, gid: owner };
    folder.replace(OsStr::new("token"), b"x", wanted, SyncLevel::None).unwrap();
    let found = folder.look(OsStr::new("token")).unwrap().unwrap();
    assert_eq!(found.mode, 0o666);
    assert!(owner.is_none_or(|uid| (found.uid, found.gid) == (uid, uid)));
}

#[test]
fn a_relative_path_is_refused() {
    assert!(matches!(put(Path::new("token"), "x"), Err(Error::NotAbsolute(_))));
}

#[test]
fn our_own_links_are_followed_and_kept() {
    let scratch = Scratch::new();
    let real = scratch.folder("real/deep");
    symlink("real", scratch.at("relative")).unwrap();
    symlink(&real, scratch.at("absolute")).unwrap();
    symlink("../real/deep/../deep/token", scratch.folder("links").join("token")).unwrap();
    for path in ["relative/deep/token", "absolute/token", "links/token", "relative/../real/./deep/token"] {
        put(&scratch.at(path), path).unwrap();
        assert_eq!(read(&real.join("token")), path);
    }
    assert!(std::fs::symlink_metadata(scratch.at("links/token")).unwrap().is_symlink());
}

#[test]
fn a_strangers_link_is_refused_as_parent_and_as_target() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let real = scratch.folder("real");
    std::fs::create_dir(real.join("below")).unwrap();
    for (link, target) in [("parent", "real"), ("target", "real/token")] {
        symlink(target, scratch.at(link)).unwrap();
        std::os::unix::fs::lchown(scratch.at(link), Some(STRANGER), None).unwrap();
    }
    for path in ["parent/token", "parent/below/token", "target"] {
        let error = put(&scratch.at(path), "x").unwrap_err();
        assert!(matches!(error, Error::ForeignLink { uid: STRANGER, .. }), "{path}: {error}");
    }
    assert!(!real.join("token").exists());
}

#[test]
fn a_strangers_folder_is_refused() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    chown(scratch.folder("theirs"), Some(STRANGER), None).unwrap();
    let error = put(&scratch.at("theirs/token"), "x").unwrap_err();
    assert_eq!(error, Error::ForeignFolder { path: scratch.at("theirs"), uid: STRANGER });
    let below = Folder::open_or_create(&scratch.at("theirs/new"), 0o755).unwrap_err();
    assert!(matches!(below, Error::ForeignFolder { .. }), "nothing is made in it either");
}

#[test]
fn a_folder_open_to_all_is_a_warning() {
    let scratch = Scratch::new();
    let path = scratch.folder("open");
    assert_eq!(Folder::open(&path).unwrap().warning(), None);
    for mode in [0o777, 0o1777] {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        let warning = Folder::open(&path).unwrap().warning();
        assert_eq!(warning, Some(Warning::WorldWritableFolder(path.clone())));
    }
}

#[test]
fn links_in_a_ring_are_an_error() {
    let scratch = Scratch::new();
    symlink("b", scratch.at("a")).unwrap();
    symlink("a", scratch.at("b")).unwrap();
    for path in ["a", "a/token"] {
        assert!(matches!(put(&scratch.at(path), "x"), Err(Error::LinkLoop(_))));
    }
}

#[test]
fn anything_but_a_regular_file_is_named_and_left_alone() {
    let scratch = Scratch::new();
    scratch.folder("folder");
    fifo(&scratch.at("fifo"));
    let socket = std::os::unix::net::UnixListener::bind(scratch.at("socket")).unwrap();
    let mut kinds = vec![("folder", "folder"), ("fifo", "FIFO"), ("socket", "socket")];
    if is_root() && mknodat(CWD, scratch.at("device"), FileType::CharacterDevice, Mode::RUSR, 0x103).is_ok() {
        kinds.push(("device", "character device"));
    }
    for (name, kind) in kinds {
        let path = scratch.at(name);
        let expected = Error::NotAFile { path: path.clone(), kind };
        assert_eq!(put(&path, "x").unwrap_err(), expected);
        let folder = Folder::open(&scratch.path).unwrap();
        assert_eq!(folder.remove(OsStr::new(name)).unwrap_err(), expected);
        assert_eq!(folder.read(OsStr::new(name), 10).unwrap_err(), expected);
        assert_eq!(folder.write_in_place(OsStr::new(name), b"x", PRIVATE).unwrap_err(), expected);
        assert!(path.symlink_metadata().is_ok());
    }
    drop(socket);
    assert!(matches!(put(Path::new("/"), "x"), Err(Error::NotAFile { kind: "folder", .. })));
    assert!(matches!(put(&scratch.at("fifo/token"), "x"), Err(Error::System { .. })), "a file on the way");
}

#[test]
fn what_is_missing_is_refused_or_made_as_asked() {
    let scratch = Scratch::new();
    let path = scratch.at("one/two/token");
    let error = locate(&path, Missing::Refuse).unwrap_err();
    assert!(error.is_absent());
    assert_eq!(
        error.to_string(),
        format!("cannot open the folder `{}`: no such file or directory", scratch.at("one").display())
    );
    let (folder, name) = locate(&path, Missing::Create(0o750)).unwrap();
    assert_eq!((folder.path(), name.as_os_str()), (scratch.at("one/two").as_path(), OsStr::new("token")));
    assert_eq!(folder.mode(), 0o750);
    assert_eq!(std::fs::metadata(scratch.at("one")).unwrap().mode() & 0o777, 0o755);
}

#[test]
fn clean_up_takes_only_left_over_files_of_ours() {
    let scratch = Scratch::new();
    let leftover = ".renewd-tmp.token.0000000000000001";
    scratch.file(leftover, "half a tok");
    scratch.file(".renewd-tmp", "x");
    scratch.file("token", "x");
    scratch.folder(".renewd-tmp.folder");
    fifo(&scratch.at(".renewd-tmp.fifo"));
    symlink("token", scratch.at(".renewd-tmp.link")).unwrap();
    let used = std::fs::File::open(scratch.file(".renewd-tmp.used.1", "x")).unwrap();
    rustix::fs::flock(&used, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    let folder = Folder::open(&scratch.path).unwrap();
    assert_eq!(folder.clean().unwrap(), 1);
    assert!(!scratch.names().contains(&leftover.to_owned()));
    assert_eq!(scratch.names().len(), 6);
    drop(used);
    assert_eq!(folder.clean().unwrap(), 1, "once its maker is gone, it is a left-over too");
}

#[test]
fn a_failed_replacement_leaves_the_old_file_and_no_temporary_one() {
    let scratch = Scratch::new();
    scratch.file("token", "old");
    let folder = Folder::open(&scratch.path).unwrap();
    // Longer than a name may be, so that the rename fails after everything else went well.
    let name = "x".repeat(256);
    assert!(folder.replace(OsStr::new(&name), b"new", PRIVATE, SyncLevel::None).is_err());
    let longest = "y".repeat(255);
    folder.replace(OsStr::new(&longest), b"new", PRIVATE, SyncLevel::None).unwrap();
    assert_eq!(scratch.names(), ["token".to_owned(), longest]);
}

#[test]
fn in_place_keeps_the_inode_and_cuts_a_longer_rest() {
    let scratch = Scratch::new();
    let folder = Folder::open(&scratch.path).unwrap();
    let name = OsStr::new("token");
    let mut inode = None;
    for content in ["a long first content", "short", "", "and longer again"] {
        folder.write_in_place(name, content.as_bytes(), Attributes { mode: 0o640, ..PRIVATE }).unwrap();
        assert_eq!(read(&scratch.at("token")), content);
        let found = std::fs::metadata(scratch.at("token")).unwrap();
        assert_eq!(found.mode() & 0o7777, 0o640);
        assert_eq!(*inode.get_or_insert(found.ino()), found.ino());
    }
}

#[test]
fn in_place_does_not_write_into_what_others_may_have_open() {
    let scratch = Scratch::new();
    let open = scratch.folder("open");
    let precious = scratch.file("precious", "keep");
    std::fs::hard_link(&precious, open.join("token")).unwrap();
    // For all, or for a group.
    for bits in [0o1777, 0o775] {
        std::fs::set_permissions(&open, PermissionsExt::from_mode(bits)).unwrap();
        let folder = Folder::open(&open).unwrap();
        let error = folder.write_in_place(OsStr::new("token"), b"x", PRIVATE).unwrap_err();
        assert_eq!(error, Error::HardLinked(open.join("token")));
        assert_eq!(read(&precious), "keep");
    }
    let folder = Folder::open(&open).unwrap();
    symlink(&precious, open.join("link")).unwrap();
    let error = folder.write_in_place(OsStr::new("link"), b"x", PRIVATE).unwrap_err();
    assert!(matches!(error, Error::NotAFile { kind: "symbolic link", .. }));
    if is_root() {
        let theirs = scratch.file("theirs", "x");
        chown(&theirs, Some(STRANGER), None).unwrap();
        let folder = Folder::open(&scratch.path).unwrap();
        let name = OsStr::new("theirs");
        let error = folder.write_in_place(name, b"x", PRIVATE).unwrap_err();
        assert_eq!(error, Error::ForeignFile { path: theirs, uid: STRANGER });
        folder.write_in_place(name, b"y", Attributes { uid: Some(STRANGER), ..PRIVATE }).unwrap();
    }
}

#[test]
fn a_full_disk_keeps_the_old_content_and_says_so() {
    let scratch = Scratch::new();
    let small = scratch.folder("small");
    let mount = |args: &[&OsStr]| {
        std::process::Command::new(args[0]).args(&args[1..]).status().is_ok_and(|status| status.success())
    };
    let options = ["mount", "-t", "tmpfs", "-o", "size=64k", "none"].map(OsStr::new);
    if !mount(&[&options[..], &[small.as_os_str()]].concat()) {
        eprintln!("skipped: a_full_disk_keeps_the_old_content_and_says_so (no mount here)");
        return;
    }
    let folder = Folder::open(&small).unwrap();
    let large = vec![b'x'; 80 << 10];
    let name = OsStr::new("token");
    folder.replace(name, b"old", PRIVATE, SyncLevel::Full).unwrap();
    let errors = [
        folder.replace(name, &large, PRIVATE, SyncLevel::Full),
        folder.write_in_place(name, &large, PRIVATE),
    ];
    let held = read(&small.join("token"));
    let names = folder.names().unwrap();
    drop(folder);
    assert!(mount(&[OsStr::new("umount"), small.as_os_str()]));
    for error in errors.map(Result::unwrap_err) {
        assert!(error.to_string().ends_with("no space left on device"), "{error}");
        assert!(error.hint().unwrap().contains("the old content stays"));
    }
    assert_eq!((held.as_str(), names), ("old", vec![name.to_owned()]));
}

#[test]
fn a_reader_in_a_tight_loop_sees_whole_contents_only() {
    let scratch = Scratch::new();
    let path = scratch.at("token");
    let content = |number: u32| number.to_string().repeat(700).into_bytes();
    put(&path, std::str::from_utf8(&content(0)).unwrap()).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut looks = 0_u32;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let mut seen = Vec::new();
                std::fs::File::open(&path).unwrap().read_to_end(&mut seen).unwrap();
                let number = std::str::from_utf8(&seen[..seen.len() / 700]).unwrap().parse().unwrap();
                assert_eq!(seen, content(number));
                looks += 1;
            }
            looks
        });
        let folder = Folder::open(&scratch.path).unwrap();
        for number in 1..=2_000 {
            folder.replace(OsStr::new("token"), &content(number), PRIVATE, SyncLevel::None).unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(reader.join().unwrap() > 100);
    });
    assert_eq!(scratch.names(), ["token"]);
}
