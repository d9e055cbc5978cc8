//! The alerts, where the loop has what they need to know: what is wrong is looked for, who is to know of it is told.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use super::super::clock;
use super::super::deliver::Outlet;
use super::super::doors::{Door, Doors};
use super::{Agent, Done};
use crate::config::model::Alert;
use crate::core::{HookView, SetId};
use crate::domain::BootInstant;
use crate::hook::{self, Alarm, Notice};
use crate::observe::alerts::{self, Alerts, Facts, Message, Subject, Trouble};
use crate::observe::audit::Entry;

/// What is wrong is looked for this often at most, and while something waits to be told.
const OFTEN: Duration = Duration::from_secs(1);
/// And at least this often.
const SELDOM: Duration = Duration::from_secs(3);

/// Who is told, and what they know.
#[derive(Default)]
pub(super) struct Alarms {
    alerts: Alerts,
    /// By their place in `alerts`.
    watchers: Vec<Watcher>,
    looked: Option<BootInstant>,
    count: u64,
}

struct Watcher {
    /// Stays the same through reloads.
    id: u64,
    alert: Arc<Alert>,
    name: String,
    door: Door,
}

/// What came of a message.
pub(super) struct Told {
    id: u64,
    message: Message,
    result: Result<(), String>,
}

impl Alarms {
    /// From now on these are told; one that is the same as before goes on knowing what it was told.
    pub(super) fn tell(&mut self, wanted: &[Alert], doors: &mut Doors) {
        let names = hook::names(&wanted.iter().map(|alert| alert.hook.clone()).collect::<Vec<_>>());
        let mut before: Vec<Option<Watcher>> =
            std::mem::take(&mut self.watchers).into_iter().map(Some).collect();
        let mut places = Vec::new();
        for (alert, name) in wanted.iter().zip(names) {
            let same =
                |known: &Option<Watcher>| known.as_ref().is_some_and(|known| known.alert.hook == alert.hook);
            let place = before.iter().position(same);
            let known = place.and_then(|place| before.get_mut(place)).and_then(Option::take);
            let (id, door) = known.map_or_else(
                || {
                    self.count += 1;
                    (self.count, doors.add("agent.alerts", OFTEN))
                },
                |known| (known.id, known.door),
            );
            self.watchers.push(Watcher { id, alert: Arc::new(alert.clone()), name, door });
            places.push((alert.at.clone(), place));
        }
        before.into_iter().flatten().for_each(|gone| {
            gone.door.well();
        });
        self.alerts.tell(places);
    }

    /// The longest that the loop may sleep.
    pub(super) fn nap(&self) -> Duration {
        match (self.alerts.is_idle(), self.alerts.is_pressing()) {
            (true, _) => Duration::MAX,
            (false, true) => OFTEN,
            (false, false) => SELDOM,
        }
    }
}

impl Agent {
    /// Looks for what is wrong, and has it told.
    pub(super) fn raise(&mut self) {
        let now = clock::now();
        let recently = self.alarms.looked.is_some_and(|looked| now.boot.since(looked) < OFTEN);
        if self.alarms.alerts.is_idle() || recently {
            return;
        }
        self.alarms.looked = Some(now.boot);
        let engine = &self.engine;
        let observer = &self.observer;
        let hooks = |set: SetId, hooks: &[HookView<'_>], lead: Duration| -> Vec<Trouble> {
            let of = |view: &HookView<'_>| alerts::of_hook(&set, observer.hook(&set, view.id), view, lead);
            hooks.iter().filter_map(of).collect()
        };
        let accounts = engine.views(now).flat_map(|view| {
            let mut troubles: Vec<_> = alerts::of_account(&view, now.wall).collect();
            troubles.extend(hooks(SetId::Account(view.name.clone()), &view.hooks, view.lead));
            troubles
        });
        let templates = engine.templates(now).flat_map(|view| {
            let mut troubles = hooks(SetId::Template(view.id.clone()), &view.hooks, Duration::ZERO);
            troubles.extend(alerts::of_template(&view, now.wall));
            troubles
        });
        let servers = engine.servers(now).map(|view| alerts::of_server(&view));
        let config = self.config_error.as_deref().map(alerts::of_config);
        // Who cannot be told cannot be told of that.
        let doors = self.doors.shut().filter(|door| door.name != "agent.alerts");
        let agent = doors.map(|door| alerts::of_place(&door));
        let troubles = accounts.chain(templates).chain(servers).chain(config).chain(agent);
        let outlets = &self.outlets;
        let well = |subject: &Subject| match subject {
            Subject::Account(name) => engine.view(name.as_str(), now).map(|view| Facts::of_account(&view)),
            Subject::Sink(name) => match outlets.get(name.as_str())? {
                Outlet::Sink(..) | Outlet::Template(_) => Some(Facts::well("is written again")),
            },
            Subject::Hook(set, name) => {
                observer.has_hook(set, name).then(|| Facts::well("the hook works again"))
            }
            Subject::Server(_) => Some(Facts::well("takes deliveries again")),
            Subject::Config => Some(Facts::well("the file is in order again")),
            Subject::Agent(_) => Some(Facts::well("is well again")),
        };
        let orders = self.alarms.alerts.look(troubles, well, now);
        for (place, message) in orders {
            let Some(watcher) = self.alarms.watchers.get(place) else { continue };
            let (id, alert, hooks) = (watcher.id, Arc::clone(&watcher.alert), self.servers.hooks.clone());
            self.tasks.spawn(async move {
                let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
                let alarm = Alarm { document: message.document(&host), variables: message.variables(&host) };
                let notice = Notice::of_alarm(alarm);
                let run = AssertUnwindSafe(hooks.run(&alert.hook, &notice)).catch_unwind();
                let result = match run.await {
                    Ok(result) => result.map_err(|error| match error.hint() {
                        Some(hint) => format!("{error}; hint: {hint}"),
                        None => error.to_string(),
                    }),
                    Err(_) => Err("internal fault, see the log".to_owned()),
                };
                Done::Alerted(Told { id, message, result })
            });
        }
    }

    /// Takes note of what came of a message.
    pub(super) fn told(&mut self, Told { id, message, result }: Told) {
        let now = clock::now().boot;
        let Some(place) = self.alarms.watchers.iter().position(|watcher| watcher.id == id) else { return };
        let next = self.alarms.alerts.ended(place, result.is_ok(), now);
        let Some(watcher) = self.alarms.watchers.get_mut(place) else { return };
        let (to, alerts, level) = (watcher.name.clone(), message.items.len(), message.level.as_str());
        match result {
            Ok(()) => {
                watcher.door.well();
                tracing::info!(event = "alert_sent", to, level, alerts, "an alert was taken");
                self.audit.record(&Entry::AlertSent { to, alerts });
            }
            Err(error) => {
                watcher.door.retry = next.map_or(OFTEN, |next| next.since(now));
                let again = human(watcher.door.retry);
                if watcher.door.fails(&to, &error, None) {
                    tracing::error!(
                        event = "alert_failed",
                        to,
                        level,
                        alerts,
                        error,
                        "an alert was not taken: again in {again}"
                    );
                    self.audit.record(&Entry::AlertFailed { to, alerts, error });
                } else {
                    tracing::debug!(
                        event = "alert_failed",
                        to,
                        level,
                        alerts,
                        error,
                        "an alert is still not taken: again in {again}"
                    );
                }
            }
        }
    }
}

fn human(span: Duration) -> String {
    crate::domain::human_duration(span)
}
