//! The live view of `status --watch` and `demo`: the table, redrawn in place, and a feed of what happens.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};

use super::feed::{self, Happening};
use super::table::{self, Block, Notes};
use super::{detail, overview, page, with_newline};
use crate::cli::args::Globals;
use crate::cli::client::Agent;
use crate::cli::exit::Exit;
use crate::cli::interrupt::{Interrupt, Interrupts};
use crate::cli::out;
use crate::cli::report::Failure;
use crate::cli::screen::{Line, Look, Screen, Tone, rows, sanitise, width};
use crate::domain::AccountId;
use crate::observe::status::Status;

const SECOND: Duration = Duration::from_secs(1);
/// What happened longer ago is forgotten.
const REMEMBERED: usize = 64;
/// This much of it is shown, at most.
const FEED: usize = 8;
/// The gap and the heading above it.
const FEED_HEAD: usize = 2;

/// What the live view is of.
#[derive(Debug, Clone, Default)]
pub(in crate::cli) struct View {
    /// This account alone.
    pub(in crate::cli) account: Option<AccountId>,
    /// Stands above everything.
    pub(in crate::cli) banner: Vec<Line>,
    /// Without a terminal: only what happens, a line each, instead of the table each time.
    pub(in crate::cli) feed_only: bool,
    /// Leave the last picture on the terminal.
    pub(in crate::cli) keep: bool,
    /// The agent has started with this view and without any state: what the first look finds has happened since.
    pub(in crate::cli) from_the_start: bool,
}

/// `status --watch`: looks every second until Ctrl-C.
pub(super) async fn watch(
    agent: &Agent,
    account: Option<AccountId>,
    json: bool,
    globals: &Globals,
) -> Result<Exit, Failure> {
    // Without an agent at the first look there is nothing to watch; later its absence is worth watching.
    let first = agent.status_text().await.map_err(|trouble| trouble.into_failure(globals))?;
    if json {
        return watch_documents(agent, first, globals).await;
    }
    let first: Status = crate::cli::client::read(&first).map_err(|trouble| trouble.into_failure(globals))?;
    if let Some(name) = &account {
        super::find(&first, name)?;
    }
    let later = stream::unfold((), |()| async {
        tokio::time::sleep(SECOND).await;
        Some((agent.status().await.map_err(|trouble| trouble.words()), ()))
    });
    let looks = std::pin::pin!(stream::once(async { Ok(first) }).chain(later));
    show(looks, View { account, ..View::default() }).await?;
    Ok(Exit::Done)
}

/// Draws each look at the agent, an error being words on why there is none, until the looks end or a signal comes.
///
/// # Errors
/// Standard output cannot be written, or signals cannot be heard.
pub(in crate::cli) async fn show(
    mut looks: impl Stream<Item = Result<Status, String>> + Unpin,
    view: View,
) -> Result<(), Failure> {
    let mut interrupts = Interrupts::take()?;
    let mut live = Live { view, last: None, silence: None, feed: VecDeque::new() };
    let mut screen = if Look::of_stdout().is_terminal() { Some(Screen::enter()?) } else { None };
    loop {
        let news = tokio::select! {
            interrupt = interrupts.next() => match interrupt {
                Interrupt::Resized => Vec::new(),
                Interrupt::End => break,
            },
            look = looks.next() => match look {
                Some(look) => live.take(look),
                None => break,
            },
        };
        let look = Look::of_stdout();
        match &mut screen {
            Some(screen) => screen.draw(&live.frame(look, rows()), look)?,
            None => out::print(&live.plain(&news, look))?,
        }
    }
    drop(screen);
    if live.view.keep && Look::of_stdout().is_terminal() {
        out::print(&live.last_picture(Look::of_stdout()))?;
    }
    Ok(())
}

async fn watch_documents(agent: &Agent, first: String, globals: &Globals) -> Result<Exit, Failure> {
    let mut document = first;
    loop {
        out::print(&with_newline(document))?;
        tokio::time::sleep(SECOND).await;
        document = agent.status_text().await.map_err(|trouble| trouble.into_failure(globals))?;
    }
}

/// The last look, and what led to it.
struct Live {
    view: View,
    last: Option<Status>,
    silence: Option<String>,
    feed: VecDeque<Happening>,
}

