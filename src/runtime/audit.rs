//! Keeps the audit log, off the loop: a thread of its own, so that a disk that hangs or is full holds nothing up. What
//! finds no room in the queue is counted, and said in the file once it can be written again.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::oneshot;

use super::clock;
use super::doors::Door;
use crate::atomic::{Appender, Attributes, Missing, locate};
use crate::config::model::Audit as Settings;
use crate::domain::BootInstant;
use crate::observe::audit::Entry;
use crate::sink::owner;

/// A file that cannot be written is tried again after this.
pub(crate) const RETRY: Duration = Duration::from_secs(5);
/// Entries that may wait for the file: about a megabyte.
const ROOM: usize = 4096;
/// The end waits so long for the last lines.
const PATIENCE: Duration = Duration::from_secs(1);
/// Of a folder that is made.
const FOLDER: u32 = 0o750;

/// Where entries go; cheap to clone. Off until it is told where the file is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Audit(Arc<Desk>);

#[derive(Debug, Default)]
struct Desk {
    writer: OnceLock<Sender<Message>>,
    on: AtomicBool,
    waiting: AtomicUsize,
    lost: AtomicU64,
}

enum Message {
    Line(String),
    /// The file is another one, or none any more.
    Place(Option<Settings>),
    /// It may have been rotated.
    Reopen,
    End(oneshot::Sender<()>),
}

impl Audit {
    /// Whether anything is kept.
    pub(crate) fn is_on(&self) -> bool {
        self.0.on.load(Ordering::Relaxed)
    }

    /// Whether there is a writer, who has a door to say on what is wrong.
    pub(crate) fn has_writer(&self) -> bool {
        self.0.writer.get().is_some()
    }

    /// Starts the writer.
    pub(crate) fn start(&self, door: Door) {
        let (sender, inbox) = channel();
        let desk = Arc::clone(&self.0);
        let started = std::thread::Builder::new().name("renewd-audit".to_owned()).spawn(move || {
            Writer { desk, door, place: None, file: None, held: VecDeque::new(), next: None, warned: false }
                .run(&inbox)
        });
        match started {
            Ok(_) => {
                let _ = self.0.writer.set(sender);
            }
            Err(error) => {
                tracing::error!(event = "audit_failed", %error, "the audit log's thread cannot be started");
            }
        }
    }

    /// From now on entries go there, or nowhere.
    pub(crate) fn place(&self, settings: Option<Settings>) {
        self.0.on.store(settings.is_some() && self.has_writer(), Ordering::Relaxed);
        self.tell(Message::Place(settings));
    }

    /// Opens the file anew.
    pub(crate) fn reopen(&self) {
        self.tell(Message::Reopen);
    }

    /// Keeps the entry; never waits.
    pub(crate) fn record(&self, entry: &Entry) {
        if !self.is_on() {
            return;
        }
        if self.0.waiting.fetch_add(1, Ordering::Relaxed) >= ROOM {
            self.0.waiting.fetch_sub(1, Ordering::Relaxed);
            if self.0.lost.fetch_add(1, Ordering::Relaxed) == 0 {
                tracing::error!(event = "audit_full", "the audit log does not keep up: entries are lost");
            }
            return;
        }
        self.tell(Message::Line(entry.line(clock::wall())));
    }

    /// Waits for the last lines, but not for long.
    pub(crate) async fn end(&self) {
        if self.has_writer() {
            let (done, ended) = oneshot::channel();
            self.tell(Message::End(done));
            let _ = tokio::time::timeout(PATIENCE, ended).await;
        }
    }

    fn tell(&self, message: Message) {
        if let Some(writer) = self.0.writer.get() {
            let _ = writer.send(message); // it ends with the process alone
        }
    }
}

struct Writer {
    desk: Arc<Desk>,
    door: Door,
    place: Option<Settings>,
    file: Option<Appender>,
    /// Lines that are not written yet.
    held: VecDeque<String>,
    /// The next try, after a failure.
    next: Option<BootInstant>,
    /// Of the folder: said once.
    warned: bool,
}

