//! New tokens that are tried before they are used.

use super::*;
use crate::domain::ErrorInfo;

impl Bench {
    /// The request of that account has brought a token, or one waits from before.
    fn candidate(&mut self, name: &str, asked: bool) -> Issue {
        let at = self.issues.iter().position(|issue| issue.account.as_str() == name).unwrap();
        let issue = self.issues.remove(at);
        let protected = self.view(name).alive;
        self.handle(Event::Candidate { account: issue.account.clone(), epoch: issue.epoch, asked });
        let verify = Effect::Verify {
            account: issue.account.clone(),
            epoch: issue.epoch,
            generation: issue.generation,
            protected,
        };
        assert_eq!(self.others.pop(), Some(verify));
        issue
    }

    /// How tries were to end since this was last asked.
    fn ends(&mut self) -> Vec<Ending> {
        let ends = self.others.iter().filter_map(|effect| match effect {
            Effect::EndVerify { account, ending } if account.as_str() == "a" => Some(*ending),
            _ => None,
        });
        let ends = ends.collect();
        self.others.retain(|effect| !matches!(effect, Effect::EndVerify { .. }));
        ends
    }

    fn verified(&mut self, issue: &Issue, unverified: Option<ErrorInfo>) {
        let (generation, issued_at) = (issue.generation, self.now.wall);
        let token = TokenMeta { generation, issued_at, expires_at: issued_at.plus(HOUR) };
        let meta =
            IssuedMeta { token, admission: Admission::Promoted, refresh: None, owner: None, unverified };
        self.handle(Event::Issued { account: issue.account.clone(), epoch: issue.epoch, meta });
    }
}

fn verifying() -> AccountPlan {
    AccountPlan { verify: true, targets: vec![target("t")], ..plan() }
}

fn refused(now: Now) -> ErrorInfo {
    ErrorInfo { class: ErrorClass::Malformed, message: "HTTP 401".to_owned(), at: now.wall }
}

#[test]
fn a_token_that_is_being_tried_holds_no_place_at_the_token_apis_host() {
    let limit = Limit { period: None, burst: 1, concurrency: 1 };
    let mut bench = Bench::new(&["a", "b"].map(|name| (name, AccountPlan { limit, verify: true, ..plan() })));
    assert_eq!(bench.issues.len(), 1);
    let first = bench.issues[0].account.to_string();
    let issue = bench.candidate(&first, true);
    assert_eq!(bench.issues.len(), 1, "the other one is asked for");
    let view = bench.view(&first);
    assert!(view.asking && view.verifying && view.token.is_none() && bench.engine.is_busy());
    bench.pass(Duration::from_secs(20)); // the other request stalls, this one does not
    bench.verified(&issue, None);
    let view = bench.view(&first);
    assert!(!view.asking && !view.verifying && view.alive && view.unverified.is_none());
}

#[test]
fn a_token_that_is_delivered_unverified_is_known_to_be_until_the_next_one() {
    let mut bench = Bench::new(&[("a", verifying())]);
    let issue = bench.candidate("a", true);
    assert!(bench.writes.is_empty(), "sinks do not see it");
    let why = refused(bench.now);
    bench.verified(&issue, Some(why.clone()));
    bench.write(1);
    let view = bench.view("a");
    assert_eq!((view.state, view.unverified), (AccountState::Fresh, Some(&why)));
    bench.handle(Event::Asked { account: id("a") });
    let issue = bench.candidate("a", true);
    assert_eq!(bench.view("a").unverified, Some(&why), "the one that is there still is not");
    bench.verified(&issue, None);
    assert_eq!(bench.view("a").unverified, None);
}

#[test]
fn what_is_not_to_be_verified_any_more_is_not_unverified() {
    let mut bench = Bench::new(&[("a", verifying())]);
    let issue = bench.candidate("a", true);
    bench.verified(&issue, Some(refused(bench.now)));
    bench.configure(&[("a", AccountPlan { verify: false, ..verifying() })], BTreeMap::new());
    assert_eq!(bench.view("a").unverified, None);
}

#[test]
fn an_unverified_token_is_known_after_a_restart() {
    let now = Timestamp::from_secs(1_700_000_000);
    let token = TokenMeta { generation: Generation(4), issued_at: now, expires_at: now.plus(HOUR) };
    let unverified = Some(ErrorInfo { class: ErrorClass::Malformed, message: "no".to_owned(), at: now });
    let stored = Restored {
        token: Some(token),
        generation: Generation(4),
        unverified: unverified.clone(),
        ..Restored::default()
    };
    let bench = Bench::restored(&[("a", verifying())], BTreeMap::from([(id("a"), stored.clone())]));
    assert_eq!(bench.view("a").unverified, unverified.as_ref());
    let bench = Bench::restored(&[("a", plan())], BTreeMap::from([(id("a"), stored)]));
    assert_eq!(bench.view("a").unverified, None, "`verify` was taken away meanwhile");
}

