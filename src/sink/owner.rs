//! Names of users and groups to numbers, by `/etc/passwd` and `/etc/group` alone: a static binary has no NSS,
//! and a directory service that hangs must not hold a token back. Numbers always work.

use std::path::Path;

use super::file::SinkError;
use crate::atomic::Attributes;

const USERS: &str = "/etc/passwd";
const GROUPS: &str = "/etc/group";

/// The mode, owner and group that a sink or template asks for.
pub(super) fn attributes(
    mode: u32,
    owner: Option<&str>,
    group: Option<&str>,
) -> Result<Attributes, SinkError> {
    let [uid, gid] = numbers(owner, group);
    Ok(Attributes { mode, uid: uid?, gid: gid? })
}

/// Each of an `owner:` and a `group:` that this machine does not know. Another machine, which the configuration is for,
/// may.
#[must_use]
pub fn unknown(owner: Option<&str>, group: Option<&str>) -> Vec<SinkError> {
    numbers(owner, group).into_iter().filter_map(Result::err).collect()
}

/// Owner and group, where they are asked for.
fn numbers(owner: Option<&str>, group: Option<&str>) -> [Result<Option<u32>, SinkError>; 2] {
    let both = [("user", owner, USERS), ("group", group, GROUPS)];
    both.map(|(kind, name, database)| {
        let Some(name) = name else { return Ok(None) };
        let unknown = || SinkError::UnknownName { kind, name: name.to_owned() };
        number(name, database).map(Some).ok_or_else(unknown)
    })
}

/// The number of a group, by name or as written.
#[must_use]
pub fn group_id(name: &str) -> Option<u32> {
    number(name, GROUPS)
}

/// Whether `/etc/group` lists the user of that number as a member of the group of that number.
#[must_use]
pub fn is_member(uid: u32, gid: u32) -> bool {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    lists(uid, gid, &read(USERS), &read(GROUPS))
}

fn lists(uid: u32, gid: u32, users: &str, groups: &str) -> bool {
    let name_of = |line: &str| line.split(':').next().map(str::to_owned);
    let user =
        users.lines().find(|line| line.split(':').nth(2) == Some(uid.to_string().as_str())).and_then(name_of);
    let group = groups.lines().find(|line| line.split(':').nth(2) == Some(gid.to_string().as_str()));
    let members = group.and_then(|line| line.split(':').nth(3)).unwrap_or_default();
    user.is_some_and(|user| members.split(',').any(|member| member == user))
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
    fn members_of_a_group_are_found_by_numbers() {
        let users = "root:x:0:0::/:\napp:x:990:990::/:\nann:x:1000:1000::/:\n";
        let groups = "root:x:0:\nreaders:x:77:app,ann\n";
        assert!(lists(990, 77, users, groups) && lists(1000, 77, users, groups));
        assert!(
            !lists(0, 77, users, groups) && !lists(990, 0, users, groups) && !lists(5, 77, users, groups)
        );
    }

    #[test]
    fn numbers_need_no_database() {
        assert_eq!(number("4711", "/nonexistent"), Some(4711));
        assert_eq!(number("4294967295", "/nonexistent"), None, "-1 means `leave alone` to chown");
        assert_eq!(number("99999999999", "/nonexistent"), None);
    }
}
