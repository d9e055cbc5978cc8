//! Names of users and groups to numbers, by `/etc/passwd` and `/etc/group` alone: a static binary has no NSS,
//! and a directory service that hangs must not hold a token back. Numbers always work.

use std::path::Path;

use super::file::SinkError;
use crate::atomic::Attributes;
use crate::config::model::FileSink;

/// The mode, owner and group that the sink asks for.
pub(super) fn attributes(sink: &FileSink) -> Result<Attributes, SinkError> {
    let uid = sink.owner.as_deref().map(|name| number(name, "/etc/passwd"));
    let gid = sink.group.as_deref().map(|name| number(name, "/etc/group"));
    let unknown =
        |kind, name: &Option<String>| SinkError::UnknownName { kind, name: name.clone().unwrap_or_default() };
    Ok(Attributes {
        mode: sink.mode,
        uid: uid.map(|uid| uid.ok_or_else(|| unknown("user", &sink.owner))).transpose()?,
        gid: gid.map(|gid| gid.ok_or_else(|| unknown("group", &sink.group))).transpose()?,
    })
}

fn number(name: &str, database: &str) -> Option<u32> {
    if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()) {
        return name.parse().ok().filter(|number| *number != u32::MAX);
    }
    find(name, &std::fs::read_to_string(Path::new(database)).ok()?)
}

/// The third field of the first line whose first is `name`.
fn find(name: &str, database: &str) -> Option<u32> {
    let mut lines = database.lines().map(|line| line.split(':'));
    let number =
        lines.find_map(|mut fields| (fields.next() == Some(name)).then(|| fields.nth(1)).flatten())?;
    number.parse().ok().filter(|number| *number != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_the_first_field_only() {
        let database = "root:x:0:0:root:/root:/bin/sh\napp:x:990:990:root:/:/bin/false\nbad:x:many:0::/:\n";
        assert_eq!(find("app", database), Some(990));
        assert_eq!(find("root", database), Some(0));
        assert_eq!(find("990", database), None);
        assert_eq!(find("bad", database), None);
        assert_eq!(find("nobody", database), None);
    }

    #[test]
    fn numbers_need_no_database() {
        assert_eq!(number("4711", "/nonexistent"), Some(4711));
        assert_eq!(number("4294967295", "/nonexistent"), None, "-1 means `leave alone` to chown");
        assert_eq!(number("99999999999", "/nonexistent"), None);
    }
}