#[test]
fn a_candidate_that_is_tried_again_is_no_request_to_the_provider() {
    let min_interval = HOUR / 2;
    let mut bench = Bench::new(&[("a", AccountPlan { min_interval, ..verifying() })]);
    bench.grant(HOUR);
    bench.pass(HOUR / 2);
    bench.handle(Event::Asked { account: id("a") });
    let issue = bench.candidate("a", false);
    let failure = FailureMeta::new(ErrorClass::Transient, "HTTP 503".to_owned());
    bench.handle(Event::Failed { account: issue.account, epoch: issue.epoch, failure });
    let view = bench.view("a");
    assert_eq!((view.state, view.held_until), (AccountState::Retrying, None));
    assert!(bench.next_ask("a") < Duration::from_secs(60), "min_interval holds nothing back");
}

#[test]
fn a_try_that_hangs_is_waited_for_until_the_old_token_has_ended() {
    let mut bench = Bench::new(&[("a", verifying())]);
    let first = bench.candidate("a", true);
    let mut first_one = bench.clone();
    first_one.pass(HOUR * 2);
    assert!(first_one.ends().is_empty(), "there is no old token");
    bench.verified(&first, None);
    bench.pass(HOUR / 2);
    bench.handle(Event::Asked { account: id("a") });
    let second = bench.candidate("a", true);
    bench.pass(HOUR / 2 - Duration::from_millis(1));
    assert!(bench.ends().is_empty(), "the old token lives");
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.ends(), [Ending::Use]);
    bench.pass(Duration::from_secs(1));
    assert!(bench.ends().is_empty(), "said once");
    bench.verified(&second, Some(refused(bench.now)));
    assert_eq!(bench.view("a").state, AccountState::Fresh);
}

#[test]
fn a_try_is_cut_off_when_the_agent_stops_and_counts_as_no_failure() {
    let mut bench = Bench::new(&["a", "b"].map(|name| (name, AccountPlan { verify: true, ..plan() })));
    let tried = bench.candidate("a", true);
    bench.handle(Event::Shutdown);
    assert_eq!(bench.ends(), [Ending::Keep]);
    assert!(bench.engine.is_busy(), "its end is waited for");
    bench.others.clear();
    bench.handle(Event::Untried { account: tried.account, epoch: tried.epoch });
    // The other request has brought a token meanwhile: it is not even tried.
    let late = bench.issues.remove(0);
    bench.handle(Event::Candidate { account: late.account, epoch: late.epoch, asked: true });
    assert!(!bench.engine.is_busy() && bench.others.is_empty(), "{:?}", bench.others);
    for name in ["a", "b"] {
        let view = bench.view(name);
        assert!(view.untried && view.error.is_none() && view.attempt == 0, "{view:?}");
    }
}

#[test]
fn a_candidate_of_an_earlier_life_is_tried_at_once_and_its_request_counts_for_min_interval() {
    let asked = Timestamp::from_secs(1_700_000_000).minus(Duration::from_secs(60));
    let stored = Restored { last_request: Some(asked), untried: true, ..Restored::default() };
    let account = AccountPlan { min_interval: HOUR, ..verifying() };
    let mut bench = Bench::restored(&[("a", account)], BTreeMap::from([(id("a"), stored)]));
    assert!(bench.view("a").untried);
    let issue = bench.candidate("a", false);
    let failure = FailureMeta::new(ErrorClass::Transient, "HTTP 503".to_owned());
    bench.handle(Event::Failed { account: issue.account, epoch: issue.epoch, failure });
    let view = bench.view("a");
    assert_eq!((view.untried, view.held_until), (false, Some(asked.plus(HOUR))));
}

#[test]
fn a_candidate_of_an_earlier_life_is_tried_at_once_although_the_token_before_it_lives() {
    let now = Timestamp::from_secs(1_700_000_000);
    let token = TokenMeta {
        generation: Generation(1),
        issued_at: now.minus(Duration::from_secs(1)),
        expires_at: now.plus(HOUR),
    };
    for untried in [true, false] {
        let stored =
            Restored { token: Some(token), generation: Generation(1), untried, ..Restored::default() };
        let bench = Bench::restored(&[("a", verifying())], BTreeMap::from([(id("a"), stored)]));
        assert_eq!(bench.issues.len(), usize::from(untried));
    }
}

#[test]
fn a_candidate_of_an_account_that_has_changed_meanwhile_is_not_tried() {
    let mut bench = Bench::new(&[("a", verifying())]);
    let issue = bench.issues.remove(0);
    let change = CredentialChange::Identity(2, Box::default());
    bench.handle(Event::CredentialChanged { account: id("a"), change });
    bench.others.clear();
    bench.handle(Event::Candidate { account: issue.account, epoch: issue.epoch, asked: true });
    assert!(!bench.others.iter().any(|effect| matches!(effect, Effect::Verify { .. })));
    assert_eq!(bench.issues.len(), 1, "its successor asks");
}
