//! What is installed: the texts of `deploy/systemd`, and where each belongs.

const UNIT: &str = include_str!("../../../deploy/systemd/renewd.service");
const INSTANCES: &str = include_str!("../../../deploy/systemd/renewd@.service");
const OLDER: &str = include_str!("../../../deploy/systemd/drop-ins/older-systemd.conf");
const USERS: &str = include_str!("../../../deploy/systemd/sysusers.conf");
const FOLDERS: &str = include_str!("../../../deploy/systemd/tmpfiles.conf");
const CONFIGURATION: &str = include_str!("../../../deploy/systemd/renewd.yaml");

/// The program as the texts have it.
const PROGRAM: &str = "/usr/bin/renewd ";
const RELOADING: &str = "Type=notify-reload\n";
/// Who may read the configuration beside root.
const READERS: &str = "renewd-config";

/// What the texts depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Form {
    /// The program that the units start.
    pub(super) program: String,
    /// Whether systemd knows `Type=notify-reload`.
    pub(super) reloads: bool,
    /// Below /usr/lib.
    pub(super) vendor: bool,
}

/// A file that is to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Below the root.
    pub(super) path: String,
    pub(super) text: String,
    pub(super) mode: u32,
    /// Of the administrator's own files, which are never written over: the group that reads it.
    pub(super) group: Option<&'static str>,
}

impl Form {
    /// What makes the user and the folders.
    pub(super) fn commands(&self) -> Vec<Vec<String>> {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let base = self.base();
        vec![
            words(&["systemd-sysusers", &format!("/{base}/sysusers.d/renewd.conf")]),
            words(&["systemd-tmpfiles", "--create", &format!("/{base}/tmpfiles.d/renewd.conf")]),
        ]
    }

    fn base(&self) -> &'static str {
        if self.vendor { "usr/lib" } else { "etc" }
    }

    fn unit(&self, text: &str) -> String {
        let text = text.replace(PROGRAM, &format!("{} ", self.program));
        if self.reloads { text } else { text.replace(RELOADING, older_lines()) }
    }
}

/// The files, in the order in which they are written.
pub(super) fn wanted(form: &Form) -> Vec<Wanted> {
    let base = form.base();
    let open = |path: String, text: String| Wanted { path, text, mode: 0o644, group: None };
    vec![
        open(format!("{base}/sysusers.d/renewd.conf"), USERS.to_owned()),
        open(format!("{base}/tmpfiles.d/renewd.conf"), FOLDERS.to_owned()),
        open(format!("{base}/systemd/system/renewd.service"), form.unit(UNIT)),
        open(format!("{base}/systemd/system/renewd@.service"), form.unit(INSTANCES)),
        Wanted {
            path: "etc/renewd/renewd.yaml".to_owned(),
            text: CONFIGURATION.to_owned(),
            mode: 0o640,
            group: Some(READERS),
        },
    ]
}

/// What stands below `[Service]` in the drop-in.
fn older_lines() -> &'static str {
    OLDER.split_once("[Service]\n").map_or("", |(_, lines)| lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(form: &Form, end: &str) -> String {
        wanted(form).into_iter().find(|file| file.path.ends_with(end)).unwrap().text
    }

    fn newest() -> Form {
        Form { program: "/usr/bin/renewd".to_owned(), reloads: true, vendor: false }
    }

    #[test]
    fn the_texts_are_those_of_the_repository() {
        assert_eq!(text(&newest(), "/renewd.service"), UNIT);
        assert_eq!(text(&newest(), "renewd@.service"), INSTANCES);
    }

    #[test]
    fn another_program_is_started_where_it_is() {
        let form = Form { program: "/usr/local/bin/renewd".to_owned(), ..newest() };
        for unit in ["/renewd.service", "renewd@.service"] {
            assert!(text(&form, unit).contains("\nExecStart=/usr/local/bin/renewd run"), "{unit}");
            assert!(!text(&form, unit).contains("ExecStart=/usr/bin"), "{unit}");
        }
    }

    #[test]
    fn an_older_systemd_gets_what_the_drop_in_says() {
        let form = Form { reloads: false, ..newest() };
        for unit in ["/renewd.service", "renewd@.service"] {
            let text = text(&form, unit);
            assert!(text.contains("\nType=notify\nExecReload=/bin/kill -HUP $MAINPID\nExecStart="), "{text}");
            assert!(!text.contains("Type=notify-reload"), "{text}");
        }
    }

    #[test]
    fn instances_differ_from_the_unit_in_their_names_alone() {
        let lines = |text: &str| -> Vec<String> {
            let below = text.split_once("[Unit]").unwrap().1;
            below.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
        };
        let plain = |line: &String| {
            line.replace(" (%i)", "")
                .replace(" --config /etc/renewd/%i.yaml", "")
                .replace("renewd-%i", "renewd")
        };
        assert_eq!(lines(UNIT), lines(INSTANCES).iter().map(plain).collect::<Vec<_>>());
        assert!(INSTANCES.matches("%i").count() >= 5);
    }

    #[test]
    fn the_configuration_loads_and_so_does_what_it_shows_as_a_comment() {
        let load = |text: &str| {
            let path = std::path::Path::new("/etc/renewd/renewd.yaml");
            let loaded = crate::config::load_text(path, text, &|_| None, crate::provider::catalog::texts());
            loaded.unwrap_or_else(|problems| panic!("{problems}\n{text}"))
        };
        assert_eq!(load(CONFIGURATION).config.accounts.len(), 0);
        let shown = CONFIGURATION.split_once("accounts: {}\n").unwrap().1;
        let shown: String =
            shown.lines().map(|line| format!("{}\n", line.strip_prefix("# ").unwrap())).collect();
        let loaded = load(&shown);
        assert_eq!((loaded.config.accounts.len(), loaded.warnings), (1, Vec::new()), "{shown}");
    }
}
