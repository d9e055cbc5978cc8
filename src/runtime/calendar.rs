//! `renew.cron`: one job per distinct calendar in tokio-cron-scheduler, whose body only sends an event.
//!
//! The scheduler polls twice a second and freezes a zone's offset when a job is made; so each job is made anew
//! after every firing, and what a firing means is computed from the expression in its own zone.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use uuid::Uuid;

use crate::config::model::Calendar;
use crate::domain::Timestamp;

/// A firing that names an instant further back than this is not believed (a clock step, a changed offset).
const FRESH: i64 = 60_000;

/// The calendars of the running configuration.
pub(crate) struct Calendars {
    /// Made with the first calendar: without one there is nothing that polls.
    scheduler: Option<JobScheduler>,
    jobs: BTreeMap<Calendar, Uuid>,
    firings: mpsc::Sender<Calendar>,
}

impl Calendars {
    /// No calendar yet; firings arrive at the receiver.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Calendar>) {
        let (firings, receiver) = mpsc::channel(1024);
        (Self { scheduler: None, jobs: BTreeMap::new(), firings }, receiver)
    }

    /// Exactly these calendars have a job from now on.
    pub(crate) async fn set(&mut self, wanted: &BTreeSet<Calendar>) -> Result<(), JobSchedulerError> {
        let gone: Vec<Calendar> =
            self.jobs.keys().filter(|known| !wanted.contains(*known)).cloned().collect();
        for calendar in gone {
            self.remove(&calendar).await?;
        }
        for calendar in wanted {
            if !self.jobs.contains_key(calendar) {
                self.add(calendar).await?;
            }
        }
        Ok(())
    }

    /// After each firing: the job's zone offset was frozen when it was made.
    pub(crate) async fn renew(&mut self, calendar: &Calendar) -> Result<(), JobSchedulerError> {
        if self.jobs.contains_key(calendar) {
            self.remove(calendar).await?;
            self.add(calendar).await?;
        }
        Ok(())
    }

    async fn add(&mut self, calendar: &Calendar) -> Result<(), JobSchedulerError> {
        let zone =
            chrono_tz::Tz::from_str(&calendar.timezone).map_err(|_| JobSchedulerError::ParseSchedule)?;
        let (firings, fired) = (self.firings.clone(), calendar.clone());
        let job = Job::new_tz(calendar.expression.as_str(), zone, move |_, _| {
            // A full channel means a thousand firings that nobody has looked at: one less does not matter.
            let _ = firings.try_send(fired.clone());
        })?;
        let id = self.scheduler().await?.add(job).await?;
        self.jobs.insert(calendar.clone(), id);
        Ok(())
    }

    async fn remove(&mut self, calendar: &Calendar) -> Result<(), JobSchedulerError> {
        match self.jobs.remove(calendar) {
            Some(id) => self.scheduler().await?.remove(&id).await,
            None => Ok(()),
        }
    }

    async fn scheduler(&mut self) -> Result<&JobScheduler, JobSchedulerError> {
        let scheduler = match self.scheduler.take() {
            Some(running) => running,
            None => {
                let fresh = JobScheduler::new_with_channel_size(4096).await?;
                fresh.start().await?;
                fresh
            }
        };
        Ok(self.scheduler.insert(scheduler))
    }
}

/// The next instant of the calendar after `after`.
#[must_use]
pub(crate) fn next(calendar: &Calendar, after: Timestamp) -> Option<Timestamp> {
    let (cron, start) = parsed(calendar, after)?;
    cron.find_next_occurrence(&start, false).ok().map(|at| Timestamp::from_millis(at.timestamp_millis()))
}

/// The instant that a firing at `now` stands for; `None` where there is none nearby.
#[must_use]
pub(crate) fn scheduled(calendar: &Calendar, now: Timestamp) -> Option<Timestamp> {
    // A firing stands for a whole second; croner keeps what is left of one.
    let (cron, start) = parsed(calendar, Timestamp::from_secs(now.as_secs()))?;
    let last = cron.find_previous_occurrence(&start, true).ok()?;
    let last = Timestamp::from_millis(last.timestamp_millis());
    (now.offset_from(last) < FRESH).then_some(last)
}

fn parsed(calendar: &Calendar, at: Timestamp) -> Option<(croner::Cron, DateTime<chrono_tz::Tz>)> {
    let zone = chrono_tz::Tz::from_str(&calendar.timezone).ok()?;
    let cron = croner::parser::CronParser::builder()
        .seconds(croner::parser::Seconds::Required)
        .build()
        .parse(&calendar.expression)
        .ok()?;
    let instant = DateTime::<Utc>::from_timestamp_millis(at.as_millis())?;
    Some((cron, instant.with_timezone(&zone)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar(expression: &str, timezone: &str) -> Calendar {
        Calendar { expression: expression.to_owned(), timezone: timezone.to_owned() }
    }

    fn at(text: &str) -> Timestamp {
        serde_json::from_value(serde_json::Value::String(text.to_owned())).unwrap()
    }

    #[test]
    fn next_times_are_in_the_calendars_own_zone_across_daylight_saving() {
        let seoul = calendar("0 0 4 * * *", "Asia/Seoul");
        assert_eq!(next(&seoul, at("2026-11-21T00:00:00Z")), Some(at("2026-11-21T19:00:00Z")));
        let berlin = calendar("0 0 4 * * *", "Europe/Berlin");
        assert_eq!(next(&berlin, at("2026-10-24T03:00:00Z")), Some(at("2026-10-25T03:00:00Z")));
        assert_eq!(next(&berlin, at("2026-10-23T03:00:00Z")), Some(at("2026-10-24T02:00:00Z")));
    }

    #[test]
    fn a_firing_names_the_instant_that_it_stands_for() {
        let seoul = calendar("0 0 4 * * *", "Asia/Seoul");
        let due = at("2026-11-21T19:00:00Z");
        assert_eq!(scheduled(&seoul, at("2026-11-21T19:00:00.7Z")), Some(due));
        assert_eq!(scheduled(&seoul, at("2026-11-21T21:00:00Z")), None);
    }

    #[tokio::test]
    async fn a_calendar_fires_and_fires_again_after_its_renewal() {
        let (mut calendars, mut firings) = Calendars::new();
        let every_second = calendar("* * * * * *", "UTC");
        calendars.set(&BTreeSet::from([every_second.clone()])).await.unwrap();
        for _ in 0..2 {
            let fired =
                tokio::time::timeout(std::time::Duration::from_secs(10), firings.recv()).await.unwrap();
            assert_eq!(fired.as_ref(), Some(&every_second));
            calendars.renew(&every_second).await.unwrap();
        }
        calendars.set(&BTreeSet::new()).await.unwrap();
    }
}
