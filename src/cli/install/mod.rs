//! `renewd install systemd`: the unit, its user and folders, and a configuration to start from. All is shown before
//! anything is written, and what somebody has changed is not written over.

mod difference;
mod files;
mod look;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use self::files::{Form, Wanted};
use self::look::{Found, Look as At};
use super::args::InstallSystemdArgs;
use super::exit::Exit;
use super::out;
use super::report::Failure;
use crate::atomic::{self, Attributes, Missing, SyncLevel};
use crate::sink::owner;

/// Where the program is, where it is not said and cannot be seen.
const PROGRAM: &str = "/usr/bin/renewd";
/// The first systemd that knows `Type=notify-reload`.
const RELOADS: u32 = 253;
/// What the sandbox hides: a program there would not start.
const HIDDEN: &[&str] = &["/home", "/root", "/run/user", "/tmp", "/var/tmp"];
/// Folders that tmpfiles.d makes; below `--root` they are made here.
const FOLDERS: &[&str] = &["etc/renewd", "etc/renewd/secrets"];
const FOLDER_MODE: u32 = 0o750;

/// Shows what it takes, and does it.
pub(super) fn systemd(args: &InstallSystemdArgs) -> Result<Exit, Failure> {
    let form = form(args)?;
    let root = match &args.root {
        Some(root) => std::path::absolute(root).map_err(|error| cannot("find", root, &error))?,
        None => PathBuf::from("/"),
    };
    let looks: Vec<At> = files::wanted(&form).into_iter().map(|file| At::new(file, &root)).collect();
    let commands = if args.root.is_none() { form.commands() } else { Vec::new() };
    let mut text: String = looks.iter().map(|look| look.told(args.dry_run)).collect();
    text.extend(commands.iter().map(|words| format!("> {}\n", words.join(" "))));
    if args.dry_run {
        text += "nothing was written\n";
    }
    out::print(&text)?;
    if args.dry_run {
        return Ok(Exit::Done);
    }
    permitted(args)?;
    not_hiding_a_package(args, &root)?;
    untouched(&looks, args.force)?;
    // The configuration is for a group that is made by then.
    let (configuration, rest): (Vec<&At>, Vec<&At>) =
        looks.iter().partition(|look| look.file.group.is_some());
    for look in rest {
        write(look, None)?;
    }
    for words in &commands {
        run(words)?;
    }
    if args.root.is_some() {
        for folder in FOLDERS {
            let path = root.join(folder);
            atomic::Folder::open_or_create(&path, FOLDER_MODE)
                .map_err(|error| cannot("make", &path, &error))?;
        }
    }
    for look in configuration {
        // Without it the file stays root's alone, and the agent says what it may not read.
        let group = look.file.group.filter(|_| args.root.is_none()).and_then(owner::group_id);
        write(look, group)?;
    }
    out::print(&next(&looks, args))?;
    Ok(Exit::Done)
}

fn form(args: &InstallSystemdArgs) -> Result<Form, Failure> {
    let program = match (&args.program, &args.root) {
        (Some(program), _) => program.clone(),
        (None, Some(_)) => PathBuf::from(PROGRAM),
        (None, None) => std::env::current_exe().map_err(|error| {
            Failure::new(Exit::Failed, "cannot tell where this program is")
                .because(&error)
                .hint("name it with --program")
        })?,
    };
    let version = match (args.systemd, &args.root) {
        (Some(version), _) => Some(version),
        (None, Some(_)) => None,
        (None, None) => running_systemd(args.dry_run)?,
    };
    Ok(Form {
        program: startable(&program, args.root.is_some())?,
        reloads: version.is_none_or(|version| version >= RELOADS),
        vendor: args.vendor,
    })
}

/// The program as a word of `ExecStart=`.
fn startable(program: &Path, elsewhere: bool) -> Result<String, Failure> {
    let shown = program.display();
    let text = program.to_str().filter(|text| {
        let plain = |symbol: char| symbol.is_ascii_alphanumeric() || "/._+-".contains(symbol);
        text.starts_with('/') && text.chars().all(plain)
    });
    let copy =
        format!("install -m 755 {shown} /usr/local/bin/renewd && /usr/local/bin/renewd install systemd");
    let Some(text) = text else {
        let words =
            format!("a unit cannot start `{shown}`: it takes a whole path of letters, digits and `._+-`");
        return Err(Failure::new(Exit::Failed, words).hint("put the program into /usr/local/bin"));
    };
    if let Some(folder) = HIDDEN.iter().find(|folder| program.starts_with(folder)) {
        let words = format!("the unit could not start {shown}: its sandbox hides {folder}");
        return Err(Failure::new(Exit::Failed, words).hint(copy));
    }
    if !elsewhere && !program.is_file() {
        return Err(Failure::new(Exit::Failed, format!("there is no program {shown}")));
    }
    Ok(text.to_owned())
}

/// The version of this machine's systemd; `None` where a look is enough and there is none.
fn running_systemd(only_look: bool) -> Result<Option<u32>, Failure> {
    let output = Command::new("systemctl").arg("--version").stdin(Stdio::null()).output();
    let version = output.as_ref().ok().and_then(|output| version(&String::from_utf8_lossy(&output.stdout)));
    if version.is_some() || only_look {
        return Ok(version);
    }
    let failure =
        Failure::new(Exit::Failed, "this machine has no systemd: `systemctl --version` says nothing");
    let failure = match &output {
        Err(error) => failure.because(error),
        Ok(_) => failure,
    };
    Err(failure.hint("--dry-run shows the files, --root DIR writes them for another machine"))
}

