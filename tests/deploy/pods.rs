//! The pods of `examples/kubernetes` as they are rendered, on a kubelet of a few lines: volumes with the owners and modes that a
//! kubelet gives them, each container with its own user, mounts and probes, in the order of Kubernetes.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::Instant;

use renewd::simulator::{Options, Provider};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::oci::{Container, Image, Plan};
use crate::restricted::pod_of;
use crate::support::{Sim, secs, skip, until};
use crate::tools::{NO_TOOL, kustomize, only, root, tool};

struct Pod {
    image: Image,
    spec: Value,
    folder: TempDir,
    sim: Sim,
}

impl Pod {
    /// The pod of an overlay, whose accounts ask the stand-ins; `None`, noted, where it cannot be run.
    fn of(test: &str, overlay: &str, provider: Provider, secrets: &[(&str, &str)]) -> Option<Self> {
        let Some(kubectl) = tool("kubectl") else {
            skip(test, NO_TOOL);
            return None;
        };
        let image = Image::running(test)?;
        let objects = kustomize(&kubectl, &root().join("examples/kubernetes").join(overlay));
        let spec = objects.iter().find_map(pod_of).unwrap().clone();
        let folder = tempfile::Builder::new().prefix("renewd-pod-").tempdir().unwrap();
        let pod = Self { image, spec, folder, sim: Sim::start(Options::with_lifetime(secs(30))) };
        let config = only(&objects, "ConfigMap")["data"]["renewd.yaml"].as_str().unwrap();
        let base = format!("    base_url: {}\n    credentials:\n", pod.sim.base_url(provider, 1));
        let config = config.replace("    credentials:\n", &base);
        for volume in pod.spec["volumes"].as_array().unwrap() {
            let path = pod.volume(volume["name"].as_str().unwrap());
            std::fs::create_dir(&path).unwrap();
            if volume["emptyDir"].is_object() {
                pod.own(&path, 0o2777);
            } else if volume["configMap"].is_object() {
                pod.project(&path, 0o644, &[("renewd.yaml", &config)]);
            } else {
                let mode = u32::try_from(volume["secret"]["defaultMode"].as_u64().unwrap()).unwrap();
                pod.project(&path, mode, secrets);
            }
        }
        Some(pod)
    }

