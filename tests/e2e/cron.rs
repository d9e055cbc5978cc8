//! `renew.cron`.

use renewd::simulator::Provider;
use serde_json::json;

use crate::support::{World, account, generation, secs};

#[test]
fn a_calendar_rotates_on_time_and_never_past_min_interval() {
    let world = World::living(secs(6000));
    let kind = Provider::OAuthClientCredentials;
    let mut config =
        world.config(["often", "held", "daily"].map(|name| (name.to_owned(), world.account(kind, name))));
    config["accounts"]["often"]["renew"] = json!({ "cron": "*/2 * * * * *", "timezone": "Asia/Seoul" });
    config["accounts"]["held"]["renew"] = json!({ "cron": "*/2 * * * * *", "min_interval": "1h" });
    // Twelve hours from now in Seoul, so that it does not fire during the test.
    let later = jiff::Timestamp::now().in_tz("Asia/Seoul").unwrap().hour() + 12;
    config["accounts"]["daily"]["renew"] =
        json!({ "cron": format!("0 0 {} * * *", later % 24), "timezone": "Asia/Seoul" });
    let agent = world.start(&config);
    agent.until_well();
    let status = agent.until("five generations", secs(20), |status| generation(status, "often") >= 5);
    assert_eq!((generation(&status, "held"), generation(&status, "daily")), (1, 1));
    let journal = world.sim.journal();
    let often: Vec<i64> = journal
        .iter()
        .filter(|seen| seen.account == "id-often")
        .map(|seen| seen.at.as_millisecond())
        .collect();
    for at in &often[1..] {
        // On the even second; the scheduler looks twice a second.
        let late = at.rem_euclid(2_000);
        assert!(late < 1_200, "{late} ms late");
    }
    let renew_at: jiff::Timestamp = account(&status, "daily")["renew_at"].as_str().unwrap().parse().unwrap();
    let expires_at: jiff::Timestamp =
        account(&status, "daily")["expires_at"].as_str().unwrap().parse().unwrap();
    assert!(renew_at < expires_at);

    // A reload takes the calendar away.
    config["accounts"]["often"]["renew"] = json!({});
    world.write(&config);
    agent.until("the reload", secs(5), |status| status["config"]["generation"] == 2);
    let then = generation(&agent.status(), "often");
    std::thread::sleep(secs(3));
    assert!(generation(&agent.status(), "often") <= then + 1);
}
