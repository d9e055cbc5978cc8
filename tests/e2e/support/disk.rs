//! What a disk may hold after a loss of power: a model that is told each system call, and gives every state that the calls
//! so far allow.
//!
//! It promises less than any usual file system, so what holds here holds there:
//!
//! - A file's bytes and mode count from its own fsync. Until then it holds what it held at the one before (nothing, if there was
//!   none), the new bytes, half of them, zeros in their number, or the new half and the old rest.
//! - A name (made, renamed, removed) counts from the fsync of its folder. Until then each of the changes has happened or
//!   not, in any combination; a rename itself is one change. A file's fsync keeps no name, a folder's no bytes.
//!
//! Under each combination of names, each state of each file occurs; the states of several files, or of folders in
//! it, are not multiplied by each other.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::tracer::Call;

/// The folders below `root` that are watched, as the agent sees them and as they may come back.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    root: PathBuf,
    watched: Vec<PathBuf>,
    nodes: Vec<Node>,
    /// Device and inode of each.
    known: HashMap<(u64, u64), usize>,
}

#[derive(Debug, Clone)]
enum Node {
    File { now: Bytes, synced: Option<Bytes> },
    Folder { now: Names, synced: Names, pending: Vec<Change> },
    Link(String),
}

/// Content and mode.
type Bytes = (Vec<u8>, u32);
type Names = BTreeMap<String, usize>;

#[derive(Debug, Clone)]
enum Change {
    Put(String, usize),
    Take(String),
    Move(String, String, usize),
}

/// What stands under a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Tree {
    File(Vec<u8>, u32),
    Folder(BTreeMap<String, Tree>),
    Link(String),
}

/// Of so many pending changes of a folder every combination is tried; of more, the first so many, all but one, and each alone.
const ALL_OF: usize = 12;