impl Writer {
    fn run(mut self, inbox: &Receiver<Message>) {
        loop {
            let message = match self.next {
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(_) => inbox.recv_timeout(RETRY),
            };
            let mut ending = None;
            match message {
                Ok(message) => self.take(message, &mut ending),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            while let Ok(message) = inbox.try_recv() {
                self.take(message, &mut ending);
            }
            let now = clock::now().boot;
            if ending.is_some() || self.next.is_none_or(|next| next <= now) {
                self.write();
            }
            if let Some(ending) = ending {
                let left = self.held.len();
                if left > 0 {
                    tracing::error!(
                        event = "audit_incomplete",
                        left,
                        "the audit log lacks what happened last"
                    );
                }
                let _ = ending.send(());
            }
        }
    }

    fn take(&mut self, message: Message, ending: &mut Option<oneshot::Sender<()>>) {
        match message {
            Message::Line(line) => self.held.push_back(line),
            Message::Place(place) => {
                self.write(); // what belongs to the place before
                if self.place != place {
                    (self.place, self.file, self.next, self.warned) = (place, None, None, false);
                }
                if self.place.is_none() {
                    self.desk.waiting.fetch_sub(self.held.len(), Ordering::Relaxed);
                    self.held.clear();
                    self.door.well();
                }
            }
            Message::Reopen => (self.file, self.next) = (None, None),
            Message::End(done) => *ending = Some(done),
        }
    }

    /// All that is held, a call a line.
    fn write(&mut self) {
        let Some(place) = self.place.clone() else { return };
        let lost = self.desk.lost.load(Ordering::Relaxed);
        if self.held.is_empty() && lost == 0 && self.next.is_none() {
            return;
        }
        match self.write_to(&place, lost) {
            Ok(()) => {
                self.next = None;
                if self.door.well() {
                    tracing::info!(event = "audit_back", path = %place.path.display(), "the audit log is written again");
                }
            }
            Err(error) => {
                self.file = None;
                self.next = Some(clock::now().boot.plus(RETRY));
                if self.door.fails(&place.path.display(), &error, None) {
                    tracing::error!(
                        event = "audit_failed", path = %place.path.display(), error,
                        "the audit log cannot be written; tokens stay fresh all the same, and it is tried again every {} s",
                        RETRY.as_secs()
                    );
                }
            }
        }
    }

    fn write_to(&mut self, place: &Settings, lost: u64) -> Result<(), String> {
        if self.file.as_ref().is_none_or(|file| !file.stands_at(&place.path)) {
            self.file = None;
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(open(place, &mut self.warned)?),
        };
        while let Some(line) = self.held.front() {
            file.append(line).map_err(|error| worded(&error))?;
            self.held.pop_front();
            self.desk.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        if lost > 0 {
            let line = Entry::Lost { count: lost }.line(clock::wall());
            file.append(&line).map_err(|error| worded(&error))?;
            self.desk.lost.fetch_sub(lost, Ordering::Relaxed);
            tracing::warn!(event = "audit_lost", lost, "entries of the audit log found no room and are lost");
        }
        Ok(())
    }
}

fn open(place: &Settings, warned: &mut bool) -> Result<Appender, String> {
    let gid = match &place.group {
        None => None,
        Some(group) => {
            let unknown = || format!("there is no group `{group}` on this machine");
            Some(owner::group_id(group).ok_or_else(unknown)?)
        }
    };
    let (folder, name) = locate(&place.path, Missing::Create(FOLDER)).map_err(|error| worded(&error))?;
    if let Some(warning) = folder.warning().filter(|_| !std::mem::replace(warned, true)) {
        tracing::warn!(event = "audit_warning", %warning, "whoever may do that can put the audit log away");
    }
    folder.append_to(&name, Attributes { mode: place.mode, uid: None, gid }).map_err(|error| worded(&error))
}

fn worded(error: &crate::atomic::Error) -> String {
    use rustix::io::Errno;
    match (error.errno(), error.hint()) {
        (Some(Errno::NOSPC | Errno::DQUOT), _) | (_, None) => error.to_string(),
        (_, Some(hint)) => format!("{error}; hint: {hint}"),
    }
}

/// What keeps the file from being written, as far as can be told without making anything.
///
/// # Errors
/// In words.
pub(crate) fn could_write(path: &Path) -> Result<(), String> {
    let found = crate::atomic::could_locate(path).map_err(|error| worded(&error))?;
    let Some((folder, name)) = found else { return Ok(()) };
    let nobody = Attributes { mode: 0o600, uid: None, gid: None };
    folder.could_write_in_place(&name, nobody).map_err(|error| worded(&error))
}

#[cfg(test)]
mod tests;
