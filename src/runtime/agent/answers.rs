//! What the agent says when it is asked: by servers, by `once`, by the service manager.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::handle::{Peek, Request, TokenReply, Undelivered};
use super::super::{clock, report};
use super::Agent;
use super::reload::Why;
use crate::config::model::Config;
use crate::core::{Event, TargetId, TemplateView};
use crate::domain::{AccountId, ErrorInfo, Generation, Now, SinkState, TokenDocument};
use crate::observe::health::Readiness;
use crate::observe::metrics::Scrape;
use crate::page::Page;
use crate::store::Store;

impl Agent {
    /// Whether no renewal or delivery is under way.
    pub(crate) fn is_busy(&self) -> bool {
        self.engine.is_busy() || self.reloading.busy
    }

    /// Whether a reading of the configuration is under way.
    pub(crate) fn is_reloading(&self) -> bool {
        self.reloading.busy
    }

    /// How many accounts there are.
    pub(crate) fn size(&self) -> usize {
        self.running.config.as_ref().map_or(0, |config| config.accounts.len())
    }

    /// Whether every account is delivered, has failed its first try or waits for a limit.
    pub(crate) fn has_settled(&self) -> bool {
        let now = clock::now();
        self.engine.views(now).all(|view| {
            let tried = view.error.is_some() || view.held_until.is_some();
            let waits = !view.asking && view.renew_at.is_some_and(|at| at > now.wall);
            let delivered = view.targets.iter().all(|target| target.state != SinkState::Unwritten);
            if view.alive { delivered } else { tried && !view.asking || waits }
        }) && self.templates_are_settled(now)
    }

    /// Whether each template that can be written was, or has failed.
    pub(crate) fn templates_are_settled(&self, now: Now) -> bool {
        let alive = |name: &AccountId| self.engine.view(name.as_str(), now).is_some_and(|view| view.alive);
        self.engine
            .templates(now)
            .all(|view| view.state != SinkState::Unwritten || !view.members.iter().all(alive))
    }