impl Live {
    /// Takes a look over; what is new in it.
    fn take(&mut self, look: Result<Status, String>) -> Vec<Happening> {
        let status = match look {
            Ok(status) => status,
            Err(words) => {
                self.silence = Some(words);
                return Vec::new();
            }
        };
        self.silence = None;
        let mut news = match &self.last {
            Some(before) => feed::happenings(before, &status),
            None if self.view.from_the_start => feed::happenings(&feed::before_all(&status), &status),
            None => feed::beginnings(&status),
        };
        if let Some(name) = &self.view.account {
            news.retain(|each| each.account.as_ref() == Some(name));
        }
        self.feed.extend(news.iter().cloned());
        while self.feed.len() > REMEMBERED {
            self.feed.pop_front();
        }
        self.last = Some(status);
        news
    }

    /// What a screen of that height shows.
    fn frame(&self, look: Look, rows: usize) -> Vec<Line> {
        let mut lines = self.view.banner.clone();
        if !lines.is_empty() {
            lines.push(Line::new());
        }
        let Some(status) = &self.last else { return lines };
        if let Some(words) = &self.silence {
            let said = format!("{} no answer: {}", look.either("▲", "!"), sanitise(words));
            lines.push(Line::new().with(Tone::Warn, said));
        }
        let table = match &self.view.account {
            Some(name) => self.account_lines(status, name, look),
            None => {
                lines.extend(table::header(status, look));
                lines.push(Line::new());
                let room = rows.saturating_sub(lines.len());
                table_lines(status, look, room.saturating_sub(self.feed_height(room, room)))
            }
        };
        let room = rows.saturating_sub(lines.len());
        let feed = self.feed_height(room, table.len());
        lines.extend(table);
        lines.extend(self.feed_lines(feed, look));
        lines.truncate(rows);
        match look.width {
            Some(columns) => lines.into_iter().map(|line| line.cut(columns, look)).collect(),
            None => lines,
        }
    }

    /// The lines that the feed takes of `room`: what `others` leave, a quarter at least.
    fn feed_height(&self, room: usize, others: usize) -> usize {
        let wanted = if self.feed.is_empty() { 0 } else { self.feed.len().min(FEED) + FEED_HEAD };
        let least = if room < FEED_HEAD * 6 { 0 } else { room / 4 };
        wanted.min(room.saturating_sub(others).max(least))
    }

    fn feed_lines(&self, height: usize, look: Look) -> Vec<Line> {
        let shown = height.saturating_sub(FEED_HEAD);
        if shown == 0 {
            return Vec::new();
        }
        let columns = self.feed.iter().rev().take(shown).map(|each| width(each.who())).max().unwrap_or(0);
        let mut lines = vec![Line::new(), Line::new().with(Tone::Dim, "LATELY (UTC)")];
        lines.extend(self.feed.iter().rev().take(shown).map(|each| each.line(columns, look)));
        lines
    }

    fn account_lines(&self, status: &Status, name: &AccountId, look: Look) -> Vec<Line> {
        match status.accounts.iter().find(|account| account.name == *name) {
            Some(account) => detail::lines(account, status.now, look),
            None => vec![Line::new().with(Tone::Warn, format!("{name} is no longer configured"))],
        }
    }

    /// What is printed where there is no terminal.
    fn plain(&self, news: &[Happening], look: Look) -> String {
        if self.view.feed_only {
            let columns = self
                .last
                .iter()
                .flat_map(|status| &status.accounts)
                .map(|each| width(each.name.as_str()))
                .max();
            let lines: Vec<Line> = news.iter().map(|each| each.line(columns.unwrap_or(0), look)).collect();
            return page(&lines, look);
        }
        match (&self.silence, &self.last, &self.view.account) {
            (Some(words), _, _) => format!("no answer: {}\n\n", sanitise(words)),
            (None, Some(status), None) => page(&overview(status, look), look) + "\n",
            (None, Some(status), Some(name)) => page(&self.account_lines(status, name, look), look) + "\n",
            (None, None, _) => String::new(),
        }
    }

    fn last_picture(&self, look: Look) -> String {
        self.last.as_ref().map(|status| page(&overview(status, look), look)).unwrap_or_default()
    }
}

