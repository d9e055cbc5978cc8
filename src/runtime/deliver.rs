//! The effects that bring tokens to their targets. File system calls run on the blocking pool; one that hangs keeps
//! its thread, and after two seconds nobody else waits for it. Servers have no place here to take: the engine bounds
//! how much is asked of each.

mod served;

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::drift::Sight;
use super::servers::Servers;
use super::shared::Shared;
use crate::config::model::{FileSink, Sink, TemplateForm, TemplateTarget};
use crate::core::{Event, TargetId};
use crate::domain::{AccountId, ErrorClass, Generation, Token, TokenDocument};
use crate::sink::file::Tenure;
use crate::sink::{Member, Place, compose, content, directory, file};
use crate::store::Record;

/// A write that takes longer gives its place to the next.
const PATIENCE: Duration = Duration::from_secs(2);

/// What stands behind a target.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outlet {
    /// A sink of that account.
    Sink(AccountId, Arc<Sink>),
    /// A template of several.
    Template(Arc<TemplateTarget>),
}

impl Outlet {
    /// Whether it is a secret in Vault.
    pub(crate) fn stands_in_vault(&self) -> bool {
        matches!(self, Self::Sink(_, sink) if matches!(**sink, Sink::Vault(_)))
    }
}

/// What came of a delivery.
#[derive(Debug)]
pub(crate) struct Delivered {
    /// For the engine.
    pub(crate) event: Event,
    /// What works but should not stay so.
    pub(crate) warnings: Vec<String>,
    /// Of files: where they stand and what they looked like right after.
    pub(crate) look: Option<Sight>,
    /// Of a file: whether it is ours.
    pub(crate) tenure: Tenure,
    /// A link had been put in its place.
    pub(crate) displaced: bool,
}

/// A delivery that worked.
struct Done {
    held: Vec<Generation>,
    written: bool,
    print: u64,
    warnings: Vec<String>,
    look: Option<Sight>,
    tenure: Tenure,
    displaced: bool,
}

/// Why one did not, in words.
struct Trouble {
    message: String,
    server_away: bool,
    class: ErrorClass,
}

impl Trouble {
    fn event(self, target: TargetId, revision: u64) -> Event {
        let Self { message, server_away, class } = self;
        Event::Undelivered { target, revision, message, server_away, class }
    }
}

impl From<String> for Trouble {
    fn from(message: String) -> Self {
        Self { message, server_away: false, class: ErrorClass::Config }
    }
}

impl From<Event> for Delivered {
    fn from(event: Event) -> Self {
        Self { event, warnings: Vec::new(), look: None, tenure: Tenure::Unknown, displaced: false }
    }
}

/// Brings the target to its members' current tokens. `tenure` is that of its path.
pub(crate) async fn deliver(
    shared: Arc<Shared>,
    servers: Servers,
    outlet: Outlet,
    target: TargetId,
    revision: u64,
    tenure: Tenure,
) -> Delivered {
    let done = match &outlet {
        Outlet::Template(template) => composed(&shared, Arc::clone(template), tenure).await,
        Outlet::Sink(account, sink) => match (shared.store.snapshot(account), sink.as_ref()) {
            (None, _) => Err(no_token(account).into()),
            (Some(record), Sink::File(sink)) => filed(&shared, sink.clone(), record, tenure).await,
            (Some(record), Sink::Vault(sink)) => served::vault(&servers, sink, &record).await,
            (Some(record), Sink::Kubernetes(sink)) => served::kubernetes(&servers, sink, &record).await,
        },
    };
    match done {
        Ok(Done { held, written, print, warnings, look, tenure, displaced }) => {
            let event = Event::Delivered { target, revision, held: Some(held), written, print };
            Delivered { event, warnings, look, tenure, displaced }
        }
        Err(trouble) => trouble.event(target, revision).into(),
    }
}

/// Takes an expired token away.
pub(crate) async fn withdraw(
    shared: Arc<Shared>,
    servers: Servers,
    outlet: Outlet,
    target: TargetId,
    revision: u64,
    tenure: Tenure,
) -> Delivered {
    let event = match remove(&shared, &servers, &outlet, tenure).await {
        Ok(written) => Event::Delivered { target, revision, held: None, written, print: 0 },
        Err(trouble) => trouble.event(target, revision),
    };
    event.into()
}

/// What became of what a target had been given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removal {
    /// It is gone.
    Deleted,
    /// There was nothing.
    Nothing,
    /// It stays, as another target delivers to the same place.
    TakenOver,
}

/// Deletes what a target that has left the configuration was given, unless it stands in one of the places `kept` by others.
/// Nobody retries: it says what stays behind.
pub(crate) async fn delete(
    shared: Arc<Shared>,
    servers: Servers,
    outlet: Outlet,
    tenure: Tenure,
    kept: HashSet<Place>,
) -> Result<Removal, String> {
    let words = |trouble: Trouble| trouble.message;
    let place = place_of(&shared, &outlet, tenure).await.map_err(words)?;
    if place.is_some_and(|place| kept.contains(&place)) {
        return Ok(Removal::TakenOver);
    }
    let removed = remove(&shared, &servers, &outlet, tenure).await.map_err(words)?;
    Ok(if removed { Removal::Deleted } else { Removal::Nothing })
}

