//! `docs/metrics.md`, made from the table.

use std::fmt::Write;

use super::Counters;
use super::descriptions::{DESCRIPTIONS, Kind};

/// The page for people; a test holds the file against it.
#[must_use]
pub fn reference_markdown() -> String {
    let mut page = HEAD.to_owned();
    for (title, kind) in
        [("Gauges", Kind::Gauge), ("Counters", Kind::Counter), ("Histograms", Kind::Histogram)]
    {
        let _ =
            write!(page, "\n## {title}\n\n| metric | labels | unit | says |\n| --- | --- | --- | --- |\n");
        for metric in DESCRIPTIONS.iter().filter(|metric| metric.kind == kind) {
            let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            let row =
                [format!("`{}`", metric.name), labels.join(", "), metric.unit.into(), metric.help.into()];
            let _ = writeln!(page, "| {} |", row.join(" | ").replace("  ", " "));
        }
    }
    page.push_str("\nBuckets end at (seconds):\n\n| metric | bounds |\n| --- | --- |\n");
    let counters = Counters::default();
    for metric in DESCRIPTIONS {
        if let Some(histogram) = counters.histogram(metric) {
            let bounds: Vec<String> = histogram.bounds().iter().map(ToString::to_string).collect();
            let _ = writeln!(page, "| `{}` | {} |", metric.name, bounds.join(", "));
        }
    }
    page + TAIL
}

const HEAD: &str = "# Metrics

<!-- Made by `observe::metrics::reference_markdown`; `UPDATE_DOCS=1 cargo test --lib metrics` writes it anew. -->

`GET /metrics` on `agent.listen` answers in the Prometheus text format 0.0.4. Gauges are taken from the engine's state at
the scrape; counters and histograms begin at 0 when the agent starts.
";

const TAIL: &str = r#"
## Labels

`account`, `provider` and `sink` are the names of the configuration, so their number is bounded by it. `result` of a
renewal is `ok` or the class of the error (`rejected`, `throttled`, `transient`, `malformed`, `relogin`, `config`), of a
write `ok` or `failed`. `code` is the reply's HTTP status, or `none`. No label holds a part of a secret, an error's text
or a URL of a provider.

A series with `result="ok"` begins at 0 with its account; others begin with their first event. An account, provider or sink
that leaves the configuration takes its series along, counters too: back again, they begin at 0. The histograms have no
labels, and keep what they have counted. A refresh token that turns out to be dead counts once as `relogin`; the login
that follows at once counts on its own.

Times are instants, not seconds left: subtract `time()`.

## Alerts and a dashboard

`deploy/prometheus/renewd.rules.yaml` and `deploy/grafana/renewd.json` are made of these metrics;
[monitoring](monitoring.md) explains them. The time by which renewal begins before the end (the lead) is
`renewd_token_expiration_timestamp_seconds - renewd_token_renewal_timestamp_seconds` while nothing is overdue: hold what is left
against that rather than against a number of seconds, so that an alert fits lives of a minute and of a day.
"#;