impl Disk {
    /// The folders with these names below `root`, which are there and empty, or are not there.
    pub(crate) fn new(root: &Path, watched: &[&str]) -> Self {
        let root = root.canonicalize().unwrap();
        let watched = watched.iter().map(|name| root.join(name)).collect();
        let folder = Node::Folder { now: Names::new(), synced: Names::new(), pending: Vec::new() };
        let mut disk = Self { root, watched, nodes: vec![folder], known: HashMap::new() };
        let found = std::fs::metadata(&disk.root).unwrap();
        disk.known.insert((found.dev(), found.ino()), 0);
        for path in disk.watched.clone().into_iter().filter(|path| path.exists()) {
            assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0, "{}", path.display());
            disk.enter(&path, Node::Folder { now: Names::new(), synced: Names::new(), pending: Vec::new() });
        }
        disk.sync(0);
        disk
    }

    /// Whether the call has to do with a watched folder and could change or sync something.
    pub(crate) fn concerns(&self, call: &Call) -> bool {
        let changes = match call.name {
            "openat" => {
                call.args[2] & u64::from((nix::libc::O_CREAT | nix::libc::O_TRUNC).cast_unsigned()) != 0
            }
            "read" | "pread64" | "readv" | "preadv" | "close" | "stat" | "fstat" | "lstat" | "newfstatat"
            | "statx" | "readlink" | "readlinkat" | "getdents64" | "flock" | "access" | "faccessat"
            | "faccessat2" | "fchown" | "socket" | "connect" | "recvfrom" | "recvmsg" | "accept4"
            | "shutdown" | "sendto" | "sendmsg" => false,
            _ => true,
        };
        // Above the watched folders only what makes their names last.
        let is_ours = |path: &PathBuf| {
            self.watched.iter().any(|folder| path.starts_with(folder))
                || (matches!(call.name, "fsync" | "fdatasync") && *path == self.root)
        };
        changes && call.objects().iter().any(is_ours)
    }

    /// What the call has done; panics at one that it does not know, so that nothing is missed.
    pub(crate) fn apply(&mut self, call: &Call, result: i64) {
        if result < 0 || !self.concerns(call) {
            return;
        }
        match call.name {
            "openat" => self.open(call, result),
            "pwrite64" => {
                let length = usize::try_from(result).unwrap();
                let (bytes, at) = (call.bytes(1, length), usize::try_from(call.args[3]).unwrap());
                let (content, _) = self.file(call);
                content.resize(content.len().max(at + length), 0);
                content[at..at + length].copy_from_slice(&bytes);
            }
            "ftruncate" => {
                let length = usize::try_from(call.args[1]).unwrap();
                self.file(call).0.resize(length, 0);
            }
            "fallocate" => assert_eq!(call.args[1], 1, "space is reserved, the size kept"),
            "fchmod" => {
                let mode = u32::try_from(call.args[1] & 0o7777).unwrap();
                // Of folders it is not kept: the next start mends it.
                if let Node::File { now, .. } =
                    &mut self.nodes[self.known[&call.identity(call.args[0].cast_signed())]]
                {
                    now.1 = mode;
                }
            }
            "fsync" | "fdatasync" => self.sync(self.known[&call.identity(call.args[0].cast_signed())]),
            "mkdirat" => {
                let node = Node::Folder { now: Names::new(), synced: Names::new(), pending: Vec::new() };
                self.enter(&call.path(0, 1), node);
            }
            "symlinkat" => {
                self.enter(&call.path(1, 2), Node::Link(call.text(0)));
            }
            "unlinkat" => self.change(&call.path(0, 1), |name, _| Change::Take(name)),
            "renameat" => {
                let (from, to) = (call.path(0, 1), call.path(2, 3));
                assert_eq!(from.parent(), to.parent(), "within one folder");
                let to = to.file_name().unwrap().to_str().unwrap().to_owned();
                self.change(&from, |name, node| Change::Move(name, to, node));
            }
            other => panic!("the model of the disk does not know {other} {:?}", call.objects()),
        }
    }

    /// All that may be below the folder `name` after a loss of power now; and whether they are all of them.
    pub(crate) fn states(&self, name: &str) -> (BTreeSet<Tree>, bool) {
        let mut whole = true;
        let Node::Folder { now, .. } = &self.nodes[0] else { unreachable!() };
        // Above it everything was synced when it was made; where not, it may be missing.
        let mut states = BTreeSet::new();
        for names in self.combinations(0, &mut whole) {
            match names.get(name) {
                Some(node) => states.extend(self.trees(*node, name, &mut whole)),
                None => {
                    states.insert(Tree::Folder(BTreeMap::new()));
                }
            }
        }
        assert!(now.contains_key(name) || states.len() == 1);
        (states, whole)
    }

    /// What the agent sees below it.
    pub(crate) fn now(&self, name: &str) -> Tree {
        let Node::Folder { now, .. } = &self.nodes[0] else { unreachable!() };
        now.get(name).map_or_else(|| Tree::Folder(BTreeMap::new()), |node| self.tree_now(*node))
    }

    fn open(&mut self, call: &Call, result: i64) {
        let (path, identity) = (call.path(0, 1), call.identity(result));
        if let Some(node) = self.find(&path) {
            if call.args[2] & u64::from(nix::libc::O_TRUNC.cast_unsigned()) != 0
                && let Node::File { now, .. } = &mut self.nodes[node]
            {
                now.0.clear();
            }
            return;
        }
        let mode = std::fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o7777;
        let node = self.enter(&path, Node::File { now: (Vec::new(), mode), synced: None });
        self.known.insert(identity, node);
    }

    /// A new node under that path.
    fn enter(&mut self, path: &Path, node: Node) -> usize {
        let number = self.nodes.len();
        self.nodes.push(node);
        // Made this instant by a thread that waits for us, or there from the start.
        let found = std::fs::symlink_metadata(path).unwrap();
        self.known.insert((found.dev(), found.ino()), number);
        self.change(path, |name, _| Change::Put(name, number));
        number
    }

    /// A change of the names in the folder of `path`, made from the last name and what stands there.
    fn change(&mut self, path: &Path, change: impl FnOnce(String, usize) -> Change) {
        let folder = self.find(path.parent().unwrap()).unwrap_or_else(|| panic!("{}", path.display()));
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Node::Folder { now, pending, .. } = &mut self.nodes[folder] else { panic!("{}", path.display()) };
        let there = now.get(&name).copied().unwrap_or(usize::MAX);
        let change = change(name, there);
        change.make(now);
        pending.push(change);
    }

    fn find(&self, path: &Path) -> Option<usize> {
        let mut node = 0;
        for part in path.strip_prefix(&self.root).ok()?.components() {
            let Node::Folder { now, .. } = &self.nodes[node] else { return None };
            node = *now.get(part.as_os_str().to_str()?)?;
        }
        Some(node)
    }

    /// The file that the call's descriptor is.
    fn file(&mut self, call: &Call) -> &mut Bytes {
        match &mut self.nodes[self.known[&call.identity(call.args[0].cast_signed())]] {
            Node::File { now, .. } => now,
            other => panic!("{} of {other:?}", call.name),
        }
    }

    fn sync(&mut self, node: usize) {
        match &mut self.nodes[node] {
            Node::File { now, synced } => *synced = Some(now.clone()),
            Node::Folder { now, synced, pending } => {
                synced.clone_from(now);
                pending.clear();
            }
            Node::Link(_) => {}
        }
    }

    fn tree_now(&self, node: usize) -> Tree {
        match &self.nodes[node] {
            Node::File { now: (content, mode), .. } => Tree::File(content.clone(), *mode),
            Node::Folder { now, .. } => {
                Tree::Folder(now.iter().map(|(name, node)| (name.clone(), self.tree_now(*node))).collect())
            }
            Node::Link(text) => Tree::Link(text.clone()),
        }
    }

    fn trees(&self, node: usize, name: &str, whole: &mut bool) -> Vec<Tree> {
        if is_temporary(name) {
            // Whatever it holds, it goes.
            return vec![self.tree_now(node)];
        }
        match &self.nodes[node] {
            Node::File { now, synced } => files(now, synced.as_ref()),
            Node::Link(text) => vec![Tree::Link(text.clone())],
            Node::Folder { now, .. } => {
                let mut trees = Vec::new();
                for names in self.combinations(node, whole) {
                    let is_whole = names == *now;
                    let below: Vec<(String, Vec<Tree>)> = names
                        .into_iter()
                        .map(|(name, node)| {
                            let mut trees = self.trees(node, &name, whole);
                            let is_folder = matches!(self.nodes[node], Node::Folder { .. });
                            if is_folder && !is_whole && trees.len() > 2 {
                                trees.drain(1..trees.len() - 1);
                            }
                            (name, trees)
                        })
                        .collect();
                    let most = below.iter().map(|(_, trees)| trees.len()).max().unwrap_or(1);
                    trees.extend((0..most).map(|number| {
                        let pick = |(name, trees): &(String, Vec<Tree>)| {
                            (name.clone(), trees[number % trees.len()].clone())
                        };
                        Tree::Folder(below.iter().map(pick).collect())
                    }));
                }
                trees
            }
        }
    }

    fn combinations(&self, node: usize, whole: &mut bool) -> BTreeSet<Names> {
        let Node::Folder { synced, pending, .. } = &self.nodes[node] else { unreachable!() };
        let count = pending.len();
        let made = |is_made: &dyn Fn(usize) -> bool| (0..count).filter(|at| is_made(*at)).collect::<Vec<_>>();
        let mut chosen: BTreeSet<Vec<usize>> = BTreeSet::new();
        if count <= ALL_OF {
            chosen.extend((0..1_usize << count).map(|mask| made(&|at| mask >> at & 1 == 1)));
        } else {
            *whole = false;
            for number in 0..=count {
                chosen.extend([made(&|at| at < number), made(&|at| at != number), made(&|at| at == number)]);
            }
        }
        let apply = |chosen: Vec<usize>| {
            let mut names = synced.clone();
            chosen.into_iter().for_each(|at| pending[at].make(&mut names));
            names
        };
        chosen.into_iter().map(apply).collect()
    }
}

