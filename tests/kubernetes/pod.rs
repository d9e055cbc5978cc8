//! The whole agent as in a pod: a service account's token and the cluster's authority where a kubelet mounts them, and
//! the server's address in the environment. The mount is the agent's alone (`unshare`), so nothing of this machine is
//! touched. `RENEWD_ROTATION=1` waits for what is read again without a reason, within a minute.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::room::{NAME, RENEWD};
use crate::stage::{Stage, sink_of};
use crate::support::{Run, secs, setting, skip, until};
use crate::tls;

const ROTATED: &str = "renewd-token-rotated";

/// Puts a folder where the kubelet mounts the service account, and becomes the command that follows.
const MOUNTED: &str = "set -e; mount -t tmpfs none /var/run; mkdir -p /var/run/secrets/kubernetes.io; \
                       ln -s \"$0\" /var/run/secrets/kubernetes.io/serviceaccount; unset KUBECONFIG; exec \"$@\"";

/// How this user gets mounts of its own; `None`, said, where it may not.
pub(crate) fn unshare(test: &str) -> Option<&'static [&'static str]> {
    let ways: [&[&str]; 2] = [&["unshare", "--mount"], &["unshare", "--mount", "--map-root-user"]];
    let works = |way: &&&[&str]| {
        let mut tried = Command::new(way[0]);
        tried.args(&way[1..]).args(["mount", "-t", "tmpfs", "none", "/var/run"]);
        tried.output().is_ok_and(|tried| tried.status.success())
    };
    let way = ways.iter().find(works).copied();
    if way.is_none() {
        skip(test, "this user may not make mounts of its own");
    }
    way
}

/// A service account's volume, laid out as a kubelet does it.
pub(crate) struct Volume {
    folder: PathBuf,
    files: [(&'static str, String); 3],
    turns: u32,
}

impl Volume {
    fn mount(folder: PathBuf, token: &str, ca: &str) -> Self {
        Self::with(folder, token, fs::read_to_string(tls::testdata(ca)).unwrap())
    }

    /// With the text of the authority.
    pub(crate) fn with(folder: PathBuf, token: &str, ca: String) -> Self {
        let files = [("token", token.to_owned()), ("ca.crt", ca), ("namespace", "default".to_owned())];
        fs::create_dir(&folder).unwrap();
        let mut volume = Self { folder, files, turns: 0 };
        volume.flip();
        for (name, _) in &volume.files {
            symlink(Path::new("..data").join(name), volume.folder.join(name)).unwrap();
        }
        volume
    }

    /// Another content of a file, as the kubelet rotates it.
    fn rotate(&mut self, name: &str, content: String) {
        let file = self.files.iter_mut().find(|(known, _)| *known == name).unwrap();
        file.1 = content;
        self.flip();
    }

    fn flip(&mut self) {
        self.turns += 1;
        let set = format!("..{}", self.turns);
        fs::create_dir(self.folder.join(&set)).unwrap();
        for (name, content) in &self.files {
            fs::write(self.folder.join(&set).join(name), content).unwrap();
        }
        symlink(&set, self.folder.join("..data_tmp")).unwrap();
        fs::rename(self.folder.join("..data_tmp"), self.folder.join("..data")).unwrap();
    }
}

/// An agent in such a pod.
pub(crate) fn in_pod(stage: &Stage, way: &[&str], volume: &Volume, port: &str) -> Run {
    let mut run = stage.world.run().env("KUBERNETES_SERVICE_HOST", "127.0.0.1");
    run = run.env("KUBERNETES_SERVICE_PORT", port).env("POD_NAMESPACE", stage.room.namespace.clone());
    run.wrapper.extend(way.iter().chain(&["sh", "-c", MOUNTED]).map(|word| (*word).to_owned()));
    run.wrapper.push(volume.folder.display().to_string());
    run
}

fn message(status: &Value) -> String {
    sink_of(status, NAME)["error"]["message"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn in_a_pod_the_service_account_is_used_and_its_rotated_token_is_picked_up() {
    let Some(way) = unshare("in_a_pod_the_service_account_is_used_and_its_rotated_token_is_picked_up") else {
        return;
    };
    let stage = Stage::with_double(RENEWD, 3600);
    let double = stage.room.double.clone().unwrap();
    stage.world.canaries.add(ROTATED);
    let port = tls::before(&stage.gate.address.to_string()).port().to_string();
    let mut volume = Volume::mount(stage.world.path("account"), RENEWD, "ca.pem");
    stage.world.write(&stage.config([stage.sink()]));

    let output = in_pod(&stage, way, &volume, &port).finish(&["check", "--online"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("can be written"), "{said}");

    let agent = in_pod(&stage, way, &volume, &port).start();
    agent.until_well();
    let first = stage.until_both_have("access_token", "");

    // The kubelet brings a new token, and the old one ends: the first refusal makes the agent read it again.
    volume.rotate("token", ROTATED.to_owned());
    double.replace_token(RENEWD, ROTATED);
    let refused = double.refused();
    assert_eq!(agent.renew("a").0, 200);
    let second = stage.until_both_have("access_token", &first);
    assert_eq!(double.refused(), refused + 1, "one request was refused");
    agent.until_well();

    // One that still works is read again all the same, within a minute.
    if setting("RENEWD_ROTATION", 0) == 1 {
        volume.rotate("token", RENEWD.to_owned());
        double.add_token(RENEWD, "renewd");
        std::thread::sleep(secs(61));
        double.forget_token(ROTATED);
        let refused = double.refused();
        assert_eq!(agent.renew("a").0, 200);
        stage.until_both_have("access_token", &second);
        assert_eq!(double.refused(), refused, "no request was refused");
    }
    agent.stop();
}

#[test]
fn what_is_wrong_with_a_pods_service_account_is_told_and_heals() {
    let Some(way) = unshare("what_is_wrong_with_a_pods_service_account_is_told_and_heals") else { return };
    let stage = Stage::with_double(RENEWD, 3600);
    let port = tls::before(&stage.gate.address.to_string()).port().to_string();
    let mut volume = Volume::mount(stage.world.path("account"), RENEWD, "selfsigned.pem");
    stage.world.write(&stage.config([stage.sink()]));
    let check = |volume: &Volume, port: &str| {
        let output = in_pod(&stage, way, volume, port).finish(&["check", "--online"]);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = check(&volume, "no-port");
    assert!(said.contains("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT name no server"), "{said}");

    let agent = in_pod(&stage, way, &volume, &port).start();
    let words = "its certificate is refused (issued by an unknown authority)";
    let status = agent.until("the wrong authority", secs(20), |status| message(status).contains(words));
    assert_eq!(sink_of(&status, NAME)["state"], "failed");
    agent.stop();

    fs::remove_file(volume.folder.join("ca.crt")).unwrap();
    let said = check(&volume, &port);
    let words =
        "the pod's service account cannot be read (/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";
    assert!(said.contains(words), "{said}");

    let agent = in_pod(&stage, way, &volume, &port).start();
    agent.until("the missing authority", secs(20), |status| message(status).contains(words));
    symlink("..data/ca.crt", volume.folder.join("ca.crt")).unwrap();
    volume.rotate("ca.crt", fs::read_to_string(tls::testdata("ca.pem")).unwrap());
    until("the Secret", secs(65), || stage.secret().map(drop));
    agent.until_well();
    agent.stop();
}
