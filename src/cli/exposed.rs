//! Secrets that stand in a configuration which every user can read.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::config::model::SecretSource;
use crate::config::{PlacedSecret, Problem};
use crate::secrets;

/// A warning at the first secret of each such file; who asks (an account or client id) is no secret.
pub(super) fn warnings(secrets: &[PlacedSecret]) -> Vec<Problem> {
    let mut told = BTreeSet::new();
    let inline = |secret: &&PlacedSecret| matches!(secret.source, SecretSource::Inline(_)) && !secret.public;
    secrets.iter().filter(inline).filter_map(|secret| exposed(&secret.place, &mut told)).collect()
}

fn exposed(place: &Problem, told: &mut BTreeSet<String>) -> Option<Problem> {
    if !told.insert(place.file.clone()) {
        return None;
    }
    let file = SecretSource::File(PathBuf::from(&place.file));
    secrets::warning(&file, &secrets::process_environment)?;
    let message = format!("{}: stands here, and every user can read this file", place.message);
    let hint = format!(
        "`chmod 600 {}`, or give the secret a file of its own: `{{ file: /run/secrets/NAME }}`",
        place.file
    );
    Some(Problem { message, hint: Some(hint), ..place.clone() })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_in_a_configuration_that_every_user_can_read_is_warned_of_once() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let path = folder.path().join("renewd.yaml");
        let warned = |text: &str, mode: u32| {
            let mut file = std::fs::File::create(&path).unwrap();
            std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
            file.set_permissions(PermissionsExt::from_mode(mode)).unwrap();
            let texts = crate::provider::catalog::texts();
            warnings(&crate::config::load_with_secrets(&path, &|_| None, texts, &|_| None).1)
        };
        let both = "accounts:\n  a: { provider: bizppurio, credentials: { account: me, password: hunter2 } }\n  \
                    b: { provider: bizppurio, credentials: { account: me, password: hunter3 } }\n";
        let said = warned(both, 0o644);
        assert_eq!(said.len(), 1, "{said:?}");
        assert_eq!((said[0].line, said[0].message.contains("credential `password`: stands here")), (2, true));
        assert!(said[0].hint.as_ref().unwrap().starts_with("`chmod 600 "), "{said:?}");
        assert!(!format!("{said:?}").contains("hunter"), "{said:?}");
        assert!(warned(both, 0o640).is_empty());
        let elsewhere = both.replace("hunter2", "{ env: X }").replace("hunter3", "{ file: /x }");
        assert!(warned(&elsewhere, 0o644).is_empty(), "an account's name is no secret");
    }
}
