//! Servers: many targets stand on one Vault or Kubernetes API and fail together when it is away. Then they wait on one
//! timer; when it is due one of them goes first, and the others follow once it has an answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::account::Account;
use super::effect::{Effect, Note};
use super::engine::{Engine, Key};
use super::plan::{SetId, TargetId, unit};
use super::target::Turn;
use crate::domain::{AccountId, BootInstant, Deadline, ErrorClass, ErrorInfo, Now, Timestamp};

/// Writes in flight at one server.
pub(super) const PLACES: usize = 16;
/// The first pause, and the shortest after a try that took long.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// The longest time from one try to the next.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The look at a server for which accounts that lack secrets wait.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Knocking {
    /// One is set, or under way.
    busy: bool,
    /// Looks in a row, also those that were answered where accounts went on to wait: one that is slow is not hurried.
    rounds: u32,
    /// When the last one ended.
    ended: Option<BootInstant>,
}

/// All servers that something stands on.
pub(super) type Servers = BTreeMap<Arc<str>, Server>;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Server {
    pub(super) in_flight: usize,
    pub(super) waiting: BTreeSet<(Turn, TargetId)>,
    pub(super) away: Option<Away>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Away {
    pub(super) since: Timestamp,
    from: BootInstant,
    pub(super) until: Deadline,
    /// Tries that have failed since.
    rounds: u32,
    pub(super) error: ErrorInfo,
    /// The one that tries it, and when it left.
    pub(super) probe: Option<(TargetId, Now)>,
}

impl Server {
    fn lets_pass(&self, now: Now) -> bool {
        match &self.away {
            None => self.in_flight < PLACES,
            Some(away) => away.probe.is_none() && away.until.reached(now),
        }
    }
}

impl Engine {
    /// The target needs its server: its turn comes at once where nothing stands in its way.
    pub(super) fn wait_at(&mut self, name: &Arc<str>, id: &TargetId, now: Now) {
        self.unqueue_target(id);
        let Some(target) = self.targets.get_mut(id) else { return };
        let members = target.members.iter().filter_map(|member| self.accounts.get(member));
        let expiry = members.filter_map(|account| account.token).map(|held| held.meta.expires_at).min();
        let turn = (target.missed, expiry.unwrap_or(now.wall));
        target.queued = Some(turn);
        self.servers.entry(name.clone()).or_default().waiting.insert((turn, id.clone()));
        self.pump_server(name, now);
    }

    /// The target waits for its server no more.
    pub(super) fn unqueue_target(&mut self, id: &TargetId) {
        let Some(target) = self.targets.get_mut(id) else { return };
        if let (Some(turn), Some(name)) = (target.queued.take(), &target.plan.server)
            && let Some(server) = self.servers.get_mut(name)
        {
            server.waiting.remove(&(turn, id.clone()));
        }
    }

    /// Lets those begin for which there is a place.
    pub(super) fn pump_server(&mut self, name: &Arc<str>, now: Now) {
        while let Some(server) = self.servers.get_mut(name).filter(|server| server.lets_pass(now))
            && let Some((_, id)) = server.waiting.pop_first()
        {
            let Some(target) = self.targets.get_mut(&id) else { continue };
            target.queued = None;
            let Some(step) = self.targets.get(&id).and_then(|target| self.step(target, now)) else {
                continue;
            };
            if let (Some(target), Some(server)) = (self.targets.get_mut(&id), self.servers.get_mut(name)) {
                target.via = Some(name.clone());
                server.in_flight += 1;
                if let Some(away) = &mut server.away {
                    away.probe = Some((id.clone(), now));
                }
            }
            self.take_step(&id, step, now);
        }
    }

    /// Something has come back from the server. Only what left after it was found away shows that it is back.
    pub(super) fn server_answers(&mut self, name: &Arc<str>, id: &TargetId, now: Now) {
        if let Some(server) = self.servers.get_mut(name)
            && server.away.as_ref().is_some_and(|away| away.is_probed_by(id))
            && let Some(away) = server.away.take()
        {
            self.timers.clear(&Key::Server(name.clone()));
            self.say(Note::ServerBack { server: name.clone(), away: now.boot.since(away.from) });
            self.secrets_are_back(name, now);
        }
        self.pump_server(name, now);
    }

    pub(super) fn server_fails(
        &mut self,
        name: &Arc<str>,
        id: &TargetId,
        class: ErrorClass,
        message: String,
        now: Now,
    ) {
        let Some(server) = self.servers.get_mut(name) else { return };
        let error = ErrorInfo { class, message: message.clone(), at: now.wall };
        let (news, tried) = match &mut server.away {
            Some(away) if away.is_probed_by(id) => {
                away.rounds = away.rounds.saturating_add(1);
                away.error = error;
                (false, away.probe.take().map_or(now, |(_, left)| left))
            }
            Some(_) => return, // it left before the server was found away
            none => {
                *none = Some(Away {
                    since: now.wall,
                    from: now.boot,
                    until: now.at_once(),
                    rounds: 0,
                    error,
                    probe: None,
                });
                (true, now)
            }
        };
        let Some(away) = &mut server.away else { return };
        // Up to a tenth sooner, so that agents do not knock together; never later, as everybody waits for it. A try that
        // hangs does not make the pause longer.
        let early = unit(self.seed, name, "server", u64::from(away.rounds)) / 10.0;
        let pause = pause_after(away.rounds);
        away.until =
            tried.after(pause.mul_f64(1.0 - early)).later(now.after(SHORTEST_PAUSE.mul_f64(1.0 - early)));
        let until = away.until;
        self.timers.set(Key::Server(name.clone()), until);
        self.say(Note::ServerAway { server: name.clone(), message, next: until.wall, news });
        // Hooks need not wait for what waits here.
        let waiting = self.servers.get(name).into_iter().flat_map(|server| &server.waiting);
        let sets: Vec<SetId> = waiting.filter_map(|(_, id)| self.set_of(id)).collect();
        sets.iter().for_each(|set| self.publish(set, now));
    }

    /// An account has failed for want of a secret from the server: after a pause that grows from one look to the next,
    /// one of those that stand so looks whether it answers again.
    pub(super) fn knock_later(&mut self, name: &Arc<str>, now: Now) {
        if self.stopping || self.lacking(name).next().is_none() {
            return;
        }
        let knocking = self.knocking.entry(name.clone()).or_default();
        if knocking.busy {
            return;
        }
        if knocking.ended.is_none_or(|ended| now.boot.since(ended) > LONGEST_PAUSE) {
            knocking.rounds = 0;
        }
        knocking.busy = true;
        self.timers.set(Key::Knock(name.clone()), now.after(pause_after(knocking.rounds)));
    }

    /// The pause is over.
    pub(super) fn knock(&mut self, name: &Arc<str>) {
        let account = self.lacking(name).next().filter(|_| !self.stopping).cloned();
        match account {
            Some(account) => self.effects.push(Effect::Knock { server: name.clone(), account }),
            None => self.knocking.entry(name.clone()).or_default().busy = false, // nobody waits any more
        }
    }

    pub(super) fn knocked(&mut self, name: &Arc<str>, answers: bool, now: Now) {
        let Some(knocking) = self.knocking.get_mut(name).filter(|knocking| knocking.busy) else { return };
        let rounds = knocking.rounds.saturating_add(1);
        *knocking = Knocking { busy: false, rounds, ended: Some(now.boot) };
        if answers {
            self.secrets_are_back(name, now);
        } else {
            self.knock_later(name, now);
        }
    }

    /// The accounts that failed because their secrets could not be had from that server.
    pub(super) fn lacking(&self, server: &str) -> impl Iterator<Item = &AccountId> {
        let lacks = move |account: &Account| account.lacks.as_deref() == Some(server);
        self.accounts.iter().filter(move |(_, account)| lacks(account)).map(|(name, _)| name)
    }

    /// Whether the target waits for a server that is away.
    pub(super) fn waits_for_return(&self, id: &TargetId) -> bool {
        let Some(target) = self.targets.get(id).filter(|target| target.queued.is_some()) else {
            return false;
        };
        let server = target.plan.server.as_ref().and_then(|name| self.servers.get(name));
        server.is_some_and(|server| server.away.is_some())
    }
}

/// The pause before the try that follows so many.
fn pause_after(rounds: u32) -> Duration {
    (SHORTEST_PAUSE * 2_u32.saturating_pow(rounds.min(6))).min(LONGEST_PAUSE)
}

impl Away {
    fn is_probed_by(&self, id: &TargetId) -> bool {
        self.probe.as_ref().is_some_and(|(probe, _)| probe == id)
    }
}
