//! A collector that is away, slow or refuses costs nothing.

use rstest::rstest;
use tokio::net::TcpListener;
use tonic::Code;

use super::collector::{Behavior, Collector};
use super::{example, exporting, serve};
use crate::support::until;

/// The warnings of the log about the export.
fn warnings(printed: &[String]) -> usize {
    let lines = printed.iter().filter(|line| line.contains("traces cannot be exported"));
    lines.count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_away_costs_one_line_of_the_log() {
    let sandbox = example().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let server = serve(&sandbox, &exporting(&endpoint), &[]);
    let platform = server.platform().await;
    assert_eq!(platform.resources("team").await.unwrap().len(), 7);
    drop(platform);
    let ended = server.terminate();
    assert!(ended.status.success(), "{:#?}", ended.printed);
    assert_eq!(warnings(&ended.printed), 1, "{:#?}", ended.printed);
}

#[rstest]
#[case(Code::PermissionDenied)]
#[case(Code::Unavailable)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_refuses_costs_at_most_one_line_a_minute(#[case] code: Code) {
    let sandbox = example().await;
    let collector = Collector::with(Behavior::Refuse(code)).await;
    let mut server = serve(&sandbox, &exporting(&collector.endpoint()), &[]);
    let platform = server.platform().await;
    let mut exports = 0;
    for _ in 0..3 {
        assert_eq!(platform.resources("team").await.unwrap().len(), 7);
        until(|| collector.exports() > exports).await;
        exports = collector.exports();
    }
    server.line("traces cannot be exported");
    drop(platform);
    let ended = server.terminate();
    assert!(ended.status.success(), "{:#?}", ended.printed);
    assert_eq!(warnings(&ended.printed), 1, "{:#?}", ended.printed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_never_answers_delays_neither_a_call_nor_the_end() {
    let sandbox = example().await;
    let collector = Collector::with(Behavior::Hang).await;
    let mut variables = exporting(&collector.endpoint());
    // Only the bound of the last export ends the process: an hour for one export, and a queue that is full soon.
    variables.extend([
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "3600000".to_owned()),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "8".to_owned()),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4".to_owned()),
    ]);
    let server = serve(&sandbox, &variables, &[]);
    let platform = server.platform().await;
    for _ in 0..20 {
        assert_eq!(platform.resources("team").await.unwrap().len(), 7);
    }
    until(|| collector.exports() > 0).await;
    drop(platform);
    let ended = server.terminate();
    assert!(ended.status.success(), "{:#?}", ended.printed);
    assert!(ended.printed.iter().any(|line| line.contains("\"message\":\"ended\"")));
}

#[rstest]
#[case::disabled(&[("OTEL_SDK_DISABLED", "true")], None)]
#[case::another_protocol(
    &[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")],
    Some("OTEL_EXPORTER_OTLP_PROTOCOL is `http/protobuf`, and only `grpc` is supported")
)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_exported_where_traces_are_disabled_or_cannot_be(
    #[case] more: &[(&str, &str)],
    #[case] warning: Option<&str>,
) {
    let sandbox = example().await;
    let collector = Collector::start().await;
    let mut variables: Vec<(&str, String)> = exporting(&collector.endpoint());
    variables.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
    let server = serve(&sandbox, &variables, &[]);
    let platform = server.platform().await;
    assert_eq!(platform.resources("team").await.unwrap().len(), 7);
    drop(platform);
    let ended = server.terminate();
    assert!(ended.status.success(), "{:#?}", ended.printed);
    assert_eq!(collector.exports(), 0);
    let warned = ended
        .printed
        .iter()
        .filter(|line| line.contains("traces are not exported"));
    let warned: Vec<_> = warned.collect();
    assert_eq!(warned.len(), usize::from(warning.is_some()), "{warned:?}");
    assert!(warning.is_none_or(|warning| warned[0].contains(warning)), "{warned:?}");
}