    /// The templates that are made from that account.
    fn templates_of(&self, name: &str, now: Now) -> impl Iterator<Item = TemplateView<'_>> {
        let concerns =
            move |view: &TemplateView<'_>| view.members.iter().any(|member| member.as_str() == name);
        self.engine.templates(now).filter(concerns)
    }

    /// How everything stands, for the service manager.
    pub(crate) fn sentence(&self, now: Now) -> String {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for view in self.engine.views(now) {
            *counts.entry(view.state.as_str()).or_default() += 1;
        }
        let states: Vec<String> = counts.iter().map(|(state, count)| format!("{count} {state}")).collect();
        let states = if states.is_empty() { "no accounts".to_owned() } else { states.join(", ") };
        let shut = self.home.shut().chain(self.doors.shut()).map(|door| door.head());
        let broken = self.config_error.as_deref().map(|error| {
            format!("the configuration file has errors, the one before runs on: {}", gist(error))
        });
        std::iter::once(states).chain(shut).chain(broken).collect::<Vec<_>>().join("; ")
    }

    /// What is not well with the agent itself, and keeps no token from its place.
    fn warnings(&self) -> impl Iterator<Item = String> {
        let broken = self.config_error.iter().map(|error| {
            format!("the configuration file as it is now is refused, the one before runs on: {error}")
        });
        let shut = self.home.shut().chain(self.doors.shut());
        let shut = shut.map(|door| format!("{}: {}", door.head(), door.reason()));
        broken.chain(shut)
    }

    /// Where state is kept.
    pub(crate) fn store(&self) -> Store {
        self.shared.store.clone()
    }

    /// The configuration that runs.
    pub(crate) fn config(&self) -> Option<&Arc<Config>> {
        self.running.config.as_ref()
    }

    pub(super) fn answer(&mut self, request: Request) {
        let now = clock::now();
        match request {
            Request::Status(reply) => {
                let status = report::status(self, now);
                let _ = reply.send(serde_json::to_string(&status).unwrap_or_default());
            }
            Request::Token(name, reply) => {
                let _ = reply.send(self.token(&name));
            }
            Request::Renew(name, reply) => {
                let before = self.peek(&name);
                if let Some(before) = &before {
                    self.apply(Event::Asked { account: before.name.clone() });
                }
                let after = self.peek(&name);
                let asked = before.zip(after).map(|(before, after)| Peek {
                    finished: before.finished,
                    asking_then: before.asking,
                    ..after
                });
                let _ = reply.send(asked);
            }
            Request::Invalidate(name, generation, reply) => {
                let known = self.peek(&name).map(|peek| peek.name);
                if let Some(account) = known.clone() {
                    let generation = Generation(generation);
                    self.apply(Event::Invalidated { account, generation });
                }
                let _ = reply.send(known.is_some());
            }
            Request::Reload(reply) => self.reload(Why::Asked(Some(reply))),
            Request::Peek(name, reply) => {
                let _ = reply.send(self.peek(&name));
            }
            Request::Ready(None, reply) => {
                let loaded = self.config().is_some();
                let (views, templates) = (self.engine.views(now), self.engine.templates(now));
                let ready = Readiness::of(views, templates, loaded, now);
                let _ = reply.send(Some(ready.warned(self.warnings())));
            }
            Request::Ready(Some(name), reply) => {
                let view = self.engine.view(&name, now);
                let templates = self.templates_of(&name, now);
                let ready = view.map(|view| Readiness::of(std::iter::once(view), templates, true, now));
                let _ = reply.send(ready);
            }
            Request::Config(reply) => {
                let _ =
                    reply.send(self.config().map(|config| (Arc::clone(config), self.shared.store.seed())));
            }
            Request::Scrape(reply) => {
                let (status, counters) = (report::status(self, now), self.observer.counters());
                let _ = reply.send(Scrape { status, counters });
            }
            Request::Page(reply) => {
                let (status, history) = (report::status(self, now), self.observer.history());
                let _ = reply.send(Page { status, history });
            }
        }
    }

    fn peek(&self, name: &str) -> Option<Peek> {
        let now = clock::now();
        let view = self.engine.view(name, now)?;
        let alive = |name: &AccountId| self.engine.view(name.as_str(), now).is_some_and(|view| view.alive);
        let composed = self.templates_of(name, now).filter(|template| {
            template.error.is_some()
                || template.state == SinkState::Unwritten && template.members.iter().all(alive)
        });
        // While it is tried again, the failure before says nothing.
        let failure =
            |id: &TargetId, error: Option<&ErrorInfo>| error.filter(|_| !self.engine.is_writing(id)).cloned();
        let composed = composed.map(|template| Undelivered {
            sink: template.id.to_string(),
            error: failure(template.id, template.error),
            writing_since: template.slow_since,
        });
        let sinks = view.targets.iter().filter(|target| target.state != SinkState::Written);
        let sinks = sinks.map(|target| Undelivered {
            sink: target.id.to_string(),
            error: failure(target.id, target.error),
            writing_since: target.slow_since,
        });
        let undelivered: Vec<Undelivered> = sinks.chain(composed).collect();
        Some(Peek {
            name: view.name.clone(),
            generation: view.generation,
            expires_at: view.token.map(|token| token.expires_at),
            finished: view.finished,
            asking: view.asking,
            asking_then: view.asking,
            held_until: view.held_until,
            waiting: view.waiting,
            error: view.error.cloned(),
            unverified: view.unverified.cloned(),
            delivering: undelivered.iter().any(Undelivered::is_under_way),
            undelivered,
        })
    }

    fn token(&self, name: &str) -> TokenReply {
        let Some(view) = self.engine.view(name, clock::now()) else { return TokenReply::Unknown };
        let record = self.shared.store.snapshot(view.name);
        match record.as_ref().and_then(|record| record.current.as_ref()).filter(|_| view.alive) {
            Some(token) => {
                let document = TokenDocument { account: view.name, provider: view.provider, token };
                TokenReply::Document(document.to_json())
            }
            None => TokenReply::None(format!("`{name}` has no living token: it is {}", view.state.as_str())),
        }
    }
}

/// The first line of a problem, and not much of that: it goes where there is one line.
fn gist(error: &str) -> String {
    const LONGEST: usize = 200;
    let line = error.lines().next().unwrap_or_default();
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let cut = line.chars().nth(LONGEST).is_some();
    line.chars().take(LONGEST).map(plain).chain(cut.then_some('…')).collect()
}