impl Change {
    fn make(&self, names: &mut Names) {
        match self {
            Self::Put(name, node) => {
                names.insert(name.clone(), *node);
            }
            Self::Take(name) => {
                names.remove(name);
            }
            Self::Move(from, to, node) => {
                names.remove(from);
                names.insert(to.clone(), *node);
            }
        }
    }
}

/// What a file may hold.
fn files((now, mode): &Bytes, synced: Option<&Bytes>) -> Vec<Tree> {
    if synced.is_some_and(|(content, old)| content == now && old == mode) {
        return vec![Tree::File(now.clone(), *mode)];
    }
    if let Some((_, old_mode)) = synced.filter(|(content, _)| content == now) {
        return vec![Tree::File(now.clone(), *old_mode), Tree::File(now.clone(), *mode)];
    }
    let (old, old_mode) = synced.map_or((&[][..], *mode), |(content, mode)| (content.as_slice(), *mode));
    let half = &now[..now.len() / 2];
    let mixed = [half, old.get(half.len()..).unwrap_or_default()].concat();
    let all = [
        Tree::File(old.to_vec(), old_mode),
        Tree::File(now.clone(), *mode),
        Tree::File(now.clone(), old_mode),
        Tree::File(half.to_vec(), old_mode),
        Tree::File(vec![0; now.len()], *mode),
        Tree::File(mixed, *mode),
    ];
    BTreeSet::from(all).into_iter().collect()
}