/// Where its files stand, whatever path leads there.
async fn place_of(shared: &Shared, outlet: &Outlet, tenure: Tenure) -> Result<Option<Place>, Trouble> {
    let outlet = outlet.clone();
    let work = move || {
        let place = match &outlet {
            Outlet::Sink(_, sink) => match sink.as_ref() {
                Sink::File(sink) => file::place_of(sink, tenure),
                Sink::Vault(_) | Sink::Kubernetes(_) => Ok(None),
            },
            Outlet::Template(template) => match compose::file_of(template) {
                Some(sink) => file::place_of(&sink, tenure),
                None => directory::place_of(template),
            },
        };
        place.map_err(|error| worded(&error))
    };
    Ok(patiently(shared, work).await?)
}

async fn remove(
    shared: &Shared,
    servers: &Servers,
    outlet: &Outlet,
    tenure: Tenure,
) -> Result<bool, Trouble> {
    match outlet {
        Outlet::Sink(_, sink) => match sink.as_ref() {
            Sink::File(sink) => remove_file(shared, sink.clone(), tenure).await,
            Sink::Vault(sink) => served::delete_from_vault(servers, sink).await,
            Sink::Kubernetes(secret) => {
                let Outlet::Sink(account, _) = outlet else { return Ok(false) };
                served::delete_from_kubernetes(servers, secret, account).await
            }
        },
        Outlet::Template(template) => match compose::file_of(template) {
            Some(sink) => remove_file(shared, sink, tenure).await,
            None => {
                let template = Arc::clone(template);
                let work = move || directory::remove(&template).map_err(|error| worded(&error));
                Ok(patiently(shared, work).await?)
            }
        },
    }
}

async fn remove_file(shared: &Shared, sink: FileSink, tenure: Tenure) -> Result<bool, Trouble> {
    Ok(patiently(shared, move || file::remove(&sink, tenure).map_err(|error| worded(&error))).await?)
}

async fn filed(
    shared: &Shared,
    sink: FileSink,
    record: Arc<Record>,
    tenure: Tenure,
) -> Result<Done, Trouble> {
    let work = move || {
        let (token, member) = member(&record)?;
        let held = vec![token.meta.generation];
        let bytes = content::render(&sink, member).map_err(|error| error.to_string())?;
        let put = file::put(&sink, &bytes, tenure).map_err(|error| worded(&error))?;
        Ok(done(held, 0, put, vec![sink.path]))
    };
    Ok(patiently(shared, work).await?)
}

async fn composed(shared: &Shared, template: Arc<TemplateTarget>, tenure: Tenure) -> Result<Done, Trouble> {
    // One snapshot of each, taken together.
    let records: Option<Vec<Arc<Record>>> =
        template.accounts.iter().map(|account| shared.store.snapshot(account)).collect();
    let Some(records) = records else {
        return Err("an account that the template names has no token yet".to_owned().into());
    };
    let store = shared.store.clone();
    let work = move || {
        let (mut held, mut members) = (Vec::with_capacity(records.len()), BTreeMap::new());
        for record in &records {
            let (token, member) = member(record)?;
            held.push(token.meta.generation);
            members.insert(&record.account, member);
        }
        let files = compose::render_all(&template, &members).map_err(|error| error.to_string())?;
        let named = files.iter().flat_map(|(name, content)| [name.as_bytes(), content.as_slice()]);
        let parts: Vec<&[u8]> = std::iter::once(&b"template"[..]).chain(named).collect();
        let print = store.fingerprint(&parts).as_u64();
        let put = match (&template.form, compose::file_of(&template)) {
            (TemplateForm::File { .. }, Some(sink)) => {
                let content = files.values().next().map_or(&[][..], |content| content.as_slice());
                file::put(&sink, content, tenure)
            }
            _ => directory::put(&template, &files),
        };
        let put = put.map_err(|error| worded(&error))?;
        Ok(done(held, print, put, directory::paths_of(&template)))
    };
    Ok(patiently(shared, work).await?)
}

fn done(held: Vec<Generation>, print: u64, put: file::Put, paths: Vec<PathBuf>) -> Done {
    let look = Some(Sight::after_write(paths, Some(put.place)));
    let warnings = put.warnings.iter().map(ToString::to_string).collect();
    let written = put.outcome == file::Outcome::Written;
    Done { held, written, print, warnings, look, tenure: put.tenure, displaced: put.displaced }
}

/// What a record's current token is to whoever renders it.
fn member(record: &Record) -> Result<(&Token, Member<'_>), String> {
    let token = record.current.as_ref().ok_or_else(|| no_token(&record.account))?;
    let document = TokenDocument { account: &record.account, provider: &record.provider, token };
    let refresh_token = record.refresh.as_ref().map(|slot| &slot.token);
    Ok((token, Member { document, refresh_token }))
}

/// Runs blocking work with one of the few places, which it loses when it takes too long.
async fn patiently<T: Send + 'static>(
    shared: &Shared,
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let place = shared.writers.acquire().await;
    let mut running = tokio::task::spawn_blocking(work);
    let done = match tokio::time::timeout(PATIENCE, &mut running).await {
        Ok(done) => done,
        Err(_) => {
            drop(place);
            running.await
        }
    };
    done.unwrap_or_else(|_| Err("internal fault while writing".to_owned()))
}

fn no_token(account: &AccountId) -> String {
    format!("no token of `{account}` is stored")
}

fn worded(error: &file::SinkError) -> String {
    match error.hint() {
        Some(hint) => format!("{error}; hint: {hint}"),
        None => error.to_string(),
    }
}
