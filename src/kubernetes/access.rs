//! Where the cluster is and who we are there.

use std::env;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use kube::config::{
    AuthInfo, ExecInteractiveMode, InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError,
    LoadDataError,
};
use kube::{Client, Config};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::error::KubeError;
use super::words;

/// As many as there are writes at a time. Each whose files hang keeps a thread, and the tries go on.
static READINGS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(16)));

/// Where the configuration of the cluster is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// `$KUBECONFIG` where it is set, the pod's service account in a pod, else `~/.kube/config`.
    Environment,
    /// This kubeconfig.
    Kubeconfig(PathBuf),
}

/// Reads the configuration and makes a client of it. Sends nothing; may run the kubeconfig's credential program, for
/// as long as that takes.
///
/// Tokens and certificate authorities in files are read again by the library, once a minute at most.
pub(super) async fn connect(origin: Origin) -> Result<Client, KubeError> {
    let runtime = tokio::runtime::Handle::current();
    let place = Arc::clone(&READINGS).acquire_owned().await.ok();
    let work = move || {
        let _place = place; // until the files have answered
        let mut config = runtime.block_on(read(&origin))?;
        check(&config)?;
        // The retries are the engine's.
        config.default_retry = false;
        Client::try_from(config).map_err(|error| match words::unreachable(&error) {
            known @ KubeError::Configuration(_) => known,
            _ => unusable("its certificates or keys cannot be used"),
        })
    };
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(unusable("reading it failed")))
}

async fn read(origin: &Origin) -> Result<Config, KubeError> {
    let kubeconfig = match origin {
        Origin::Kubeconfig(path) => Kubeconfig::read_from(path).map(Some),
        Origin::Environment => {
            let in_pod = env::var_os("KUBERNETES_SERVICE_HOST").is_some();
            match Kubeconfig::from_env() {
                Ok(None) if in_pod => {
                    return Config::incluster().map_err(|error| pod_problem(&error));
                }
                Ok(None) => Kubeconfig::read().map(Some),
                set => set,
            }
        }
    };
    let kubeconfig = match kubeconfig {
        Ok(found) => found.unwrap_or_default(),
        Err(KubeconfigError::FindPath) => return Err(KubeError::NoConfiguration),
        Err(KubeconfigError::ReadConfig(error, _))
            if error.kind() == std::io::ErrorKind::NotFound && *origin == Origin::Environment =>
        {
            return Err(KubeError::NoConfiguration);
        }
        Err(error) => return Err(kubeconfig_problem(&error)),
    };
    let proxied = kubeconfig.clusters.iter().any(|named| {
        named
            .cluster
            .as_ref()
            .and_then(|cluster| cluster.proxy_url.as_ref())
            .is_some_and(|url| !url.is_empty())
    });
    let loaded = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    let mut config = loaded.map_err(|error| kubeconfig_problem(&error))?;
    if !proxied {
        config.proxy_url = None; // the environment's HTTPS_PROXY, which renewd uses nowhere
    }
    trim_token(&mut config.auth_info);
    if let Some(program) = &mut config.auth_info.exec {
        program.interactive_mode = Some(ExecInteractiveMode::Never);
    }
    Ok(config)
}

/// A token file that ends in a newline, as editors write them: kubectl takes it, the library does not. It is read anew
/// once the server refuses it.
fn trim_token(user: &mut AuthInfo) {
    let Some(text) = user.token_file.as_ref().and_then(|path| std::fs::read_to_string(path).ok()) else {
        return;
    };
    let text = Zeroizing::new(text);
    if text.trim().len() < text.len() {
        user.token = Some(text.trim().to_owned().into());
        user.token_file = None;
    }
}

/// Refuses what would send a token where others can read it.
fn check(config: &Config) -> Result<(), KubeError> {
    let host = config.cluster_url.host().unwrap_or_default().trim_matches(['[', ']']);
    let here = host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    if config.accept_invalid_certs {
        return Err(unusable(
            "insecure-skip-tls-verify is set; name the cluster's certificate-authority instead",
        ));
    }
    if config.cluster_url.scheme_str() != Some("https") && !here {
        return Err(unusable("the server's URL must begin with https://"));
    }
    if config.proxy_url.is_some() {
        return Err(unusable("proxy-url is not supported"));
    }
    Ok(())
}

/// What is wrong with what a kubelet gives to a pod.
fn pod_problem(error: &InClusterError) -> KubeError {
    use InClusterError as Problem;
    let unread = |name: &str, error: &std::io::Error| {
        format!(
            "the pod's service account cannot be read (/var/run/secrets/kubernetes.io/serviceaccount/{name}: {}); does \
             the pod say `automountServiceAccountToken: false`?",
            error.kind()
        )
    };
    KubeError::Configuration(match error {
        Problem::ReadDefaultNamespace(error) => unread("namespace", error),
        Problem::ReadCertificateBundle(error) => unread("ca.crt", error),
        Problem::ParseCertificates(_) => {
            "the certificate authority of the pod's service account is not PEM".to_owned()
        }
        Problem::ReadEnvironmentVariable(_) | Problem::ParseClusterPort(_) | Problem::ParseClusterUrl(_) => {
            "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT name no server".to_owned()
        }
    })
}

/// In our own words: the library's may repeat parts of the file, which holds keys and tokens.
fn kubeconfig_problem(error: &KubeconfigError) -> KubeError {
    use KubeconfigError as Problem;
    let file = |what: &str, error: &LoadDataError| match error {
        LoadDataError::ReadFile(error, path) => {
            format!("{what} {} cannot be read ({})", path.display(), error.kind())
        }
        LoadDataError::DecodeBase64(_) => format!("{what} is not base64"),
        LoadDataError::NoBase64DataOrFile => format!("{what} is missing"),
    };
    KubeError::Configuration(match error {
        Problem::CurrentContextNotSet => "the kubeconfig sets no current-context".to_owned(),
        Problem::LoadContext(name) => format!("the kubeconfig has no context \"{name}\""),
        Problem::LoadClusterOfContext(name) => format!("the kubeconfig has no cluster \"{name}\""),
        Problem::ReadConfig(error, path) => {
            format!("the kubeconfig {} cannot be read ({})", path.display(), error.kind())
        }
        Problem::MissingClusterUrl | Problem::ParseClusterUrl(_) => {
            "the cluster has no usable `server`".to_owned()
        }
        Problem::ParseProxyUrl(_) => "its proxy's URL is not one".to_owned(),
        Problem::LoadCertificateAuthority(error) => file("its certificate authority", error),
        Problem::LoadClientCertificate(error) => file("its client certificate", error),
        Problem::LoadClientKey(error) => file("its client key", error),
        Problem::ParseCertificates(_) => "its certificate authority is not PEM".to_owned(),
        _ => "it is not a kubeconfig".to_owned(),
    })
}

fn unusable(why: &str) -> KubeError {
    KubeError::Configuration(why.to_owned())
}
