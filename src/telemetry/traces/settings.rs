//! The variables of the OpenTelemetry specification that this process reads itself. The libraries read the others: those of the
//! endpoint, headers, timeout and compression of the exporter, of the sampler, of the queue, and of the resource.

use std::path::PathBuf;

const ENDPOINT: &str = "ENDPOINT";
const PROTOCOL: &str = "PROTOCOL";
const CERTIFICATE: &str = "CERTIFICATE";
const CLIENT_CERTIFICATE: &str = "CLIENT_CERTIFICATE";
const CLIENT_KEY: &str = "CLIENT_KEY";

/// The protocol that is supported.
const GRPC: &str = "grpc";

/// Why traces are not exported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("traces are not exported: {0}")]
pub struct TracesError(pub(super) String);

/// How the collector is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TracesSettings {
    /// The collector's address. Without a scheme it is reached over TLS.
    pub(super) endpoint: String,
    /// The certificates that the collector's certificate is verified against, in PEM. `None` for those of the system.
    pub(super) certificate: Option<PathBuf>,
    /// The client certificate and its key, in PEM.
    pub(super) client: Option<(PathBuf, PathBuf)>,
}

/// Reads the settings. `None` if no endpoint is set or if traces are disabled.
///
/// # Errors
/// For a protocol other than gRPC, and for a client certificate without a key.
pub(super) fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Option<TracesSettings>, TracesError> {
    // An empty variable counts as not set.
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    let is_disabled = variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let exporter = variable("OTEL_TRACES_EXPORTER");
    let of_exporter = |name: &str| {
        let names = [
            format!("OTEL_EXPORTER_OTLP_TRACES_{name}"),
            format!("OTEL_EXPORTER_OTLP_{name}"),
        ];
        names.into_iter().find_map(|name| Some((variable(&name)?, name)))
    };
    let Some((endpoint, _)) = of_exporter(ENDPOINT) else {
        return Ok(None);
    };
    if is_disabled || exporter.is_some_and(|exporter| exporter == "none") {
        return Ok(None);
    }
    if let Some((protocol, name)) = of_exporter(PROTOCOL).filter(|(protocol, _)| protocol != GRPC) {
        return Err(TracesError(format!(
            "{name} is `{protocol}`, and only `{GRPC}` is supported: set it to `{GRPC}`, and the endpoint to the collector's port for gRPC"
        )));
    }
    let path = |name: &str| of_exporter(name).map(|(path, _)| PathBuf::from(path));
    let client = match (path(CLIENT_CERTIFICATE), path(CLIENT_KEY)) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => {
            return Err(TracesError(
                "a client certificate needs its key: set OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY"
                    .to_owned(),
            ));
        }
    };
    Ok(Some(TracesSettings {
        endpoint,
        certificate: path(CERTIFICATE),
        client,
    }))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn read_from(variables: &[(&str, &str)]) -> Result<Option<TracesSettings>, TracesError> {
        let variables = variables.to_vec();
        read(move |wanted| {
            let found = variables.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[rstest]
    #[case::nothing(&[])]
    #[case::empty(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")])]
    #[case::disabled(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317"), ("OTEL_SDK_DISABLED", "True")])]
    #[case::no_exporter(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317"), ("OTEL_TRACES_EXPORTER", "none")])]
    #[case::disabled_comes_before_errors(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_SDK_DISABLED", "true")
    ])]
    fn without_an_endpoint_or_when_disabled_nothing_is_exported(#[case] variables: &[(&str, &str)]) {
        assert_eq!(read_from(variables), Ok(None));
    }

    #[rstest]
    #[case(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4317")], "http://a:4317")]
    #[case(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4317"), ("OTEL_SDK_DISABLED", "false")], "http://a:4317")]
    #[case(
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4317"), ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://b:4317")],
        "http://b:4317"
    )]
    #[case(
        &[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://b:4317"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
        "http://b:4317"
    )]
    fn an_endpoint_enables_the_export(#[case] variables: &[(&str, &str)], #[case] endpoint: &str) {
        let settings = read_from(variables).unwrap().unwrap();
        assert_eq!(settings.endpoint, endpoint);
    }

    #[rstest]
    #[case("OTEL_EXPORTER_OTLP_PROTOCOL")]
    #[case("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")]
    fn another_protocol_is_refused_with_the_variable_and_the_remedy(#[case] name: &str) {
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4318"),
            (name, "http/protobuf"),
        ];
        assert_eq!(
            read_from(&variables).unwrap_err().to_string(),
            format!(
                "traces are not exported: {name} is `http/protobuf`, and only `grpc` is supported: set it to `grpc`, and the endpoint to the collector's port for gRPC"
            )
        );
    }

    #[test]
    fn a_client_certificate_and_its_key_belong_together() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://a:4317");
        let certificate = ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/c.pem");
        let key = ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/k.pem");
        assert!(read_from(&[endpoint, certificate]).is_err());
        assert!(read_from(&[endpoint, key]).is_err());
        let settings = read_from(&[endpoint, certificate, key]).unwrap().unwrap();
        assert_eq!(settings.client, Some(("/c.pem".into(), "/k.pem".into())));
    }
}
