//! From the status and the counts to the text that Prometheus reads.

use std::sync::Arc;

use prometheus::TextEncoder;
use prometheus::proto::{self, LabelPair, Metric, MetricFamily, MetricType};

use super::counters::{Counters, Histogram};
use super::descriptions::{
    ACCOUNT_STATE, BUILD_INFO, CONFIG_LOADED, CONFIG_SUCCESSFUL, DESCRIPTIONS, Description, Kind,
    SINK_SUCCESS, SINK_WRITING, TOKEN_EXPIRATION, TOKEN_GENERATION, TOKEN_RENEWAL,
};
use crate::domain::{AccountState, Timestamp};
use crate::observe::status::{AccountStatus, SinkStatus, Status, TemplateStatus};

/// What the scrape is served as.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// All that a scrape shows, as of one instant. Taken by the loop, rendered elsewhere.
#[derive(Debug, Clone)]
pub struct Scrape {
    /// What the gauges are made from; the same document that `/api/v1/status` answers.
    pub status: Status,
    /// What has been counted.
    pub counters: Arc<Counters>,
}

impl Scrape {
    /// The text. A family without a series still says what it is.
    ///
    /// # Errors
    /// In words, where the encoder refuses a family; none of ours gives it a reason.
    pub fn render(&self) -> Result<String, String> {
        let (mut text, encoder) = (String::new(), TextEncoder::new());
        for description in DESCRIPTIONS {
            let metrics = self.metrics(description);
            if metrics.is_empty() {
                let Description { name, help, kind, .. } = description;
                text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {}\n", kind.as_str()));
                continue;
            }
            let mut family = MetricFamily::default();
            family.set_name(description.name.to_owned());
            family.set_help(description.help.to_owned());
            family.set_field_type(match description.kind {
                Kind::Gauge => MetricType::GAUGE,
                Kind::Counter => MetricType::COUNTER,
                Kind::Histogram => MetricType::HISTOGRAM,
            });
            family.set_metric(metrics);
            encoder.encode_utf8(&[family], &mut text).map_err(|error| error.to_string())?;
        }
        Ok(text)
    }

    fn metrics(&self, description: &Description) -> Vec<Metric> {
        match description.kind {
            Kind::Histogram => self.counters.histogram(description).map(histogram).into_iter().collect(),
            Kind::Counter => {
                self.counters.series(description).map(|(labels, value)| counter(description, labels, value))
            }
            .collect(),
            Kind::Gauge => self.gauges(description),
        }
    }

    fn gauges(&self, description: &Description) -> Vec<Metric> {
        let Status { version, config, accounts, .. } = &self.status;
        let one = |labels: &[&str], value| gauge(description, labels, value);
        let each = |value: fn(&AccountStatus) -> Option<f64>| {
            let of = |account: &AccountStatus| {
                Some(one(&[account.name.as_str(), &account.provider], value(account)?))
            };
            accounts.iter().filter_map(of).collect()
        };
        match description.name {
            name if name == BUILD_INFO.name => vec![one(&[version], 1.0)],
            name if name == CONFIG_SUCCESSFUL.name => {
                vec![one(&[], f64::from(u8::from(config.error.is_none())))]
            }
            name if name == CONFIG_LOADED.name => vec![one(&[], seconds(config.loaded_at))],
            name if name == ACCOUNT_STATE.name => accounts
                .iter()
                .flat_map(|account| AccountState::ALL.map(|state| (account, state)))
                .map(|(account, state)| {
                    let labels = [account.name.as_str(), &account.provider, state.as_str()];
                    one(&labels, f64::from(u8::from(account.state == state)))
                })
                .collect(),
            name if name == TOKEN_EXPIRATION.name => each(|account| account.expires_at.map(seconds)),
            name if name == TOKEN_RENEWAL.name => each(|account| account.renew_at.map(seconds)),
            #[expect(clippy::cast_precision_loss, reason = "nobody renews 2^53 times")]
            name if name == TOKEN_GENERATION.name => each(|account| Some(account.generation.0 as f64)),
            name if name == SINK_SUCCESS.name => {
                self.of_sinks(description, |sink| sink.written_at, |template| template.written_at)
            }
            name if name == SINK_WRITING.name => {
                self.of_sinks(description, |sink| sink.writing_since, |template| template.writing_since)
            }
            _ => {
                let known = self.counters.series(description);
                known.map(|(labels, value)| gauge(description, labels, value)).collect()
            }
        }
    }

    /// An instant of each sink and of each template that has one.
    fn of_sinks(
        &self,
        description: &Description,
        of_sink: fn(&SinkStatus) -> Option<Timestamp>,
        of_template: fn(&TemplateStatus) -> Option<Timestamp>,
    ) -> Vec<Metric> {
        let Status { accounts, templates, .. } = &self.status;
        let sinks = accounts.iter().flat_map(|account| account.sinks.iter().map(move |sink| (account, sink)));
        let sinks = sinks.filter_map(|(account, sink)| {
            Some(gauge(description, &[account.name.as_str(), &sink.sink], seconds(of_sink(sink)?)))
        });
        let templates = templates.iter().filter_map(|template| {
            let id = format!("template:{}", template.path.display());
            Some(gauge(description, &["", &id], seconds(of_template(template)?)))
        });
        sinks.chain(templates).collect()
    }
}

fn gauge<T: AsRef<str>>(description: &Description, labels: &[T], value: f64) -> Metric {
    let mut gauge = proto::Gauge::default();
    gauge.set_value(value);
    let mut metric = Metric::from_label(pairs(description, labels));
    metric.set_gauge(gauge);
    metric
}

fn counter<T: AsRef<str>>(description: &Description, labels: &[T], value: f64) -> Metric {
    let mut counter = proto::Counter::default();
    counter.set_value(value);
    let mut metric = Metric::from_label(pairs(description, labels));
    metric.set_counter(counter);
    metric
}

fn histogram(from: &Histogram) -> Metric {
    let bucket = |(bound, count)| {
        let mut bucket = proto::Bucket::default();
        bucket.set_upper_bound(bound);
        bucket.set_cumulative_count(count);
        bucket
    };
    let (count, sum) = from.total();
    let mut histogram = proto::Histogram::default();
    histogram.set_bucket(from.cumulative().map(bucket).collect());
    histogram.set_sample_count(count);
    histogram.set_sample_sum(sum);
    let mut metric = Metric::default();
    metric.set_histogram(histogram);
    metric
}

fn pairs<T: AsRef<str>>(description: &Description, values: &[T]) -> Vec<LabelPair> {
    let pair = |(name, value): (&&str, &T)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value(value.as_ref().to_owned());
        pair
    };
    description.labels.iter().zip(values).map(pair).collect()
}

fn seconds(at: Timestamp) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds up to the year 9999 fit")]
    let millis = at.as_millis() as f64;
    millis / 1000.0
}
