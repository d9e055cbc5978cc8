//! The part of the watch that looks at targets, servers and hooks.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::engine::Key;
use super::super::plan::{HookId, SetId, TargetId};
use super::super::server::PLACES;
use super::super::{Event, HookFailure, set};
use super::{Watch, Write};
use crate::domain::{ErrorClass, Generation, TokenMeta};

impl Watch {
    /// A write that is out ends.
    pub(in crate::core) fn write(&mut self, which: usize, how: Write) {
        if self.writes.is_empty() {
            return;
        }
        let (target, revision, members) = self.writes.remove(which % self.writes.len());
        let fails = |message: &str, server_away| {
            let (target, message) = (target.clone(), message.to_owned());
            Event::Undelivered { target, revision, message, server_away, class: ErrorClass::Transient }
        };
        if how != Write::Works {
            let away = how == Write::ServerAway;
            self.handle(fails(if away { "connection refused" } else { "disk full" }, away));
            return;
        }
        let tokens = members.iter().map(|name| {
            let token = self.store.get(name)?.token?;
            Some((
                name.clone(),
                self.plan.accounts.get(name).and_then(|plan| plan.identity),
                token.generation,
            ))
        });
        let Some(new) = tokens.collect::<Option<Vec<_>>>() else {
            self.handle(fails("no token is stored", false));
            return;
        };
        let held: Vec<Generation> = new.iter().map(|(.., generation)| *generation).collect();
        if new.is_empty() {
            self.sinks.remove(&target);
        } else if let Some(old) = self.sinks.insert(target.clone(), new.clone()) {
            for (old, new) in old.iter().zip(&new).filter(|(old, new)| (&old.0, old.1) == (&new.0, new.1)) {
                assert!(old.2 <= new.2, "no member's generation ever falls");
            }
        }
        let print = held.iter().fold(1, |print, generation| print * 1_000 + generation.0);
        let held = (!held.is_empty()).then_some(held);
        self.handle(Event::Delivered { target, revision, held, written: true, print });
    }

    /// A hook that runs ends.
    pub(in crate::core) fn notify(&mut self, which: usize, works: bool) {
        if self.runs.is_empty() {
            return;
        }
        let (set, hook, revision, mark) = self.runs.remove(which % self.runs.len());
        let known = self.plan_of(&set).contains(&hook);
        let ours = self.engine.runs[&(set.clone(), hook)].published.is_some(); // not of an earlier set of that name
        if works && known && ours {
            self.told.insert((set.clone(), hook), mark);
        }
        let failure = HookFailure { class: ErrorClass::Transient, message: "status 1".to_owned() };
        let result = if works { Ok(()) } else { Err(failure) };
        self.handle(Event::Notified { set, hook, revision, result });
    }

    pub(super) fn plan_of(&self, set: &SetId) -> Vec<HookId> {
        set::hooks_of(&self.plan).remove(set).unwrap_or_default()
    }

    /// What a hook is told holds what it is told of: nothing that could not be written is among it.
    pub(super) fn check_named(&self, set: &SetId, mark: u64, targets: &[TargetId]) {
        for target in targets {
            let held = self.sinks.get(target).unwrap_or_else(|| panic!("{target} holds nothing"));
            if let SetId::Account(_) = set {
                assert!(held.iter().all(|(.., generation)| generation.0 >= mark), "{target} holds {held:?}");
            }
            assert_eq!(self.engine.set_of(target).as_ref(), Some(set));
        }
    }

    pub(super) fn check_target(&self, id: &TargetId) {
        let engine = &self.engine;
        let target = engine.targets.get(id).unwrap();
        assert_eq!(target.in_flight, self.writes.iter().any(|(other, ..)| other == id));
        let retry = engine.timers.at(&Key::Target(id.clone()));
        assert!(retry.is_none_or(|deadline| deadline.left(self.now) <= Duration::from_secs(60)));
        if target.leaving {
            let retire = engine.timers.at(&Key::Retire(id.clone())).is_some();
            assert!(retire || target.in_flight, "{id} never leaves");
            return;
        }
        let known = target.members.iter().map(|name| engine.accounts.get(name)?.live_token(self.now));
        let Some(tokens) = known.collect::<Option<Vec<TokenMeta>>>() else { return };
        let holds = target
            .held()
            .is_some_and(|held| held.iter().zip(&tokens).all(|(held, token)| *held >= token.generation));
        let waits = target.in_flight || retry.is_some() || target.queued.is_some();
        assert!(holds || waits, "{id} is left behind");
    }

