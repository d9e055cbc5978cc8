//! What the state of a host makes of the pauses of its accounts, and whom its return concerns.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

impl Bench {
    /// The request of that account that is out.
    fn issue_of(&mut self, name: &str) -> Issue {
        let at = self.issues.iter().position(|issue| issue.account.as_str() == name);
        self.issues.remove(at.unwrap_or_else(|| panic!("{name} is not asked for: {:?}", self.issues)))
    }

    fn asks(&self, name: &str) -> bool {
        self.issues.iter().any(|issue| issue.account.as_str() == name)
    }

    fn fails(&mut self, name: &str, class: ErrorClass) {
        let issue = self.issue_of(name);
        self.issues.push(issue);
        self.fail(class);
    }

    fn is_granted(&mut self, name: &str, life: Duration) {
        let issue = self.issue_of(name);
        self.issues.push(issue);
        self.grant(life);
    }

    fn asked_for(&mut self, name: &str) {
        self.handle(Event::Asked { account: id(name) });
    }

    /// How long the last host that went down is left alone.
    fn shut_for(&self) -> Option<Duration> {
        self.others.iter().rev().find_map(|effect| match effect {
            Effect::Say(Note::HostDown { until, .. }) => Some(until.since(self.now.wall)),
            _ => None,
        })
    }

    /// Those accounts fail until their host is found down.
    fn bring_down(&mut self, names: &[&str]) {
        self.others.clear();
        while self.shut_for().is_none() {
            let out = names.iter().find(|name| self.asks(name));
            match out {
                Some(name) => self.fails(name, ErrorClass::Transient),
                None => self.pass(Duration::from_millis(50)),
            }
        }
    }
}

fn at(host: &str) -> AccountPlan {
    AccountPlan { host: Arc::from(host), ..plan() }
}

#[test]
fn a_host_is_left_alone_for_as_long_as_its_own_accounts_can_wait_but_for_those_that_wait_for_a_person() {
    let accounts = [("a", at("x")), ("b", at("x")), ("refused", at("x")), ("elsewhere", at("y"))];
    let mut bench = Bench::new(&accounts);
    bench.is_granted("a", 9 * HOUR);
    bench.is_granted("b", 9 * HOUR);
    bench.fails("refused", ErrorClass::Rejected);
    bench.fails("elsewhere", ErrorClass::Transient);
    bench.pass(SECOND * 9);
    ["a", "b"].iter().for_each(|name| bench.asked_for(name));
    bench.bring_down(&["a", "b"]);
    let patient = bench.shut_for();
    assert!(patient > Some(SECOND * 5), "nobody who has lost all waits for it: {patient:?}");
}

#[test]
fn the_return_of_one_host_brings_back_its_own_accounts_and_nobody_elses() {
    let mut bench = Bench::new(&[("a", at("x")), ("b", at("x")), ("c", at("y"))]);
    bench.bring_down(&["a", "b"]);
    for name in ["a", "b"] {
        while bench.asks(name) {
            bench.fails(name, ErrorClass::Transient);
        }
    }
    bench.fails("c", ErrorClass::Transient);
    for _ in 0..9 {
        bench.asked_for("c");
        bench.fails("c", ErrorClass::Transient);
    }
    while bench.next_ask("c") < SECOND * 9 {
        bench.asked_for("c");
        bench.fails("c", ErrorClass::Transient);
    }
    while !bench.asks("a") && !bench.asks("b") {
        bench.pass(Duration::from_millis(50));
    }
    let (probe, other) = if bench.asks("a") { ("a", "b") } else { ("b", "a") };
    let elsewhere = bench.next_ask("c");
    assert!(!elsewhere.is_zero());
    bench.is_granted(probe, HOUR);
    assert!(bench.asks(other) && !bench.asks("c"));
    assert_eq!(bench.next_ask("c"), elsewhere);
}

#[test]
fn the_first_answer_of_a_host_hurries_nobody_who_has_failed_since_the_start() {
    let mut bench = Bench::new(&["a", "b"].map(|name| (name, plan())));
    bench.fails("a", ErrorClass::Transient);
    let ask = bench.next_ask("a");
    bench.is_granted("b", HOUR);
    assert_eq!((bench.issues.len(), bench.next_ask("a")), (0, ask));
}

