//! A Chromium without a window, driven over `tests/page/browser.mjs`.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

/// One browser; ended with the test.
pub(crate) struct Browser {
    driver: Child,
    /// `None` at the end.
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    _profile: TempDir,
}

impl Browser {
    /// `Err`: why there is none here.
    pub(crate) fn start() -> Result<Self, String> {
        let chromium = chromium().ok_or("Chromium is not installed (Debian's package `chromium`)")?;
        let profile = tempfile::Builder::new().prefix("renewd-chromium-").tempdir().unwrap();
        let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/page/browser.mjs");
        let mut command = Command::new("node");
        command.arg(driver).arg(chromium).arg(profile.path());
        // Chromium writes into the home directory, too.
        command.env("HOME", profile.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut driver = command.spawn().map_err(|error| format!("Node.js is not installed: {error}"))?;
        let (orders, answers) = (driver.stdin.take(), driver.stdout.take().unwrap());
        Ok(Self { driver, orders, answers: BufReader::new(answers), _profile: profile })
    }

    /// Opens a page in a new window.
    #[track_caller]
    pub(crate) fn open(&mut self, url: &str, look: Value) {
        let mut order = look;
        order["open"] = url.into();
        self.order(&order);
    }

    /// The value of an expression in the page.
    #[track_caller]
    pub(crate) fn eval(&mut self, expression: &str) -> Value {
        self.order(&json!({ "eval": expression }))
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub(crate) fn until(&mut self, expression: &str, within_ms: u64) {
        self.order(&json!({ "until": expression, "within": within_ms }));
    }

    #[track_caller]
    pub(crate) fn order(&mut self, order: &Value) -> Value {
        writeln!(self.orders.as_mut().unwrap(), "{order}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let answer: Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{order}: {error}: {line:?}"));
        assert!(answer["error"].is_null(), "{order}: {}", answer["error"]);
        answer["value"].clone()
    }

    /// Neither console nor browser have complained since the page was opened.
    #[track_caller]
    pub(crate) fn assert_silent(&mut self) {
        let said = self.order(&json!({ "said": true }));
        assert_eq!(said, json!([]));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The end of the orders ends the driver, and it the browser.
        drop(self.orders.take());
        let _ = self.driver.wait();
    }
}

/// axe-core, from the test peers or from where `RENEWD_TEST_AXE` says.
pub(crate) fn axe() -> Option<PathBuf> {
    let own = std::env::var_os("RENEWD_TEST_AXE").map(PathBuf::from);
    let peer = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/peers/node_modules/axe-core/axe.min.js");
    own.into_iter().chain([peer]).find(|path| path.is_file())
}

fn chromium() -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    let named = |name| std::env::split_paths(&paths).map(move |folder| folder.join(name));
    let own = std::env::var_os("RENEWD_TEST_CHROMIUM").map(PathBuf::from);
    own.into_iter().chain(named("chromium")).chain(named("chromium-browser")).find(|path| path.is_file())
}