    fn volume(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// To root and the pod's group, as a kubelet leaves it.
    fn own(&self, path: &Path, mode: u32) {
        let group = self.spec["securityContext"]["fsGroup"].as_u64().unwrap();
        chown(path, Some(0), Some(u32::try_from(group).unwrap())).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Files of a ConfigMap or a Secret: links through `..data`, which flips at a change.
    fn project(&self, volume: &Path, mode: u32, files: &[(&str, &str)]) {
        std::fs::set_permissions(volume, std::fs::Permissions::from_mode(0o755)).unwrap();
        let set = tempfile::Builder::new().prefix("..").tempdir_in(volume).unwrap().keep();
        std::fs::set_permissions(&set, std::fs::Permissions::from_mode(0o755)).unwrap();
        for (name, content) in files {
            std::fs::write(set.join(name), content).unwrap();
            self.own(&set.join(name), mode);
            let _ = symlink(Path::new("..data").join(name), volume.join(name));
        }
        let next = volume.join("..data_tmp");
        symlink(set.file_name().unwrap(), &next).unwrap();
        std::fs::rename(next, volume.join("..data")).unwrap();
    }

    fn container(&self, kind: &str) -> &Value {
        &self.spec[kind][0]
    }

    /// A container of the image, by its own words.
    fn plan(&self, container: &Value) -> Plan {
        let own = &container["securityContext"];
        assert_eq!(
            (&own["readOnlyRootFilesystem"], &own["capabilities"]["drop"]),
            (&json!(true), &json!(["ALL"]))
        );
        let number = |key: &str| own[key].as_u64();
        let args = words(&container["args"]);
        let mut plan = self.image.plan(&args.iter().map(String::as_str).collect::<Vec<_>>());
        plan.user = number("runAsUser").unwrap();
        plan.group = number("runAsGroup").unwrap_or(0);
        plan.groups = vec![self.spec["securityContext"]["fsGroup"].as_u64().unwrap()];
        for mount in container["volumeMounts"].as_array().unwrap() {
            let from = self.volume(mount["name"].as_str().unwrap());
            plan = plan.mount(&from, mount["mountPath"].as_str().unwrap(), mount["readOnly"] != true);
        }
        plan
    }

    /// What a program of the application's container prints; its image is this machine's programs.
    fn application(&self, argv: &[&str]) -> (i32, String) {
        let mut plan = self.plan(self.container("containers"));
        plan.root = self.folder.path().join("application");
        if !plan.root.exists() {
            std::fs::create_dir_all(plan.root.join("usr")).unwrap();
            for name in ["bin", "lib", "lib64"] {
                symlink(Path::new("usr").join(name), plan.root.join(name)).unwrap();
            }
        }
        plan.args = argv.iter().map(|word| (*word).to_owned()).collect();
        self.image.run(&plan.mount(Path::new("/usr"), "/usr", false))
    }
}

fn words(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().map(|word| word.as_str().unwrap().to_owned()).collect()
}

fn wait_for(container: &Container, probe: &[String]) {
    until("the probe to succeed", secs(30), || (container.probe(probe)? == 0).then_some(()));
}

#[test]
fn the_sidecars_pod_starts_with_a_token_that_another_user_reads_and_follows_its_config_map() {
    let test = "the_sidecars_pod_starts_with_a_token_that_another_user_reads_and_follows_its_config_map";
    let Some(pod) = Pod::of(test, "sidecar", Provider::PortOne, &[("portone", "key")]) else { return };
    let sidecar = pod.container("initContainers").clone();
    let start = Instant::now();
    let agent = pod.image.start(&pod.plan(&sidecar));
    let startup = words(&sidecar["startupProbe"]["exec"]["command"]);
    wait_for(&agent, &startup);
    eprintln!("the application may start after {:.2} s", start.elapsed().as_secs_f64());

    // From here on the application runs.
    let (status, token) = pod.application(&["/usr/bin/cat", "/tokens/payments.token"]);
    assert!(status == 0 && token.len() > 10 && !token.contains(' '), "{status} {token}");
    let (status, said) = pod.application(&["/usr/bin/touch", "/tokens/mine"]);
    assert!(status != 0 && said.contains("Read-only file system"), "{said}");
    let file = pod.volume("tokens").join("payments.token").metadata().unwrap();
    assert_eq!((file.uid(), file.gid(), file.mode() & 0o7777), (65532, 65532, 0o640));
    let state = pod.volume("renewd-state").join("state").metadata().unwrap();
    assert_eq!((state.uid(), state.mode() & 0o777), (65532, 0o700));

    let live = words(&sidecar["livenessProbe"]["exec"]["command"]);
    let begun = Instant::now();
    assert_eq!(agent.probe(&live), Some(0));
    assert!(begun.elapsed() < secs(10), "{:?}", begun.elapsed());

    let text = std::fs::read_to_string(pod.volume("renewd-config").join("renewd.yaml")).unwrap();
    pod.project(
        &pod.volume("renewd-config"),
        0o644,
        &[("renewd.yaml", &text.replace("payments.token", "new.token"))],
    );
    until("the changed ConfigMap", secs(40), || {
        pod.volume("tokens").join("new.token").exists().then_some(())
    });

    // An outage: the agent lives, so it is left alone, while the startup probe would hold a new pod back.
    pod.sim.stop();
    let renewed = pod.image.health.clone();
    until("the outage told", secs(60), || (agent.probe(&renewed)? == 1).then_some(()));
    assert_eq!(agent.probe(&live), Some(0));
    assert_eq!(agent.stop(), 0);
}

#[test]
fn the_init_container_leaves_a_token_to_the_job_or_fails() {
    let test = "the_init_container_leaves_a_token_to_the_job_or_fails";
    let secrets = [("imp-key", "key"), ("imp-secret", "secret")];
    let Some(pod) = Pod::of(test, "once", Provider::PortOneV1, &secrets) else { return };
    let once = pod.container("initContainers").clone();
    pod.sim.stop();
    let mut hasty = pod.plan(&once);
    hasty.args.last_mut().unwrap().replace_range(.., "1s");
    let (status, said) = pod.image.run(&hasty);
    assert!([1, 75].contains(&status), "{status}: {said}");
    pod.sim.resume();
    let (status, said) = pod.image.run(&pod.plan(&once));
    assert_eq!(status, 0, "{said}");
    let (status, header) = pod.application(&["/usr/bin/cat", "/tokens/payments.header"]);
    assert!(status == 0 && header.starts_with("Authorization: "), "{header}");
}