/// Names of what is not delivered yet.
fn is_temporary(name: &str) -> bool {
    let half = ["..renewd-tmp.", renewd::atomic::TEMPORARY_PREFIX];
    half.iter().any(|prefix| name.starts_with(prefix)) || ["..data_tmp", "..link_tmp"].contains(&name)
}

impl Tree {
    /// The tree of a real folder.
    pub(crate) fn read(path: &Path) -> Self {
        let found = std::fs::symlink_metadata(path).unwrap();
        if found.is_symlink() {
            Self::Link(std::fs::read_link(path).unwrap().to_str().unwrap().to_owned())
        } else if found.is_dir() {
            let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
            Self::Folder(
                entries
                    .map(|entry| (entry.file_name().to_str().unwrap().to_owned(), Self::read(&entry.path())))
                    .collect(),
            )
        } else {
            Self::File(std::fs::read(path).unwrap(), found.permissions().mode() & 0o7777)
        }
    }

    /// Makes it real, under a path where nothing is.
    pub(crate) fn make(&self, path: &Path) {
        match self {
            Self::File(content, mode) => {
                std::fs::write(path, content).unwrap();
                std::fs::set_permissions(path, PermissionsExt::from_mode(*mode)).unwrap();
            }
            Self::Folder(entries) => {
                std::fs::create_dir(path).unwrap();
                entries.iter().for_each(|(name, tree)| tree.make(&path.join(name)));
            }
            Self::Link(text) => std::os::unix::fs::symlink(text, path).unwrap(),
        }
    }

    /// The file under that path, links followed (they are all relative and lead down here).
    pub(crate) fn file(&self, path: &str) -> Option<(&[u8], u32)> {
        let mut at = self;
        let mut ahead: Vec<&str> = path.rsplit('/').collect();
        while let Some(name) = ahead.pop() {
            let Self::Folder(entries) = at else { return None };
            match entries.get(name)? {
                Self::Link(text) => ahead.extend(text.rsplit('/')),
                found => at = found,
            }
        }
        if let Self::File(content, mode) = at { Some((content, *mode)) } else { None }
    }

    /// The same without what may differ and does not matter: how many temporary files there are, and what they hold.
    pub(crate) fn outline(&self) -> Self {
        let Self::Folder(entries) = self else { return self.clone() };
        let outline = |(name, tree): (&String, &Self)| match is_temporary(name) {
            true => ("temporary".to_owned(), Self::Link(String::new())),
            false => (name.clone(), tree.outline()),
        };
        Self::Folder(entries.iter().map(outline).collect())
    }

    /// How much there is of it.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::File(content, _) => 1 + content.len(),
            Self::Folder(entries) => 1 + entries.values().map(Self::size).sum::<usize>(),
            Self::Link(_) => 1,
        }
    }

    /// Whether there is a temporary file or folder in it.
    pub(crate) fn has_temporary(&self) -> bool {
        let Self::Folder(entries) = self else { return false };
        entries.iter().any(|(name, tree)| is_temporary(name) || tree.has_temporary())
    }
}
