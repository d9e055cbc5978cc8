//! The image without Kubernetes: what it holds, and how it runs by itself.

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use renewd::simulator::{Options, Provider};
use serde_json::json;

use crate::oci::{Image, Plan};
use crate::support::{Sim, secs, until};
use crate::tools::root;

/// Volumes that are new, which take owner and mode from the image as Docker's and Podman's do.
fn with_volumes(image: &Image, mut plan: Plan, folder: &Path) -> Plan {
    for path in ["/var/lib/renewd", "/run/renewd", "/tokens"] {
        let of_image = image.root().join(&path[1..]).metadata().unwrap();
        assert_eq!((of_image.uid(), of_image.gid()), (65532, 65532), "{path}");
        let volume = folder.join(path.replace('/', "-"));
        if !volume.exists() {
            std::fs::create_dir(&volume).unwrap();
            chown(&volume, Some(65532), Some(65532)).unwrap();
            std::fs::set_permissions(&volume, std::fs::Permissions::from_mode(of_image.mode() & 0o7777))
                .unwrap();
        }
        plan = plan.mount(&volume, path, true);
    }
    plan
}

#[test]
fn the_image_holds_the_binary_with_its_libraries_and_no_shell() {
    let Some(image) = Image::build("the_image_holds_the_binary_with_its_libraries_and_no_shell") else {
        return;
    };
    let mut files = BTreeSet::new();
    let mut folders = vec![image.root()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let kind = path.symlink_metadata().unwrap();
            assert_eq!(kind.mode() & 0o6000 & !0o2000, 0, "{}: no set-user-id", path.display());
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                assert_eq!(kind.mode() & 0o6022, 0, "{}", path.display());
                files.insert(format!("/{}", path.strip_prefix(image.root()).unwrap().display()));
            }
        }
    }
    let program = |name: &&String| name.starts_with("/usr/bin") || name.contains("/sbin");
    assert_eq!(files.iter().filter(program).collect::<Vec<_>>(), ["/usr/bin/renewd"]);
    for name in [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/passwd",
        "/etc/os-release",
        "/var/lib/dpkg/status.d/libc6",
    ] {
        assert!(files.contains(name), "{name} is not among {files:?}");
    }
    let libraries: Vec<_> =
        files.iter().filter(|name| name.starts_with("/usr/lib") && name.contains(".so")).collect();
    assert!((3..=6).contains(&libraries.len()), "{libraries:?}");
}

#[test]
fn the_same_binary_gives_the_same_image() {
    let Some(first) = Image::build("the_same_binary_gives_the_same_image") else { return };
    let second = Image::build("the_same_binary_gives_the_same_image").unwrap();
    let sum = |image: &Image| {
        let script = "tar --sort=name -c . | sha256sum";
        let output = Command::new("sh").args(["-c", script]).current_dir(image.root()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(sum(&first), sum(&second));
}

#[test]
fn the_demo_runs_in_a_container_that_may_write_only_to_tmp() {
    let Some(image) = Image::running("the_demo_runs_in_a_container_that_may_write_only_to_tmp") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o1777)).unwrap();
    let plan = image.plan(&["demo", "--for", "4s"]);
    let (status, said) = image.run(&plan.mount(folder.path(), "/tmp", true));
    assert!(status == 0 && said.contains("token 1"), "{status}: {said}");
    let (status, said) = image.run(&image.plan(&["run"]));
    assert!(status == 78 && said.contains("/etc/renewd/renewd.yaml"), "{status}: {said}");
}

#[test]
fn the_health_check_tells_by_its_exit_status_and_the_state_outlives_the_container() {
    let test = "the_health_check_tells_by_its_exit_status_and_the_state_outlives_the_container";
    let Some(image) = Image::running(test) else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let sim = Sim::start(Options::with_lifetime(secs(20)));
    let config = folder.path().join("etc");
    std::fs::create_dir(&config).unwrap();
    let text = json!({
        "agent": { "listen": "off" },
        "accounts": { "a": {
            "provider": "bizppurio", "base_url": sim.base_url(Provider::Bizppurio, 1),
            "credentials": { "account": "acme", "password": "any" },
            "sinks": [{ "file": { "path": "/tokens/a.token", "mode": "0640" } }],
        } },
    });
    std::fs::write(config.join("renewd.yaml"), text.to_string()).unwrap();
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o755)).unwrap();
    let arguments = image.arguments.clone();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let plan =
        || with_volumes(&image, image.plan(&arguments), folder.path()).mount(&config, "/etc/renewd", false);
    let token = || -> Option<String> {
        std::fs::read_to_string(PathBuf::from(folder.path()).join("-tokens/a.token")).ok()
    };

    let agent = image.start(&plan());
    until("healthy", secs(30), || (agent.probe(&image.health)? == 0).then_some(()));
    let first = token().unwrap();
    let requests = sim.requests();
    assert_eq!(agent.stop(), 0);
    let agent = image.start(&plan());
    until("healthy again", secs(30), || (agent.probe(&image.health)? == 0).then_some(()));
    assert_eq!((token().unwrap(), sim.requests()), (first, requests), "the stored token serves");

    sim.stop();
    until("unhealthy", secs(60), || (agent.probe(&image.health)? == 1).then_some(()));
    sim.resume();
    until("healthy after the outage", secs(60), || (agent.probe(&image.health)? == 0).then_some(()));
    assert_eq!(agent.stop(), 0);
    let (status, said) = image.run(&image.plan(&["status", "--check"]));
    assert_eq!(status, 75, "nobody is there: {said}");
}

#[test]
fn the_build_gets_what_it_reads_and_no_more() {
    let ignored = std::fs::read_to_string(root().join(".dockerignore")).unwrap();
    let lines: Vec<&str> =
        ignored.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert_eq!(lines[0], "*", "all is left out but what is named");
    for line in &lines[1..] {
        let name = line.strip_prefix('!').unwrap();
        let is_there = root().join(name).exists() || name == "deploy/systemd";
        assert!(is_there, "{name} is not there");
    }
    // Files that the code takes in from elsewhere would be missing in the build.
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            for taken in text.split("include_str!(\"").skip(1).filter_map(|rest| rest.split('"').next()) {
                let target = path.parent().unwrap().join(taken);
                let Ok(target) = target.canonicalize() else { continue };
                let name = target.strip_prefix(root().canonicalize().unwrap()).unwrap().to_owned();
                let known = lines[1..].iter().any(|line| name.starts_with(&line[1..]));
                assert!(
                    known,
                    "{} takes in {}, which .dockerignore leaves out",
                    path.display(),
                    name.display()
                );
            }
        }
    }
}
