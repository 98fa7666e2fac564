//! The kinds of metrics. The number of labels is part of the type, so that a metric cannot be recorded with a label
//! missing.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use metrics::{Label, counter, gauge, histogram};

/// The label that every metric of a named connection carries.
pub const CONNECTION: &str = "connection";

/// The connection that a value is about. A connection without a name has no label.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectionTag(Option<Arc<str>>);

impl ConnectionTag {
    /// The tag of the connection with this name.
    pub(crate) fn of(name: Arc<str>) -> Self {
        Self(Some(name))
    }
}

/// The description of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Description {
    /// Name for monitors, including the unit.
    pub name: &'static str,
    /// Kind of metric.
    pub kind: Kind,
    /// Names of the labels.
    pub labels: &'static [&'static str],
    /// Help text.
    pub help: &'static str,
}

/// The kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Increases from the start of the process.
    Counter,
    /// Increases and decreases.
    Gauge,
    /// Counts observations in buckets with these upper bounds.
    Histogram(&'static [f64]),
}

impl Kind {
    /// The kind's name in Prometheus.
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
    fn labels(&self, tag: &ConnectionTag, values: [&str; N]) -> Vec<Label> {
        let labels = self.labels.into_iter().zip(values);
        let connection = tag.0.as_ref().map(|name| Label::new(CONNECTION, Arc::clone(name)));
        labels
            .map(|(label, value)| Label::new(label, value.to_owned()))
            .chain(connection)
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

/// A metric that only increases.
#[derive(Debug)]
pub struct Counter<const N: usize>(Metric<N>);

impl<const N: usize> Counter<N> {
    pub(crate) const fn new(name: &'static str, labels: [&'static str; N], help: &'static str) -> Self {
        Self(Metric { name, labels, help })
    }

    /// Adds one, with these label values and that of the connection.
    pub(crate) fn increment_for(&self, tag: &ConnectionTag, values: [&str; N]) {
        counter!(self.0.name, self.0.labels(tag, values)).increment(1);
    }

    /// The metric's description.
    #[must_use]
    pub const fn description(&'static self) -> Description {
        self.0.description(Kind::Counter)
    }
}

/// A metric with a current value.
#[derive(Debug)]
pub struct Gauge<const N: usize>(Metric<N>);

impl<const N: usize> Gauge<N> {
    pub(crate) const fn new(name: &'static str, labels: [&'static str; N], help: &'static str) -> Self {
        Self(Metric { name, labels, help })
    }

    /// Sets the value, which concerns the process.
    pub(crate) fn set(&self, values: [&str; N], value: u32) {
        self.set_for(&ConnectionTag::default(), values, value);
    }

    /// Sets the value of a connection.
    pub(crate) fn set_for(&self, tag: &ConnectionTag, values: [&str; N], value: u32) {
        gauge!(self.0.name, self.0.labels(tag, values)).set(f64::from(value));
    }

    /// Sets the value of a connection to a time, in seconds since 1970.
    pub(crate) fn set_timestamp_for(&self, tag: &ConnectionTag, values: [&str; N], moment: Timestamp) {
        gauge!(self.0.name, self.0.labels(tag, values)).set(moment.as_duration().as_secs_f64());
    }

    /// The metric's description.
    #[must_use]
    pub const fn description(&'static self) -> Description {
        self.0.description(Kind::Gauge)
    }
}

/// A metric of durations.
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

    /// Records a duration that concerns a connection.
    pub(crate) fn observe_for(&self, tag: &ConnectionTag, values: [&str; N], time: Duration) {
        histogram!(self.metric.name, self.metric.labels(tag, values)).record(time);
    }

    /// The metric's description.
    #[must_use]
    pub const fn description(&'static self) -> Description {
        self.metric.description(Kind::Histogram(self.buckets))
    }
}