#[test]
fn an_account_that_moves_to_another_host_fails_by_that_hosts_fault() {
    let accounts = |host: &str| [("a", at(host)), ("b", at("y")), ("c", at("y"))];
    let mut bench = Bench::new(&accounts("x"));
    bench.fails("a", ErrorClass::Transient);
    bench.pass(SECOND * 10);
    while bench.asks("a") {
        bench.fails("a", ErrorClass::Transient);
    }
    bench.is_granted("b", 9 * HOUR);
    bench.is_granted("c", 9 * HOUR);
    bench.configure(&accounts("y"), BTreeMap::new());
    bench.pass(SECOND * 9);
    for name in ["a", "b", "c"] {
        bench.asked_for(name);
    }
    bench.fails("a", ErrorClass::Transient);
    bench.bring_down(&["b", "c", "a"]);
    for name in ["a", "b", "c"] {
        while bench.asks(name) {
            bench.fails(name, ErrorClass::Transient);
        }
    }
    while bench.issues.is_empty() {
        bench.pass(Duration::from_millis(50));
    }
    while bench.asks("a") {
        bench.fails("a", ErrorClass::Transient);
        while bench.issues.is_empty() {
            bench.pass(Duration::from_millis(50));
        }
    }
    bench.grant(9 * HOUR);
    assert!(bench.asks("a"), "it waited for that host's return like the others");
}

#[test]
fn one_that_hung_while_its_host_was_found_back_waits_as_long_as_its_own_failure_says() {
    let wait = |wait, host_fault| {
        let mut bench = Bench::new(&["a", "b"].map(|name| (name, plan())));
        bench.bring_down(&["a", "b"]);
        for name in ["a", "b"] {
            while bench.asks(name) {
                bench.fails(name, ErrorClass::Transient);
            }
        }
        while bench.issues.len() < 2 {
            bench.pass(Duration::from_millis(100)); // the first one hangs, so that the other probes, too
        }
        let hung = bench.issues.remove(0);
        bench.grant(HOUR);
        let no = FailureMeta::new(ErrorClass::Transient, "no".to_owned());
        let failure = FailureMeta { wait, host_fault, ..no };
        let name = hung.account.clone();
        bench.handle(Event::Failed { account: hung.account, epoch: hung.epoch, failure });
        bench.next_ask(name.as_str())
    };
    assert_eq!(wait(None, true), SECOND);
    assert_eq!(wait(Some(SECOND * 90), true), SECOND * 90, "the vendor's word");
    assert!(wait(None, false) > SECOND, "it was not the host");
}

#[test]
fn only_accounts_of_that_host_that_have_lost_all_share_its_probes() {
    let accounts = [("a", plan()), ("b", plan()), ("living", plan()), ("elsewhere", at("y"))];
    let mut bench = Bench::new(&accounts);
    bench.is_granted("living", 30 * HOUR);
    bench.fails("elsewhere", ErrorClass::Transient);
    bench.asked_for("elsewhere");
    let out = bench.issue_of("elsewhere"); // to which it never gets an answer
    let (mut gaps, mut last) = (Vec::new(), None);
    let (calm, end) = (bench.now.boot.plus(HOUR / 12), bench.now.boot.plus(HOUR));
    while bench.now.boot < end {
        bench.pass(Duration::from_millis(100));
        while !bench.issues.is_empty() {
            bench.fail(ErrorClass::Transient);
            if bench.now.boot > calm {
                gaps.extend(last.replace(bench.now.boot).map(|last| bench.now.boot.since(last)));
            }
        }
    }
    assert_eq!(out.account, id("elsewhere"));
    let longest = gaps.iter().max().copied();
    assert!(longest <= Some(Duration::from_millis(15_300)), "12.5 s and a tenth of 25 s: {longest:?}");
}

#[test]
fn who_has_something_to_lose_or_has_hardly_failed_takes_no_turns_while_its_host_is_down() {
    let mut bench = Bench::new(&["a", "b", "c"].map(|name| (name, plan())));
    bench.is_granted("c", HOUR / 4);
    let end = bench.now.boot.plus(HOUR / 4);
    let mut seen = [0, 0];
    while bench.now.boot < end {
        bench.pass(Duration::from_millis(100));
        while let Some(issue) = bench.issues.last() {
            let name = issue.account.to_string();
            bench.fail(ErrorClass::Transient);
            let (view, wait) = (bench.view(&name), bench.next_ask(&name));
            if view.alive && view.attempt > 6 {
                assert!(wait <= (view.left / 3).max(SECOND / 4), "{name}: {wait:?} of {:?}", view.left);
                seen[0] += usize::from(view.left < SECOND * 60);
            } else if !view.alive && view.attempt < 5 {
                assert!(wait <= SECOND * 17, "{name}: {wait:?} at {}", view.attempt);
                seen[1] += 1;
            }
        }
    }
    assert!(seen[0] > 2 && seen[1] > 4, "{seen:?}");
}