/// `systemd 257 (257.13-1)`.
fn version(text: &str) -> Option<u32> {
    let word = text.strip_prefix("systemd ")?.split_whitespace().next()?;
    word.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
}

fn permitted(args: &InstallSystemdArgs) -> Result<(), Failure> {
    if args.root.is_some() || rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, "only root can install a service: nothing was written")
        .hint("sudo renewd install systemd")
        .hint("--dry-run shows everything to anybody; --root DIR writes below a folder of your own"))
}

/// A unit in /etc takes the place of a package's, and stays as it is when the package is upgraded.
fn not_hiding_a_package(args: &InstallSystemdArgs, root: &Path) -> Result<(), Failure> {
    if args.vendor || args.force {
        return Ok(());
    }
    let packaged = ["usr/lib/systemd/system/renewd.service", "lib/systemd/system/renewd.service"];
    match packaged.iter().map(|path| root.join(path)).find(|path| path.exists()) {
        None => Ok(()),
        Some(path) => {
            let words = format!("a package has installed {} already: nothing was written", path.display());
            Err(Failure::new(Exit::Failed, words).hint(
                "`systemctl edit renewd` makes a drop-in for it; --force puts a unit over it all the same",
            ))
        }
    }
}

/// Nothing that somebody has changed is there, or it may be written over.
fn untouched(looks: &[At], force: bool) -> Result<(), Failure> {
    let mut changed = Vec::new();
    for look in looks {
        match &look.found {
            Found::Differs(_) => changed.push(look.path.display().to_string()),
            Found::Unreadable(error) => return Err(cannot("read", &look.path, error)),
            Found::Missing | Found::Same | Found::Kept => {}
        }
    }
    if changed.is_empty() || force {
        return Ok(());
    }
    let verb = if changed.len() == 1 { "is" } else { "are" };
    let words =
        format!("{} {verb} there and not as it would be written: nothing was written", changed.join(", "));
    Err(Failure::new(Exit::Failed, words)
        .hint("put lines of your own into a drop-in (`systemctl edit renewd`)")
        .hint("--force writes over it, and keeps the former as FILE.old"))
}

fn write(look: &At, gid: Option<u32>) -> Result<(), Failure> {
    let put = |path: &Path, content: &[u8], mode: u32, gid: Option<u32>| {
        let (folder, name) =
            atomic::locate(path, Missing::Create(0o755)).map_err(|error| cannot("write", path, &error))?;
        let attributes = Attributes { mode, uid: None, gid };
        let written = folder.replace(&name, content, attributes, SyncLevel::Full);
        written.map_err(|error| cannot("write", path, &error))
    };
    let Wanted { mode, text, .. } = &look.file;
    match &look.found {
        Found::Same | Found::Kept => return Ok(()),
        Found::Differs(former) => {
            let mut name = look.path.clone().into_os_string();
            name.push(".old");
            put(Path::new(&name), former, *mode, None)?;
        }
        Found::Missing | Found::Unreadable(_) => {}
    }
    put(&look.path, text.as_bytes(), *mode, gid)
}

fn run(words: &[String]) -> Result<(), Failure> {
    let said = words.join(" ");
    let Some((program, arguments)) = words.split_first() else { return Ok(()) };
    let status = Command::new(program).args(arguments).stdin(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(Exit::Failed, format!("`{said}` has failed: {status}"))),
        Err(error) => Err(Failure::new(Exit::Failed, format!("cannot run `{said}`")).because(&error)),
    }
}

/// What is left to do.
fn next(looks: &[At], args: &InstallSystemdArgs) -> String {
    let kept = looks.iter().any(|look| matches!(look.found, Found::Kept));
    let mut text = String::from("next:\n");
    if !kept {
        text += "  renewd init --provider NAME       prints an account for /etc/renewd/renewd.yaml\n";
    }
    if args.root.is_some() {
        text +=
            "  systemd-sysusers && systemd-tmpfiles --create       there, which a package does by itself\n";
        if args.systemd.is_none() {
            text += &format!(
                "  where systemd there is older than {RELOADS} (Debian 12, Ubuntu 22.04): the same again with --systemd 252 \
                 --force, as these units are `Type=notify-reload`\n"
            );
        }
    }
    text += "  systemctl daemon-reload\n  systemctl enable --now renewd\n  systemctl status renewd\n";
    text
}

fn cannot(what: &str, path: &Path, error: &dyn std::error::Error) -> Failure {
    Failure::new(Exit::Failed, format!("cannot {what} {}", path.display())).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_systemd_is_read_as_distributions_write_it() {
        for (text, found) in [
            ("systemd 252 (252.38-1~deb12u1)\n+PAM", Some(252)),
            ("systemd 257 (257.13-1~deb13u1)", Some(257)),
            ("systemd 258~rc1 (258~rc1-1)", Some(258)),
            ("runit 2", None),
            ("", None),
        ] {
            assert_eq!(version(text), found, "{text}");
        }
    }

    #[test]
    fn a_program_that_the_sandbox_hides_or_a_unit_cannot_name_is_refused_with_the_way_out() {
        for (path, word) in [
            ("/home/me/renewd", "/home"),
            ("/root/renewd", "/root"),
            ("./renewd", "whole path"),
            ("/opt/my app/r", "letters"),
        ] {
            let failure = startable(Path::new(path), true).unwrap_err();
            assert!(failure.render(super::super::screen::Look::plain()).contains(word), "{path}");
        }
        assert_eq!(startable(Path::new("/usr/bin/renewd"), true).unwrap(), "/usr/bin/renewd");
    }
}