    pub(super) fn check_servers(&self) {
        let engine = &self.engine;
        for (name, server) in &engine.servers {
            let targets = engine.targets.values();
            let out = targets.filter(|target| target.via.as_ref() == Some(name)).count();
            assert_eq!(server.in_flight, out);
            assert!(out <= PLACES, "{out} writes at {name}");
            for (turn, id) in &server.waiting {
                let target = engine.targets.get(id).unwrap();
                assert_eq!((target.queued, target.in_flight), (Some(*turn), false), "{id}");
                assert_eq!(target.plan.server.as_ref(), Some(name));
                assert!(engine.step(target, self.now).is_some(), "{id} waits for nothing");
            }
            match &server.away {
                None => assert!(server.waiting.is_empty() || out == PLACES, "a queue that nobody looks at"),
                Some(away) => {
                    assert!(away.until.left(self.now) <= Duration::from_secs(60));
                    let looks =
                        engine.timers.at(&Key::Server(name.clone())).is_some() || away.probe.is_some();
                    assert!(looks || server.waiting.is_empty(), "nobody tries {name}");
                    let probe = away.probe.as_ref().and_then(|(id, _)| engine.targets.get(id));
                    assert!(away.probe.is_none() || probe.is_some_and(|target| target.in_flight));
                }
            }
        }
        for (id, target) in engine.targets.iter() {
            let name = target.plan.server.as_ref();
            let waits = name.and_then(|name| engine.servers.get(name)).is_some_and(|server| {
                target.queued.is_some_and(|turn| server.waiting.contains(&(turn, id.clone())))
            });
            assert_eq!(target.queued.is_some(), waits, "{id}");
        }
    }

    pub(super) fn check_sets(&self) {
        let engine = &self.engine;
        let hooks = set::hooks_of(&self.plan);
        assert!(engine.sets.keys().eq(hooks.keys()));
        let runs: BTreeSet<_> = self.runs.iter().map(|(set, hook, ..)| (set.clone(), *hook)).collect();
        assert!(engine.runs.keys().eq(&runs));
        for (id, set) in &engine.sets {
            assert!(set.hooks.iter().map(|hook| &hook.id).eq(&hooks[id]), "in the plan's order");
            for hook in set.hooks.iter().filter(|hook| hook.told != Some(set.due)) {
                let retry = engine.timers.at(&Key::Hook(id.clone(), hook.id));
                assert!(retry.is_none_or(|deadline| deadline.left(self.now) <= Duration::from_secs(60)));
                let runs = runs.contains(&(id.clone(), hook.id));
                assert!(retry.is_some() || runs || self.stopped, "{id:?} never tells {hook:?}");
            }
        }
    }

    /// A hook is run.
    pub(super) fn told_of(
        &mut self,
        set: SetId,
        hook: HookId,
        revision: u64,
        mark: u64,
        targets: &[TargetId],
    ) {
        assert!(!self.stopped, "no hook runs after shutdown");
        assert!(self.plan_of(&set).contains(&hook), "only hooks of the plan run");
        let runs = |(other, which, ..): &(SetId, HookId, u64, u64)| (other, *which) == (&set, hook);
        assert!(!self.runs.iter().any(runs), "one run a hook");
        let again = self.engine.sets[&set].due.1 > 0; // a target has come late
        let known = self.told.remove(&(set.clone(), hook));
        assert!(mark != 0 && (known != Some(mark) || again), "{set:?} {hook} is told {mark} twice");
        self.check_named(&set, mark, targets);
        self.runs.push((set, hook, revision, mark));
    }

    /// All hooks of the set know of that mark.
    pub(super) fn marked(&mut self, set: SetId, mark: u64) {
        for hook in self.plan_of(&set) {
            let known = self.told.get(&(set.clone(), hook));
            // A hook that was added to a noted set has nothing to learn.
            assert!(known.is_none_or(|known| *known == mark), "{set:?} {hook} knows {known:?}");
        }
        assert_ne!(self.noted.insert(set, mark), Some(mark), "noted once");
    }
}
