//! `renew:` of an account.

use std::collections::HashSet;
use std::time::Duration;

use croner::parser::{CronParser, Seconds, Year};

use super::scalar::{self, Refusal};
use super::{Fields, Report};
use crate::config::definition::Definition;
use crate::config::model::{Calendar, Lead, Renew};
use crate::config::shape::RENEW;
use crate::config::tree::Place;
use crate::domain::human_duration;

/// Expressions that were checked before.
#[derive(Default)]
pub(super) struct Calendars {
    checked: HashSet<String>,
}

/// When to renew; `inherited` tells whether a place is in `defaults`.
pub(super) fn renew(
    report: &mut Report,
    account: &Fields<'_, '_>,
    definition: Option<&Definition>,
    calendars: &mut Calendars,
    inherited: &dyn Fn(Place) -> bool,
) -> Renew {
    let own_interval = definition.and_then(|definition| definition.min_interval).unwrap_or_default();
    let plain = Renew { before: None, cron: None, min_interval: own_interval };
    let Some(fields) = account.section(report, "renew", &RENEW) else { return plain };
    let life = definition.and_then(|definition| definition.life);
    let before = fields.parsed(report, "before", scalar::lead);
    if let (Some(Lead::Time(lead)), Some(life)) = (before, life)
        && lead >= life
    {
        report
            .error(
                fields.place_of("before"),
                format!("the lead is not shorter than the token's life of {}", human_duration(life)),
            )
            .hint("a share such as `20%` fits every life");
    }
    let min_interval = fields.duration(report, "min_interval");
    if let (Some(interval), Some(life)) = (min_interval, life)
        && interval >= life
    {
        report.error(
            fields.place_of("min_interval"),
            format!("`min_interval` is not shorter than the token's life of {}", human_duration(life)),
        );
    }
    Renew {
        before,
        cron: calendar(report, &fields, calendars, inherited),
        min_interval: min_interval.unwrap_or(own_interval),
    }
}

fn calendar(
    report: &mut Report,
    fields: &Fields<'_, '_>,
    calendars: &mut Calendars,
    inherited: &dyn Fn(Place) -> bool,
) -> Option<Calendar> {
    let timezone = fields.parsed(report, "timezone", zone);
    if let (Some(node), false) = (fields.node("timezone"), fields.has("cron"))
        && !inherited(node.place)
    {
        report
            .error(node.place, "`timezone` without `cron`")
            .hint("it is the zone of `cron` and of nothing else");
    }
    let expression = fields.parsed(report, "cron", |text| calendars.expression(text))?;
    Some(Calendar { expression, timezone: timezone.unwrap_or_else(|| "UTC".to_owned()) })
}

impl Calendars {
    fn expression(&mut self, text: &str) -> Result<String, Refusal> {
        if !self.checked.contains(text) {
            cron(text)?;
            self.checked.insert(text.to_owned());
        }
        Ok(text.to_owned())
    }
}

fn cron(text: &str) -> Result<(), Refusal> {
    let count = text.split_whitespace().count();
    if count == 5 && !text.contains('@') {
        return Err(Refusal::because("a cron expression of five fields")
            .with_hint(format!("the first of six is the second: \"0 {}\"", clean(text))));
    }
    if count != 6 || text.len() > 256 {
        return Err(
            Refusal::EXPECTED.with_hint("second, minute, hour, day of the month, month, day of the week")
        );
    }
    let parser = CronParser::builder().seconds(Seconds::Required).year(Year::Optional).build();
    match parser.parse(text) {
        Ok(_) if comes(&parser, text) => Ok(()),
        Ok(_) => Err(Refusal::because("a date that never comes: there is none in eight years")
            .with_hint("does that month have such a day? February ends on the 29th at the latest")),
        Err(_) => Err(Refusal::because("not a valid cron expression").with_hint(
            "second, minute, hour, day of the month, month, day of the week, as in \"0 0 4 * * *\"",
        )),
    }
}

/// Whether the times of an expression of six fields come at all. Eight years in a row hold every date that there is, but
/// for those around a century without a leap day.
fn comes(parser: &CronParser, text: &str) -> bool {
    const FIRST_OF_2024: i64 = 1_704_067_200;
    let years = parser.parse(&format!("{text} 2024-2031"));
    let from = chrono::DateTime::from_timestamp(FIRST_OF_2024, 0);
    match (years, from) {
        (Ok(years), Some(from)) => years.find_next_occurrence(&from, true).is_ok(),
        _ => true,
    }
}

fn clean(text: &str) -> String {
    text.split_whitespace()
        .map(|field| {
            field.chars().filter(|c| c.is_ascii_alphanumeric() || "*/,-#?".contains(*c)).take(20).collect()
        })
        .collect::<Vec<String>>()
        .join(" ")
}

/// An IANA time zone, spelt as the database spells it.
pub(super) fn zone(text: &str) -> Result<String, Refusal> {
    let unknown = || {
        Refusal::because("there is no such time zone").with_hint("an IANA name such as `Asia/Seoul` or `UTC`")
    };
    if text.len() > 64 {
        return Err(unknown());
    }
    let zone = jiff::tz::TimeZone::get(text).map_err(|_| unknown())?;
    match zone.iana_name() {
        Some(name) if name == text => Ok(name.to_owned()),
        Some(name) => Err(unknown().with_hint(format!("did you mean `{name}`?"))),
        None => Err(unknown()),
    }
}

/// A duration written in a param.
pub(super) fn is_duration(text: &str) -> bool {
    scalar::duration(text).is_ok_and(|span| span > Duration::ZERO)
}
