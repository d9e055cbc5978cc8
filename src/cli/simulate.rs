//! `renewd simulate`: what the renewal policy does to providers and to accounts, in virtual time.

use std::time::Duration;

use super::args::{Outage, SimulateArgs};
use super::exit::Exit;
use super::out;
use super::report::Failure;
use super::screen::{Line, Look, Tone, pad};
use super::status::span;
use crate::core::simulation::{Report, Scenario, run};

const LABELS: usize = 16;

/// Runs the scenario and prints what came of it.
pub(super) fn simulate(args: &SimulateArgs) -> Result<Exit, Failure> {
    let scenario = scenario(args)?;
    let report = run(&scenario);
    match args.json {
        true => out::print(&format!("{:#}\n", json(&scenario, &report)))?,
        false => {
            let look = Look::of_stdout();
            for line in lines(&scenario, &report) {
                out::print(&format!("{}\n", line.render(look)))?;
            }
        }
    }
    Ok(Exit::Done)
}

fn scenario(args: &SimulateArgs) -> Result<Scenario, Failure> {
    let duration = Duration::from_secs(u64::from(args.days) * 86_400);
    if args.lifetime < Duration::from_secs(1) {
        return Err(Failure::new(Exit::Usage, "`--lifetime` is a second at least"));
    }
    Ok(Scenario {
        accounts: args.accounts,
        hosts: args.hosts.min(args.accounts),
        lifetime: args.lifetime,
        duration,
        outages: outages(&args.outages, duration)?,
        seed: args.seed,
        ..Scenario::default()
    })
}

/// In order of time; they may neither overlap nor reach beyond the end.
fn outages(outages: &[Outage], duration: Duration) -> Result<Vec<(Duration, Duration)>, Failure> {
    let mut sorted: Vec<(Duration, Duration)> =
        outages.iter().map(|each| (each.start, each.length)).collect();
    sorted.sort();
    let wrong = |text: &str| Failure::new(Exit::Usage, text);
    let end = |(start, length): (Duration, Duration)| start.saturating_add(length);
    if sorted.windows(2).any(|pair| end(pair[0]) > pair[1].0) {
        return Err(
            wrong("the outages overlap").hint("one `--outage START+LENGTH` ends before the next begins")
        );
    }
    if sorted.last().is_some_and(|last| end(*last) > duration) {
        return Err(
            wrong("an outage reaches beyond the last day").hint("more `--days`, or an earlier `--outage`")
        );
    }
    Ok(sorted)
}

fn lines(scenario: &Scenario, report: &Report) -> Vec<Line> {
    let Scenario { accounts, hosts, lifetime, duration, outages, .. } = scenario;
    let days = duration.as_secs() / 86_400;
    let title = format!(
        "{accounts} {} on {hosts} {}, tokens that live {}, {days} {}",
        plural(u64::from(*accounts), "account"),
        plural(u64::from(*hosts), "host"),
        span(*lifetime),
        plural(days, "day"),
    );
    let per_renewal = ratio(report.requests, report.renewals);
    let mut lines = vec![
        Line::new().with(Tone::Strong, title),
        field(
            "requests",
            format!("{}, {per_renewal:.3} a token; {} failed", report.requests, report.failures),
        ),
        field("tokens", report.renewals.to_string()),
        field("peak", format!("{} requests to one host within a second", report.peak_per_host_second)),
    ];
    if report.busiest_minute > 0.0 {
        let said = format!(
            "{:.2} times the mean; ten minutes: {:.2}",
            report.busiest_minute, report.busiest_ten_minutes
        );
        lines.push(field("busiest minute", said));
    }
    let [half, most, all] = report.lateness.map(milliseconds);
    lines.push(field(
        "lateness",
        format!("half of the requests within {half}, 99% within {most}, all within {all}"),
    ));
    let minutes = report.expired_seconds / 60.0;
    let tone = if report.expiries == 0 && report.left_expired == 0 { Tone::Good } else { Tone::Warn };
    let times = plural(report.expiries, "time");
    let said = format!("{minutes:.1} account minutes without a valid token, {} {times}", report.expiries);
    lines.push(label("expired").with(tone, said));
    if report.left_expired > 0 {
        lines.push(
            label("at the end").with(Tone::Warn, format!("{} still without a token", report.left_expired)),
        );
    }
    for ((start, length), recovery) in outages.iter().zip(&report.recoveries) {
        let after = match recovery.is_zero() {
            true => "nobody was without a token".to_owned(),
            false => format!("all had a token again {} after its end", span(*recovery)),
        };
        lines.push(field("outage", format!("at {} for {}: {after}", span(*start), span(*length))));
    }
    lines
}

