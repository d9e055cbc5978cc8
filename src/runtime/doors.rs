//! The agent's own doors to the world, by `agent.socket`, `agent.listen`, `agent.audit`, `agent.alerts` and to its state:
//! those who keep them open say where they cannot, and the loop passes it on.

use std::fmt::Display;
use std::time::Duration;

use tokio::sync::watch;

use super::clock;
use crate::domain::{ErrorClass, ErrorInfo};
use crate::observe::status::PlaceStatus;

/// A keeper's end.
pub(crate) struct Door {
    name: &'static str,
    /// How long after a failure it is tried again.
    pub(crate) retry: Duration,
    shut: watch::Sender<Option<PlaceStatus>>,
}

/// The loop's end; empty where nobody keeps a door.
#[derive(Default)]
pub(crate) struct Doors(Vec<watch::Receiver<Option<PlaceStatus>>>);

impl Doors {
    /// One more, by the key that the configuration has for it.
    pub(crate) fn add(&mut self, name: &'static str, retry: Duration) -> Door {
        let (shut, receiver) = watch::channel(None);
        self.0.push(receiver);
        Door { name, retry, shut }
    }

    /// Those that are shut although they should not be.
    pub(crate) fn shut(&self) -> impl Iterator<Item = PlaceStatus> {
        self.0.iter().filter_map(|door| door.borrow().clone())
    }
}

impl Door {
    /// It is open where it should be, or not wanted. Gives whether that is news.
    pub(crate) fn well(&self) -> bool {
        self.shut.send_if_modified(|shut| shut.take().is_some())
    }

    /// It cannot be opened at `address`, and is not tried again before the pause is over. Gives whether that is news:
    /// the same reason again is not.
    pub(crate) fn fails(
        &self,
        address: &impl Display,
        error: &impl Display,
        meanwhile: Option<&dyn Display>,
    ) -> bool {
        let at = clock::wall();
        let error = ErrorInfo { class: ErrorClass::Config, message: error.to_string(), at };
        let mut now = PlaceStatus {
            name: self.name.to_owned(),
            address: address.to_string(),
            since: at,
            error,
            next: at.plus(self.retry),
            meanwhile: meanwhile.map(ToString::to_string),
        };
        let mut news = true;
        self.shut.send_modify(|shut| {
            if let Some(before) = shut.as_ref().filter(|before| before.address == now.address) {
                now.since = before.since;
                news = before.error.message != now.error.message;
            }
            *shut = Some(now);
        });
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_news_once_and_again_after_the_door_was_open() {
        let mut doors = Doors::default();
        let door = doors.add("agent.listen", Duration::from_secs(15));
        assert!(door.fails(&"127.0.0.1:1", &"taken", None));
        let first = doors.shut().next().unwrap();
        assert_eq!(first.next.since(first.since), Duration::from_secs(15));
        assert!(!door.fails(&"127.0.0.1:1", &"taken", None));
        assert_eq!(doors.shut().next().unwrap().since, first.since);
        assert!(door.fails(&"127.0.0.1:1", &"not this host's", None));
        assert!(door.fails(&"127.0.0.1:2", &"not this host's", Some(&"127.0.0.1:3")), "another place");
        let second = doors.shut().next().unwrap();
        assert_eq!(second.head(), "agent.listen cannot be had at 127.0.0.1:2");
        assert_eq!(second.reason(), "not this host's; 127.0.0.1:3 goes on meanwhile");
        assert!(door.well());
        assert!(!door.well());
        assert_eq!(doors.shut().count(), 0);
        assert!(door.fails(&"127.0.0.1:2", &"not this host's", None));
    }
}
