//! The promises that the engine alone can show, in virtual time.

use std::time::Duration;

use super::simulation::{Fault, Scenario, run};

#[test]
fn an_hour_of_quiet_renews_each_account_once_in_forty_minutes() {
    let report = run(&Scenario { accounts: 100, hosts: 10, ..Scenario::default() });
    println!("{report:#?}");
    assert_eq!((report.failures, report.expiries, report.left_expired), (0, 0, 0));
    assert!((3_500..3_800).contains(&report.requests), "{}", report.requests);
}
