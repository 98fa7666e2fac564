//! The kinds of metrics. Each has its labels in its type, so that none can be recorded with one too few.

use std::time::Duration;

use jiff::Timestamp;
use metrics::{Label, counter, gauge, histogram};

/// What there is to know about a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Description {
    /// Its name as monitors know it, unit included.
    pub name: &'static str,
    /// How it counts.
    pub kind: Kind,
    /// Its labels' names.
    pub labels: &'static [&'static str],
    /// What it tells, for people.
    pub help: &'static str,
}

/// How a metric counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Up, from the start of the process.
    Counter,
    /// Up and down.
    Gauge,
    /// Into buckets, of which these are the upper bounds.
    Histogram(&'static [f64]),
}

impl Kind {
    /// The kind as Prometheus spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// A metric with `N` labels.
#[derive(Debug)]
struct Metric<const N: usize> {
    name: &'static str,
    labels: [&'static str; N],
    help: &'static str,
}

impl<const N: usize> Metric<N> {
    fn labels(&self, values: [&str; N]) -> Vec<Label> {
        let labels = self.labels.into_iter().zip(values);
        labels
            .map(|(label, value)| Label::new(label, value.to_owned()))
            .collect()
    }

    const fn description(&'static self, kind: Kind) -> Description {
        Description {
            name: self.name,
            kind,
            labels: &self.labels,
            help: self.help,
        }
    }
}

/// A metric that counts up.
#[derive(Debug)]
pub struct Counter<const N: usize>(Metric<N>);

impl<const N: usize> Counter<N> {
    pub(crate) const fn new(name: &'static str, labels: [&'static str; N], help: &'static str) -> Self {
        Self(Metric { name, labels, help })
    }

    /// One more, with these values of its labels.
    pub(crate) fn count(&self, values: [&str; N]) {
        counter!(self.0.name, self.0.labels(values)).increment(1);
    }

    /// What there is to know about it.
    #[must_use]
    pub const fn description(&'static self) -> Description {
        self.0.description(Kind::Counter)
    }
}

/// A metric that stands at a value.
#[derive(Debug)]
pub struct Gauge<const N: usize>(Metric<N>);

impl<const N: usize> Gauge<N> {
    pub(crate) const fn new(name: &'static str, labels: [&'static str; N], help: &'static str) -> Self {
        Self(Metric { name, labels, help })
    }

    /// It stands at `value`.
    pub(crate) fn set(&self, values: [&str; N], value: u32) {
        gauge!(self.0.name, self.0.labels(values)).set(f64::from(value));
    }

    /// It stands at a moment, in seconds since 1970.
    pub(crate) fn set_to(&self, values: [&str; N], moment: Timestamp) {
        gauge!(self.0.name, self.0.labels(values)).set(moment.as_duration().as_secs_f64());
    }

    /// What there is to know about it.
    #[must_use]
    pub const fn description(&'static self) -> Description {
        self.0.description(Kind::Gauge)
    }
}

/// A metric of how long something took.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    metric: Metric<N>,
    buckets: &'static [f64],
}

impl<const N: usize> Histogram<N> {
    pub(crate) const fn new(
        name: &'static str,
        labels: [&'static str; N],
        help: &'static str,
        buckets: &'static [f64],
    ) -> Self {
        Self {
            metric: Metric { name, labels, help },
            buckets,
        }
    }

    /// It took `time`.
    pub(crate) fn took(&self, values: [&str; N], time: Duration) {
        histogram!(self.metric.name, self.metric.labels(values)).record(time);
    }

    /// What there is to know about it.
    #[must_use]
    pub const fn description(&'static self) -> Description {
        self.metric.description(Kind::Histogram(self.buckets))
    }
}
