//! Containers of the image's files, started by runc as a container engine would start them: what `scripts/image-root` lays out and
//! nothing else, as the user that is said, with a read-only root, no capability and no way to gain one. The network is this
//! machine's, so that the stand-ins are where they are.

use std::cell::Cell;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Instant;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{binary, is_root, secs, skip};
use crate::tools::root;

/// The image's root file system, and what its `Dockerfile` says of running it.
pub(crate) struct Image {
    folder: TempDir,
    pub(crate) env: Vec<String>,
    pub(crate) user: u64,
    pub(crate) entrypoint: Vec<String>,
    pub(crate) arguments: Vec<String>,
    pub(crate) health: Vec<String>,
    count: Cell<u32>,
}

/// A process with its files.
pub(crate) struct Plan {
    pub(crate) root: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<String>,
    pub(crate) user: u64,
    pub(crate) group: u64,
    pub(crate) groups: Vec<u64>,
    pub(crate) mounts: Vec<Mount>,
}

/// A folder of this machine's in a container.
pub(crate) struct Mount {
    pub(crate) from: PathBuf,
    pub(crate) to: String,
    pub(crate) writable: bool,
}

/// A running container, ended with the test.
pub(crate) struct Container {
    id: String,
    state: PathBuf,
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

impl Image {
    /// `None`, noted, where no container can be started.
    pub(crate) fn build(test: &str) -> Option<Self> {
        let has_runc =
            Command::new("runc").arg("--version").output().is_ok_and(|output| output.status.success());
        if !is_root() || !has_runc {
            skip(test, "containers need root and runc");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("renewd-image-").tempdir().unwrap();
        let made = Command::new(root().join("scripts/image-root"))
            .arg(folder.path().join("root"))
            .arg(binary())
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let text = std::fs::read_to_string(root().join("Dockerfile")).unwrap().replace("\\\n", "");
        let last = |word: &str| {
            let rest = text.lines().filter_map(|line| line.strip_prefix(word)?.strip_prefix(' ')).next_back();
            rest.unwrap_or_else(|| panic!("the Dockerfile has no {word}")).to_owned()
        };
        let list = |text: &str| -> Vec<String> { serde_json::from_str(text).unwrap() };
        assert_eq!(last("FROM"), "scratch");
        let user = last("USER");
        let (user, group) = user.split_once(':').unwrap();
        assert_eq!(user, group);
        Some(Self {
            folder,
            env: last("ENV").split(' ').map(str::to_owned).collect(),
            user: user.parse().unwrap(),
            entrypoint: list(&last("ENTRYPOINT")),
            arguments: list(&last("CMD")),
            health: list(last("HEALTHCHECK").split_once(" CMD ").unwrap().1),
            count: Cell::new(0),
        })
    }

    /// The image where containers of it start; `None`, noted, where this machine forbids them even to root.
    pub(crate) fn running(test: &str) -> Option<Self> {
        let image = Self::build(test)?;
        let (status, said) = image.run(&image.plan(&["--version"]));
        if said.starts_with("renewd ") {
            return Some(image);
        }
        skip(
            test,
            &format!("no container starts here ({status}): {}", said.lines().last().unwrap_or_default()),
        );
        None
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// As an engine runs it without being told more than these arguments.
    pub(crate) fn plan(&self, arguments: &[&str]) -> Plan {
        let mut args = self.entrypoint.clone();
        args.extend(arguments.iter().map(|word| (*word).to_owned()));
        let (user, group) = (self.user, self.user);
        Plan { root: self.root(), args, env: self.env.clone(), user, group, groups: vec![], mounts: vec![] }
    }

    pub(crate) fn start(&self, plan: &Plan) -> Container {
        self.count.set(self.count.get() + 1);
        let id = format!("renewd-test-{}-{}", std::process::id(), self.count.get());
        let bundle = self.folder.path().join(&id);
        std::fs::create_dir(&bundle).unwrap();
        std::fs::write(bundle.join("config.json"), plan.document().to_string()).unwrap();
        let (state, log) = (self.folder.path().join("runc"), bundle.join("log"));
        let file = File::create(&log).unwrap();
        let mut command = Command::new("runc");
        command.arg("--root").arg(&state).arg("run").arg("--bundle").arg(&bundle).arg(&id);
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        Container { id, state, child: command.spawn().unwrap(), log, ended: None }
    }

    /// To its end: the exit status, and all that it said.
    pub(crate) fn run(&self, plan: &Plan) -> (i32, String) {
        let mut container = self.start(plan);
        let status = container.wait();
        (status.code().unwrap(), container.log())
    }
}

impl Plan {
    pub(crate) fn mount(mut self, from: &Path, to: &str, writable: bool) -> Self {
        self.mounts.push(Mount { from: from.to_owned(), to: to.to_owned(), writable });
        self
    }

    /// The runtime's configuration (<https://github.com/opencontainers/runtime-spec/blob/main/config.md>).
    fn document(&self) -> Value {
        let mut mounts = vec![
            json!({ "destination": "/proc", "type": "proc", "source": "proc" }),
            json!({ "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] }),
        ];
        for mount in &self.mounts {
            let options = json!(["bind", if mount.writable { "rw" } else { "ro" }]);
            mounts.push(
                json!({ "destination": mount.to, "type": "bind", "source": mount.from, "options": options }),
            );
        }
        let none: [String; 0] = [];
        let sets = ["bounding", "effective", "permitted", "inheritable", "ambient"];
        let capabilities: serde_json::Map<String, Value> =
            sets.iter().map(|set| ((*set).to_owned(), json!(none))).collect();
        json!({
            "ociVersion": "1.0.2",
            "process": {
                "terminal": false, "cwd": "/", "args": self.args, "env": self.env, "noNewPrivileges": true,
                "user": { "uid": self.user, "gid": self.group, "additionalGids": self.groups },
                "capabilities": capabilities,
            },
            "root": { "path": self.root, "readonly": true },
            "mounts": mounts,
            "linux": { "namespaces": [{ "type": "pid" }, { "type": "mount" }, { "type": "ipc" }, { "type": "uts" }] },
        })
    }
}

impl Container {
    /// Another process in it, as a probe is.
    pub(crate) fn exec(&self, argv: &[String]) -> Output {
        self.runc(&["exec", &self.id], argv)
    }

    /// The same by its exit status; `None` while the container is not there yet.
    pub(crate) fn probe(&self, argv: &[String]) -> Option<i32> {
        let state = self.runc(&["state", &self.id], &[]);
        String::from_utf8_lossy(&state.stdout)
            .contains("\"running\"")
            .then(|| self.exec(argv).status.code().unwrap())
    }

    /// Ends it as an engine does, and gives its exit status.
    pub(crate) fn stop(mut self) -> i32 {
        self.runc(&["kill", &self.id, "TERM"], &[]);
        self.wait().code().unwrap()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.ended = Some(status);
                return status;
            }
            assert!(start.elapsed() < secs(60), "{}", self.log());
            std::thread::sleep(crate::support::millis(20));
        }
    }

    fn runc(&self, words: &[&str], argv: &[String]) -> Output {
        Command::new("runc").arg("--root").arg(&self.state).args(words).args(argv).output().unwrap()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if self.ended.is_none() {
            self.runc(&["kill", &self.id, "KILL"], &[]);
            let _ = self.child.wait();
        }
        self.runc(&["delete", "--force", &self.id], &[]);
    }
}
