//! Drift: what someone else does to a delivered file is mended, once, and said.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::time::Instant;

use renewd::simulator::Provider;
use serde_json::json;

use crate::support::{World, is_root, millis, replace, secs, skip, throughout, until};

fn is_right(path: &Path, token: &str) -> bool {
    let right = fs::read_to_string(path).is_ok_and(|text| text == token);
    right && fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o777 == 0o640)
}

#[test]
fn a_delivered_file_that_is_touched_is_mended_once_without_a_request() {
    let world = World::living(secs(3600));
    type Deed = fn(&Path);
    let deeds: [(&str, Deed); 4] = [
        ("removed", |path| fs::remove_file(path).unwrap()),
        ("written-over", |path| fs::write(path, "another").unwrap()),
        ("opened-to-all", |path| fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap()),
        ("replaced", |path| replace(path, "another")),
    ];
    let path = |name: &str| world.out(&format!("{name}.token"));
    let accounts = deeds.iter().map(|(name, _)| {
        let mut account = world.account(Provider::Bizppurio, name);
        account["sinks"] = json!([{ "file": { "path": path(name), "mode": "0640" } }]);
        ((*name).to_owned(), account)
    });
    let agent = world.start(&world.config(accounts));
    agent.until_well();
    let tokens = deeds.map(|(name, _)| fs::read_to_string(path(name)).unwrap());
    for (name, deed) in deeds {
        deed(&path(name));
    }
    // The folder is watched a second after the first delivery at the latest; a sweep each minute finds the rest.
    until("every file as it was", secs(70), || {
        let mut files = deeds.iter().zip(&tokens);
        files.all(|((name, _), token)| is_right(&path(name), token)).then_some(())
    });
    until("a line for each", secs(5), || (agent.logged("sink_mended") == 4).then_some(()));
    throughout("each is said once", secs(3), || agent.logged("sink_mended") == 4);
    if is_root() {
        let path = path("removed");
        chown(&path, Some(65_534), None).unwrap();
        until("the owner", secs(70), || {
            fs::metadata(&path).is_ok_and(|found| found.uid() == 0).then_some(())
        });
    } else {
        skip("a_delivered_file_that_is_touched: another owner", "only root gives files away");
    }
    assert_eq!(world.sim.requests(), 4);
    agent.stop();
}

#[test]
fn what_happens_inside_a_set_that_flips_as_one_is_mended_as_fast_as_a_file() {
    let world = World::living(secs(3600));
    type Deed = fn(&Path);
    let deeds: [(&str, Deed); 6] = [
        ("written-over", |set| fs::write(set.join("one"), "another").unwrap()),
        ("opened-to-all", |set| {
            fs::set_permissions(set.join("one"), fs::Permissions::from_mode(0o666)).unwrap();
        }),
        ("a-name-removed", |set| fs::remove_file(set.join("two")).unwrap()),
        ("a-file-too-many", |set| fs::write(set.join("..data/three"), "another").unwrap()),
        ("bent", |set| {
            symlink("/nowhere", set.join("..bent")).unwrap();
            fs::rename(set.join("..bent"), set.join("..data")).unwrap();
        }),
        // At once: what is mended half-way, and removed again, is left alone for ten seconds.
        ("removed", |set| {
            let gone = set.with_extension("gone");
            fs::rename(set, &gone).unwrap();
            fs::remove_dir_all(gone).unwrap();
        }),
    ];
    let set = |name: &str| world.out(&format!("{name}.set"));
    let files = json!({ "one": { "inline": "{{ accounts.a.access_token }}" }, "two": { "inline": "{{ accounts.a.access_token }}" } });
    let mut config = world.one(Provider::Bizppurio);
    config["templates"] = deeds
        .iter()
        .map(|(name, _)| json!({ "directory": set(name), "files": files, "mode": "0640" }))
        .collect();
    let agent = world.start(&config);
    agent.until_well();
    let wrong = || {
        let token = world.read("a.token");
        let right = |set: &Path| {
            fs::read_dir(set.join("..data")).is_ok_and(|files| files.count() == 2)
                && ["one", "two"].iter().all(|name| is_right(&set.join(name), &token))
        };
        let wrong = deeds.iter().filter(|(name, _)| !right(&set(name))).map(|(name, _)| *name);
        wrong.collect::<Vec<_>>()
    };
    until("every set", secs(10), || wrong().is_empty().then_some(()));
    // The first set of each is watched, and after a flip the next one.
    for round in 1..=2 {
        for (name, deed) in &deeds {
            deed(&set(name));
        }
        let begun = Instant::now();
        // The next look of every minute is further away than this.
        while !wrong().is_empty() {
            assert!(begun.elapsed() < secs(20), "round {round}: {:?}", wrong());
            std::thread::sleep(millis(20));
        }
        eprintln!("all six were mended after {:?}", begun.elapsed());
        until("a line for each", secs(5), || (agent.logged("sink_mended") == 6 * round).then_some(()));
        if round == 1 {
            // Whom it has just mended it leaves alone for ten seconds. Its own flips are nobody's deed.
            assert_eq!(agent.renew("a").0, 200);
            throughout("its own flip is no drift", secs(11), || agent.logged("sink_mended") == 6);
            assert!(wrong().is_empty());
        }
    }
    throughout("each is said once", secs(3), || agent.logged("sink_mended") == 12);
    assert_eq!(world.sim.requests(), 2);
    agent.stop();
}

