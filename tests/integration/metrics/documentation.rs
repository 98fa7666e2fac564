//! What the documentation says of metrics is what the code says.

use buildkite_connector::telemetry::metrics::all;

const METRICS: &str = include_str!("../../../docs/metrics.md");

#[test]
fn the_table_is_the_codes_own() {
    let table: Vec<&str> = METRICS
        .lines()
        .filter(|line| line.starts_with("| `buildkite_connector_"))
        .collect();
    let expected: Vec<String> = all()
        .iter()
        .map(|metric| {
            let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            let (kind, labels) = (metric.kind.as_str(), labels.join(", "));
            format!("| `{}` | {kind} | {labels} | {} |", metric.name, metric.help)
        })
        .collect();
    assert_eq!(table, expected);
}

#[test]
fn every_alert_is_about_a_metric_that_there_is() {
    let names: Vec<&str> = all().iter().map(|metric| metric.name).collect();
    let words = METRICS.split(|character: char| !(character.is_ascii_alphanumeric() || character == '_'));
    for word in words.filter(|word| word.starts_with("buildkite_connector_")) {
        let name = word
            .trim_end_matches("_bucket")
            .trim_end_matches("_count")
            .trim_end_matches("_sum");
        assert!(names.contains(&name), "there is no {word}");
    }
}