fn json(scenario: &Scenario, report: &Report) -> serde_json::Value {
    let seconds = |spans: &[Duration]| spans.iter().map(Duration::as_secs_f64).collect::<Vec<_>>();
    serde_json::json!({
        "accounts": scenario.accounts,
        "hosts": scenario.hosts,
        "lifetime_seconds": scenario.lifetime.as_secs_f64(),
        "days": scenario.duration.as_secs() / 86_400,
        "seed": scenario.seed,
        "requests": report.requests,
        "failures": report.failures,
        "tokens": report.renewals,
        "peak_per_host_second": report.peak_per_host_second,
        "busiest_minute": report.busiest_minute,
        "busiest_ten_minutes": report.busiest_ten_minutes,
        "lateness_seconds": { "p50": report.lateness[0].as_secs_f64(), "p99": report.lateness[1].as_secs_f64(),
                              "max": report.lateness[2].as_secs_f64() },
        "expired_seconds": report.expired_seconds,
        "expiries": report.expiries,
        "left_expired": report.left_expired,
        "recovery_seconds": seconds(&report.recoveries),
    })
}

fn label(name: &str) -> Line {
    Line::new().with(Tone::Dim, format!("  {}", pad(name, LABELS)))
}

fn field(name: &str, text: String) -> Line {
    label(name).with(Tone::Plain, text)
}

fn plural(count: u64, word: &str) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}

fn milliseconds(time: Duration) -> String {
    if time < Duration::from_secs(10) { format!("{} ms", time.as_millis()) } else { span(time) }
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^53")]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(start: u64, length: u64) -> Outage {
        Outage { start: Duration::from_secs(start * 3600), length: Duration::from_secs(length * 3600) }
    }

    #[test]
    fn outages_are_put_in_order_and_may_not_overlap() {
        let day = Duration::from_secs(86_400);
        let sorted = outages(&[hours(12, 1), hours(6, 1)], day).unwrap();
        assert_eq!(sorted.iter().map(|(start, _)| start.as_secs() / 3600).collect::<Vec<_>>(), [6, 12]);
        assert_eq!(outages(&[hours(6, 7), hours(12, 1)], day).unwrap_err().exit(), Exit::Usage);
        assert_eq!(outages(&[hours(23, 2)], day).unwrap_err().exit(), Exit::Usage);
    }

    #[test]
    fn a_day_of_a_few_accounts_is_told_in_words_and_in_json() {
        let scenario = Scenario {
            accounts: 3,
            outages: outages(&[hours(6, 2)], Duration::from_secs(86_400)).unwrap(),
            ..Scenario::default()
        };
        let report = run(&scenario);
        let text: String =
            lines(&scenario, &report).iter().map(|line| line.render(Look::plain()) + "\n").collect();
        assert!(text.starts_with("3 accounts on 1 host, tokens that live 1h, 1 day\n"), "{text}");
        assert!(text.contains("outage          at 6h for 2h: all had a token again"), "{text}");
        assert!(json(&scenario, &report)["requests"].as_u64().unwrap() > 60, "{text}");
    }
}