#[test]
fn a_folder_that_is_removed_with_its_files_is_made_again() {
    let world = World::living(secs(3600));
    let agent = world.start(&world.one(Provider::Bizppurio));
    agent.until_well();
    let token = world.read("a.token");
    fs::remove_dir_all(world.out("a.token").parent().unwrap()).unwrap();
    until("the file", secs(70), || {
        fs::read_to_string(world.out("a.token")).is_ok_and(|text| text == token).then_some(())
    });
    assert_eq!(world.sim.requests(), 1);
    agent.stop();
}

#[test]
fn a_link_that_comes_into_a_delivered_files_place_is_replaced_and_what_it_names_stays() {
    let world = World::living(secs(3600));
    let theirs = world.put("theirs", "do not touch");
    fs::set_permissions(&theirs, fs::Permissions::from_mode(0o644)).unwrap();
    let config = world.one(Provider::Bizppurio);
    let agent = world.start(&config);
    agent.until_well();
    let path = world.out("a.token");
    let bend = || {
        symlink(&theirs, path.with_extension("link")).unwrap();
        fs::rename(path.with_extension("link"), &path).unwrap();
    };
    let is_a_file = || fs::symlink_metadata(&path).is_ok_and(|found| found.is_file()).then_some(());
    let token = world.read("a.token");
    bend();
    until("a file again", secs(70), is_a_file);
    assert_eq!(world.read("a.token"), token);
    until("a line", secs(5), || (agent.logged("sink_mended") == 1).then_some(()));
    assert!(agent.log().contains("it was not followed"), "{}", agent.log());
    // Whom it has just mended it leaves alone for ten seconds: this one is found by the renewal.
    bend();
    assert_eq!(agent.renew("a").0, 200);
    until("a file again", secs(5), is_a_file);
    assert!(world.sim.accepts(Provider::Bizppurio, &world.read("a.token")));
    assert_ne!(world.read("a.token"), token);
    assert_eq!(fs::read_to_string(&theirs).unwrap(), "do not touch");
    assert_eq!(fs::metadata(&theirs).unwrap().permissions().mode() & 0o777, 0o644);
    agent.stop();
    // What stands there at a start was put there for the agent to follow.
    bend();
    let agent = world.start(&config);
    agent.until_well();
    assert!(is_a_file().is_none(), "the link stays");
    assert!(world.sim.accepts(Provider::Bizppurio, &fs::read_to_string(&theirs).unwrap()));
}
