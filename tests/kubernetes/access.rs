//! Where the cluster is and who we are there.

use std::os::unix::fs::PermissionsExt as _;

use renewd::kubernetes::{Cluster, KubeError, Origin};
use serde_json::json;

use crate::room::{RENEWD, Room, stamp};

const CANARY: &str = "canary-3f9c1b";

async fn refused(origin: Origin) -> String {
    let Err(error) = Cluster::connect(origin).await else { panic!("it should be refused") };
    assert!(matches!(error, KubeError::Configuration(_)), "{error:?}");
    assert!(error.server_away());
    let words = format!("{error} {error:?}");
    assert!(!words.contains(CANARY), "{words}");
    error.to_string()
}

#[tokio::test]
async fn what_would_show_a_token_to_others_is_refused() {
    let room = Room::with_double().await;
    let user = json!({ "token": CANARY });
    for (cluster, words) in [
        (
            json!({ "server": "https://127.0.0.1:1", "insecure-skip-tls-verify": true }),
            "insecure-skip-tls-verify is set; name the cluster's certificate-authority instead",
        ),
        (json!({ "server": "http://192.0.2.1:8080" }), "the server's URL must begin with https://"),
        (
            json!({ "server": "https://192.0.2.1", "proxy-url": format!("http://u:{CANARY}@192.0.2.2") }),
            "proxy-url is not supported",
        ),
        (json!({ "server": "" }), "the cluster has no usable `server`"),
        (
            json!({ "server": "https://192.0.2.1", "certificate-authority": "/no/such/ca.pem" }),
            "its certificate authority /no/such/ca.pem cannot be read (entity not found)",
        ),
    ] {
        let said = refused(Origin::Kubeconfig(room.kubeconfig_for(&cluster, &user))).await;
        assert_eq!(said, format!("the configuration of the Kubernetes cluster cannot be used: {words}"));
    }
}

#[tokio::test]
async fn a_kubeconfig_that_is_none_is_told_without_what_is_in_it() {
    let room = Room::with_double().await;
    let path = room.folder.path().join("broken");
    for text in [
        format!("users: [{{ name: u, user: {{ token: [{CANARY}] }} }}]"),
        format!("users: {{ {CANARY}"),
        format!("{CANARY}\u{0}"),
    ] {
        std::fs::write(&path, text).unwrap();
        let said = refused(Origin::Kubeconfig(path.clone())).await;
        assert!(said.ends_with("it is not a kubeconfig"), "{said}");
    }
    std::fs::remove_file(&path).unwrap();
    let said = refused(Origin::Kubeconfig(path.clone())).await;
    assert!(
        said.ends_with(&format!("the kubeconfig {} cannot be read (entity not found)", path.display())),
        "{said}"
    );
}

#[tokio::test]
async fn a_credential_program_is_run_and_its_output_is_never_told() {
    let room = Room::open().await;
    let program = room.folder.path().join("login");
    let user = json!({ "exec": { "apiVersion": "client.authentication.k8s.io/v1", "command": program } });
    let write = |text: &str| {
        std::fs::write(&program, text).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    };
    let credential = json!({ "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
                             "status": { "token": RENEWD } });
    write(&format!("#!/bin/sh\necho '{credential}'\n"));
    let cluster = Cluster::new(Origin::Kubeconfig(room.kubeconfig(&user)));
    cluster.rehearse(&room.sink(), &[], &stamp(1, 0)).await.unwrap();
    for script in
        [format!("echo {CANARY}; exit 1"), format!("echo '{{\"status\": \"{CANARY}\"'"), "exit 0".to_owned()]
    {
        write(&format!("#!/bin/sh\n{script}\n"));
        let said = refused(Origin::Kubeconfig(room.kubeconfig(&user))).await;
        assert!(said.ends_with("its credentials cannot be had"), "{said}");
    }
}

#[tokio::test]
#[ignore = "needs TLS, so the real API server: scripts/kubernetes-real"]
async fn a_certificate_of_an_unknown_authority_is_refused() {
    let room = Room::open().await;
    let cluster = json!({ "server": room.url });
    let path = room.kubeconfig_for(&cluster, &json!({ "token": CANARY }));
    let cluster = Cluster::new(Origin::Kubeconfig(path));
    let error = cluster.rehearse(&room.sink(), &[], &stamp(1, 0)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the Kubernetes API cannot be reached: its certificate is refused (issued by an unknown authority)"
    );
}

#[tokio::test]
#[ignore = "needs client certificates, so the real API server: scripts/kubernetes-real"]
async fn a_client_certificate_logs_in() {
    let room = Room::open().await;
    let folder = std::path::PathBuf::from(std::env::var_os("RENEWD_TEST_KUBERNETES").unwrap());
    let user =
        json!({ "client-certificate": folder.join("renewd.pem"), "client-key": folder.join("renewd.key") });
    let cluster = Cluster::new(Origin::Kubeconfig(room.kubeconfig(&user)));
    cluster.rehearse(&room.sink(), &[], &stamp(1, 0)).await.unwrap();
}
