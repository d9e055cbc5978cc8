//! What a person sees in three seconds: whether all is well, and if not, what is the matter.

use super::View;
use super::html::{Cut, Html, Lines, html};
use super::judge::{self, Tone, ago, counted, relative};
use super::query::Query;
use super::rows::{error_words, hooks, readers};
use super::select;
use crate::domain::{Awaited, ErrorClass, SinkState, Timestamp, span};
use crate::observe::status::{AccountState, HookState, ServerStatus, TemplateStatus};

/// The longest complaint about a configuration, in characters.
const COMPLAINT: usize = 4_000;
const PATH: usize = 300;

/// The whole in a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) tone: Tone,
    /// How many things need a person.
    pub(super) troubles: usize,
    pub(super) sentence: String,
    pub(super) more: String,
}

impl Verdict {
    pub(super) fn of(view: &View<'_>) -> Self {
        let status = view.status;
        let count = |of: &dyn Fn(&select::Seen<'_>) -> bool| view.all.iter().filter(|seen| of(seen)).count();
        let all = view.all.len();
        let dead = count(&|seen| seen.tone != Tone::Calm && !judge::is_alive(seen.account, view.now));
        let refused = count(&|seen| judge::refused(seen.account, view.now));
        let refused_templates =
            status.templates.iter().filter(|template| refuses(template, view.now)).count();
        let waiting = count(&|seen| seen.tone == Tone::Calm);
        let ailing = count(&|seen| seen.tone.is_trouble());
        let around = usize::from(status.config.error.is_some())
            + status.servers.len()
            + status.places.len()
            + usize::from(status.state_dir.is_some())
            + status.templates.iter().filter(|template| ails(template)).count();
        let troubles = ailing + around;
        let worst = view.all.iter().map(|seen| seen.tone).max().unwrap_or(Tone::Good);
        let tone = if around > 0 { worst.max(Tone::Warn) } else { worst };
        let tone = if refused_templates > 0 { Tone::Bad } else { tone };
        let of_all = |some: usize| match all {
            1 => "The one account".to_owned(),
            _ if some == all => format!("All {all} accounts"),
            _ => format!("{some} of {}", counted(all, "account")),
        };
        let has = |some: usize| if some == 1 || all == 1 { "has" } else { "have" };
        let needs = |some: usize| if some == 1 { "needs" } else { "need" };
        let sentence = match () {
            () if dead > 0 => format!("{} {} no valid token", of_all(dead), has(dead)),
            () if refused == 1 => "Readers of one account hold a token that has ended".to_owned(),
            () if refused > 1 => format!("Readers of {refused} accounts hold tokens that have ended"),
            () if refused_templates > 0 => "Readers of a template hold a token that has ended".to_owned(),
            () if tone == Tone::Bad => {
                format!(
                    "Every token is valid, but {} {} attention now",
                    counted(ailing, "account"),
                    needs(ailing)
                )
            }
            () if tone == Tone::Warn && waiting == 0 => {
                format!(
                    "Every token is valid, but {} {} attention",
                    counted(troubles, "thing"),
                    needs(troubles)
                )
            }
            () if tone == Tone::Warn => {
                format!("{} {} attention", counted(troubles, "thing"), needs(troubles))
            }
            () if waiting > 0 => format!("{} {} no token yet", of_all(waiting), has(waiting)),
            () if all == 0 => "All is well: no accounts are configured".to_owned(),
            () => "All is well".to_owned(),
        };
        let sinks: usize = status.accounts.iter().map(|account| account.sinks.len()).sum();
        let undelivered = status.accounts.iter().flat_map(|account| &account.sinks);
        let undelivered = undelivered.filter(|sink| sink.state != SinkState::Written).count();
        let ended = status.accounts.iter().filter(|account| judge::has_ended(account, view.now));
        let ended = ended.flat_map(|account| &account.sinks);
        let ended = ended.filter(|sink| sink.state == SinkState::Written).count();
        let delivered = match (sinks, undelivered) {
            (0, _) => String::new(),
            (1, 0) if ended == 1 => "; its sink holds the ended token".to_owned(),
            (_, 0) if ended > 0 => {
                let verb = if ended == 1 { "holds" } else { "hold" };
                format!("; {ended} of {} {verb} a token that has ended", counted(sinks, "sink"))
            }
            (_, 0) => "; every sink is written".to_owned(),
            _ => format!("; {undelivered} of {} not written", counted(sinks, "sink")),
        };
        let fresh = count(&|seen| seen.account.state == AccountState::Fresh);
        let more = match all {
            0 => "They stand under `accounts:` in the configuration.".to_owned(),
            1 => {
                format!("It is {}{delivered}.", status.accounts.first().map_or("", |one| one.state.as_str()))
            }
            _ if fresh == all => format!("All {all} accounts are fresh{delivered}."),
            _ => {
                let verb = if fresh == 1 { "is" } else { "are" };
                format!("{fresh} of {} {verb} fresh{delivered}.", counted(all, "account"))
            }
        };
        let refused = status.config.error.as_ref().map(|_| " The configuration file is refused.".to_owned());
        let away = status.servers.iter().map(|server| format!(" {} is away.", server_name(server)));
        let more = away.chain(refused).fold(more, |more, words| more + &words);
        Self { tone, troubles, sentence, more }
    }

    /// For the window's title.
    pub(super) fn title(&self) -> String {
        match self.tone {
            Tone::Good => "All well – renewd".to_owned(),
            Tone::Calm => "Starting – renewd".to_owned(),
            Tone::Warn | Tone::Bad => format!("{} failing – renewd", self.troubles),
        }
    }
}

/// The top of the page.
pub(super) fn draw(to: &mut Html, view: &View<'_>, verdict: &Verdict) {
    html!(to, "<section class=\"verdict " {verdict.tone.class()} "\" aria-labelledby=\"verdict\"><svg class=\"i big "
        {verdict.tone.class()} "\" aria-hidden=\"true\"><use href=\"#i-" {verdict.tone.class()}
        "\"/></svg><div><div role=\"status\"><h1 id=\"verdict\">" {&verdict.sentence} "</h1></div><p>" {&verdict.more} "</p></div></section>");
    html!(to, "<div class=\"cards\">");
    cards(to, view, verdict, true);
    html!(to, "</div>");
}

/// What is well stands above the accounts only as long as none of them needs attention: on a phone it would hide them.
pub(super) fn draw_rest(to: &mut Html, view: &View<'_>, verdict: &Verdict) {
    cards(to, view, verdict, false);
}

/// The cards above the accounts, or those below.
fn cards(to: &mut Html, view: &View<'_>, verdict: &Verdict, above: bool) {
    let belongs = |is_well: bool| above != (is_well && verdict.tone.is_trouble());
    let status = view.status;
    if belongs(status.config.error.is_none()) {
        config(to, view);
    }
    if !status.servers.is_empty() && belongs(false) {
        servers(to, view);
    }
    if (!status.places.is_empty() || status.state_dir.is_some()) && belongs(false) {
        places(to, view);
    }
    if belongs(true) {
        next(to, view);
    }
    if !status.templates.is_empty() && belongs(!status.templates.iter().any(ails)) {
        templates(to, view);
    }
}

fn config(to: &mut Html, view: &View<'_>) {
    let config = &view.status.config;
    let class = if config.error.is_some() { "warn" } else { "good" };
    html!(to, "<section id=\"c-config\" class=\"card " {class} "\" aria-labelledby=\"config\"><h2 id=\"config\">Configuration</h2>");
    if let Some(error) = &config.error {
        html!(to, "<p class=\"e\">The file as it is now is refused; the one before runs on.</p><pre tabindex=\"0\" role=\"group\" aria-label=\"Why the configuration is refused\">"
            {Lines(error, COMPLAINT)} "</pre>");
    }
    html!(to, "<p>Generation " {config.generation} ", loaded " {ago(config.loaded_at, view.now)} " from <code>"
        {Cut(&config.path.to_string_lossy(), PATH)} "</code></p></section>");
}

fn servers(to: &mut Html, view: &View<'_>) {
    html!(
        to,
        "<section id=\"c-servers\" class=\"card bad\" aria-labelledby=\"servers\"><h2 id=\"servers\">Servers that are away</h2>"
    );
    for server in &view.status.servers {
        html!(to, "<h3><bdi>" {server_name(server)} "</bdi></h3><p class=\"e\">" {server_words(server, view.now)} "</p>");
        error_words(to, &server.error, 0, view.now);
        let waits =
            |sink: &&crate::observe::status::SinkStatus| sink.server.as_deref() == Some(server.name.as_str());
        let waiting = view.status.accounts.iter().flat_map(|account| &account.sinks).filter(waits).count();
        if waiting > 0 {
            html!(to, "<p>" {counted(waiting, "sink")} " waiting for it.</p>");
        }
    }
    html!(to, "</section>");
}

/// This very page is had at one of them, or at the address of the configuration before.
fn places(to: &mut Html, view: &View<'_>) {
    html!(
        to,
        "<section id=\"c-places\" class=\"card warn\" aria-labelledby=\"places\"><h2 id=\"places\">What the agent cannot have</h2>"
    );
    for place in view.status.places.iter().chain(&view.status.state_dir) {
        html!(to, "<p class=\"e\"><bdi>" {Cut(&place.head(), PATH)} "</bdi>, for " {span(view.now.since(place.since))}
            {judge::again(Some(place.next), view.now)} "</p>");
        error_words(to, &place.error, 0, view.now);
        if let Some(meanwhile) = &place.meanwhile {
            html!(to, "<p><bdi>" {Cut(meanwhile, PATH)} "</bdi> goes on meanwhile.</p>");
        }
    }
    html!(to, "</section>");
}

fn server_name(server: &ServerStatus) -> &str {
    match server.name.as_str() {
        "vault" => "Vault",
        "kubernetes" => "Kubernetes",
        other => other,
    }
}

fn server_words(server: &ServerStatus, now: Timestamp) -> String {
    let again = judge::again(server.next, now);
    match server.error.class {
        ErrorClass::Config => format!("cannot be used{again}"),
        _ => format!("away for {}{again}", span(now.since(server.since))),
    }
}

fn next(to: &mut Html, view: &View<'_>) {
    const MOST: usize = 5;
    let next = select::next(&view.all, view.now, MOST);
    html!(
        to,
        "<section id=\"c-next\" class=\"card\" aria-labelledby=\"next\"><h2 id=\"next\">Next renewals</h2>"
    );
    if next.is_empty() {
        html!(to, "<p>None is planned.</p>");
    } else {
        html!(to, "<ol class=\"next\">");
        for (account, at) in next {
            let there = Query { account: Some(account.name.to_string()), ..view.query.clone() };
            html!(to, "<li><a href=\"" {there.address()} "\">" {account.name.as_str()} "</a> <span>" {relative(at, view.now)} "</span></li>");
        }
        html!(to, "</ol>");
    }
    html!(to, "</section>");
}

fn templates(to: &mut Html, view: &View<'_>) {
    /// Those in trouble are always shown, others up to so many.
    const MOST: usize = 8;
    let templates = &view.status.templates;
    let trouble = templates.iter().filter(|template| ails(template)).count();
    let class = if trouble > 0 { "warn" } else { "good" };
    html!(to, "<section id=\"c-templates\" class=\"card " {class} "\" aria-labelledby=\"templates\"><h2 id=\"templates\">Templates</h2>");
    let ailing = templates.iter().filter(|template| ails(template)).take(50);
    for template in ailing.chain(templates.iter().filter(|template| !ails(template)).take(MOST)) {
        let class = if ails(template) { "e" } else { "d" };
        html!(to, "<p class=\"" {class} "\"><code>" {Cut(&template.path.to_string_lossy(), PATH)} "</code> "
            {template_words(template, view.now)} "</p>");
        readers(to, template.outdated(), view.now);
        if let Some(error) = &template.error {
            error_words(to, error, 0, view.now);
        }
        hooks(to, &template.hooks, view.now);
    }
    let rest = (templates.len() - trouble).saturating_sub(MOST);
    if rest > 0 {
        html!(to, "<p>" {counted(rest, "more template")} ", all well.</p>");
    }
    html!(to, "</section>");
}

fn ails(template: &TemplateStatus) -> bool {
    template.state == SinkState::Failed
        || template.error.is_some()
        || template.writing_since.is_some()
        || template.hooks.iter().any(|hook| hook.state == HookState::Failed)
}

fn refuses(template: &TemplateStatus, now: Timestamp) -> bool {
    template.outdated().is_some_and(|end| end <= now)
}

fn template_words(template: &TemplateStatus, now: Timestamp) -> String {
    if let Some(since) = template.writing_since {
        return format!("is being written for {}, without an end so far", span(now.since(since)));
    }
    match template.state {
        SinkState::Failed => format!("cannot be written{}", judge::again(template.next, now)),
        SinkState::Unwritten => {
            Awaited::words(&template.waits_for).unwrap_or_else(|| "not yet written".to_owned())
        }
        SinkState::Written => match template.written_at {
            Some(at) => format!("written {}", ago(at, now)),
            None => "written".to_owned(),
        },
    }
}