/// As many accounts as fit into `room` lines, in order; where not all fit, those with trouble come first.
fn table_lines(status: &Status, look: Look, room: usize) -> Vec<Line> {
    if status.accounts.is_empty() {
        return overview(status, Look { width: None, ..look });
    }
    let (headings, mut blocks) = table::accounts(&status.accounts, status.now, look, Notes::OneLine);
    let templates = table::templates(&status.templates, status.now, look, Notes::OneLine);
    let lines = |blocks: &[Block]| blocks.iter().map(|block| block.lines.len()).sum::<usize>();
    let mut shown = vec![headings];
    let of_templates = if templates.is_empty() { 0 } else { lines(&templates) + 1 };
    if lines(&blocks) + of_templates < room {
        shown.extend(blocks.into_iter().flat_map(|block| block.lines));
        if !templates.is_empty() {
            shown.push(Line::new());
            shown.extend(templates.into_iter().flat_map(|block| block.lines));
        }
        return shown;
    }
    blocks.sort_by_key(|block| !block.ailing);
    let all = blocks.len();
    let mut told = 0;
    for block in blocks {
        // One line is kept for the words on what is missing.
        if shown.len() + block.lines.len() + 1 > room {
            break;
        }
        told += 1;
        shown.extend(block.lines);
    }
    let missing =
        format!("  {} {} more accounts; a taller window shows them", look.either("…", "..."), all - told);
    shown.push(Line::new().with(Tone::Dim, missing));
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::status::tests::{account, at, mixed, status_of, terminal};
    use crate::domain::Generation;

    fn live() -> Live {
        Live { view: View::default(), last: None, silence: None, feed: VecDeque::new() }
    }

    #[test]
    fn a_frame_never_exceeds_the_screen() {
        let mut live = live();
        live.take(Ok(mixed()));
        for rows in 1..40 {
            for columns in [20, 40, 80, 200] {
                let frame = live.frame(terminal(columns), rows);
                assert!(frame.len() <= rows, "{} lines in {rows} rows", frame.len());
                assert!(frame.iter().all(|line| line.width() <= columns));
            }
        }
    }

    #[test]
    fn where_not_all_accounts_fit_those_with_trouble_come_first() {
        let mut status = mixed();
        status.accounts.splice(0..0, (0..50).map(|n| account(&format!("a{n}"), "kis")));
        let mut live = live();
        live.take(Ok(status));
        let look = terminal(80);
        let picture = page(&live.frame(look, 24), look);
        assert!(picture.contains("trade") && picture.contains("more accounts"), "{picture}");
        assert!(!picture.contains("a49"), "{picture}");
    }

    #[test]
    fn the_feed_stands_below_the_table_with_the_latest_first() {
        let before = status_of(vec![account("kis", "kis"), account("messaging", "bizppurio")]);
        let mut after = before.clone();
        for (age, account) in after.accounts.iter_mut().enumerate() {
            account.generation = Generation(8);
            account.issued_at = Some(at(i64::try_from(age).unwrap() + 1));
        }
        let mut live = live();
        live.take(Ok(before));
        live.take(Ok(after));
        let look = terminal(60);
        insta::assert_snapshot!(page(&live.frame(look, 24), look), @r#"
    renewd 0.1.0 · /etc/renewd/renewd.yaml · generation 3
    loaded 2h ago
    ● 2 fresh

      ACCOUNT    PROVIDER   STATE  LEFT            NEXT    SINKS
    ● kis        kis        fresh  █████ 38m left  in 12m  1/1
    ● messaging  bizppurio  fresh  █████ 38m left  in 12m  1/1

    LATELY (UTC)
    10:00:02  ● messaging  token 8, lives 37m
    10:00:01  ● kis        token 8, lives 37m
    "#);
    }

    #[test]
    fn an_agent_that_falls_silent_leaves_its_last_word_on_the_screen() {
        let mut live = live();
        live.take(Ok(status_of(vec![account("kis", "kis")])));
        live.take(Err("no agent at /run/renewd/renewd.sock".to_owned()));
        let look = terminal(60);
        insta::assert_snapshot!(page(&live.frame(look, 24), look), @r#"
    ▲ no answer: no agent at /run/renewd/renewd.sock
    renewd 0.1.0 · /etc/renewd/renewd.yaml · generation 3
    loaded 2h ago
    ● 1 fresh

      ACCOUNT  PROVIDER  STATE  LEFT            NEXT    SINKS
    ● kis      kis       fresh  ███▎░ 38m left  in 12m  1/1
    "#);
    }
}
