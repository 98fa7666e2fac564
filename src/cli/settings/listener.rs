//! Where the connector listens, how the listener is protected, and which callers it accepts.

use std::fmt::Display;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::value::{PathParser, parse_bool, parsed_by};
use super::{DrainArgs, SettingError, name};
use crate::governance::connections::{ConnectionName, Connections};
use crate::grpc::server::{Callers, Limits, ListenAddress, ServerOptions, TlsFiles, TlsPart};

/// Where the connector listens by default: on loopback, which needs no protection.
const DEFAULT_LISTEN_ADDRESS: &str = "127.0.0.1:50051";

/// The highest limit of `--calls-per-second`: more than one process can serve, and far below the range of the limiter's clock.
const MAX_CALLS_PER_SECOND: u32 = 1_000_000;

/// The flags.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ListenerArgs {
    /// Where to listen: an address (port 0 takes a free one) or unix:PATH (clients built on gRPC's C core then need
    /// another authority: see docs/security.md)
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_LISTEN",
        value_name = "ADDRESS",
        default_value = DEFAULT_LISTEN_ADDRESS,
        value_parser = parsed_by(ListenAddress::from_str)
    )]
    listen: ListenAddress,
    /// Where to serve /metrics, /livez and /readyz over plain HTTP: an address (port 0 takes a free one) or unix:PATH
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_METRICS_LISTEN",
        value_name = "ADDRESS",
        value_parser = parsed_by(ListenAddress::from_str)
    )]
    metrics_listen: Option<ListenAddress>,
    /// The server's certificate chain, PEM; reloaded when it changes
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_TLS_CERT",
        value_name = "PATH",
        value_parser = PathParser
    )]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, PEM
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_TLS_KEY",
        value_name = "PATH",
        value_parser = PathParser
    )]
    tls_key: Option<PathBuf>,
    /// Require client certificates issued by this CA, PEM
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_TLS_CLIENT_CA",
        value_name = "PATH",
        value_parser = PathParser
    )]
    tls_client_ca: Option<PathBuf>,
    /// Allow a non-loopback listener without TLS (traffic can be read and modified in transit)
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_INSECURE_LISTEN",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        default_value_t = false,
        hide_default_value = true,
        action = clap::ArgAction::Set,
        value_parser = parsed_by(parse_bool)
    )]
    insecure_listen: bool,
    /// Allow only the listener for monitors to be reached by others, without TLS
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_INSECURE_METRICS_LISTEN",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        default_value_t = false,
        hide_default_value = true,
        action = clap::ArgAction::Set,
        value_parser = parsed_by(parse_bool)
    )]
    insecure_metrics_listen: bool,
    /// A TOML file that lists the callers and their roles; reloaded when it changes
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_CALLERS",
        value_name = "PATH",
        value_parser = PathParser
    )]
    callers: Option<PathBuf>,
    #[command(flatten)]
    drain: DrainArgs,
    /// Calls per second of one caller, with bursts of five times as many; 0 for no limit
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_CALLS_PER_SECOND",
        value_name = "N",
        default_value_t = ServerOptions::default().calls_per_second.map_or(0, NonZeroU32::get),
        value_parser = parsed_by(calls_per_second)
    )]
    calls_per_second: u32,
}

impl ListenerArgs {
    /// The address to listen on.
    ///
    /// # Errors
    /// When other machines can reach the address and its protection does not suffice: TLS in any case, and callers if the settings
    /// allow anything (`allows`).
    pub(crate) fn address(&self, allows: bool) -> Result<ListenAddress, SettingError> {
        let address = &self.listen;
        if address.is_remote() && self.tls_cert.is_none() && !self.insecure_listen {
            return Err(listen_error(format!(
                "{address} can be reached by others and there is no TLS: give --tls-cert and --tls-key, listen on loopback or unix:PATH, or give --insecure-listen"
            )));
        }
        if address.is_remote() && allows && self.callers.is_none() {
            return Err(error(
                "callers",
                format!(
                    "{address} can be reached by others and --provisioning or --allow is set: list the callers in a callers file (`buildkite-connector caller` makes an entry)"
                ),
            ));
        }
        Ok(address.clone())
    }

    /// The address of the listener for monitors, if there is one; `listen` is the address of the gRPC listener.
    ///
    /// # Errors
    /// When both addresses conflict, or other machines can reach this one.
    pub(crate) fn metrics_address(&self, listen: &ListenAddress) -> Result<Option<ListenAddress>, SettingError> {
        let Some(address) = &self.metrics_listen else {
            return Ok(None);
        };
        if address.conflicts_with(listen) {
            let setting = name::<Self>("listen");
            return Err(metrics_listen_error(format!(
                "{listen} is the address of the gRPC listener, {setting}: give another"
            )));
        }
        if address.is_remote() && !(self.insecure_listen || self.insecure_metrics_listen) {
            return Err(metrics_listen_error(format!(
                "{address} can be reached by others and metrics are served without TLS: listen on loopback or unix:PATH, or give --insecure-metrics-listen"
            )));
        }
        Ok(Some(address.clone()))
    }

    /// The server's options. Must be called within a runtime, because it starts to watch files.
    ///
    /// # Errors
    /// When a file cannot be read or used.
    pub(crate) fn options(&self, connections: &Connections) -> Result<ServerOptions, SettingError> {
        let files = self.tls_files()?;
        let has_client_ca = files.as_ref().is_some_and(|files| files.client_ca.is_some());
        let tls = files.map(TlsFiles::watch).transpose().map_err(|problem| {
            let long = match problem.part() {
                Some(TlsPart::Certificate) | None => "tls-cert",
                Some(TlsPart::Key) => "tls-key",
                Some(TlsPart::ClientCa) => "tls-client-ca",
            };
            error(long, problem)
        })?;
        let callers = self.callers.clone().map(|file| {
            let connections = connections.clone();
            let exists = move |name: &ConnectionName| connections.current().get(name).is_some();
            Callers::watch_naming(file, has_client_ca, exists)
        });
        Ok(ServerOptions {
            tls,
            callers: callers.transpose().map_err(|problem| error("callers", problem))?,
            host: None,
            drain: self.drain.drain(),
            calls_per_second: self.calls_per_second(),
            limits: Limits::default(),
        })
    }

    /// The limit of one caller's calls per second; `None` for no limit.
    pub(crate) fn calls_per_second(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.calls_per_second)
    }

    /// The callers file.
    pub(crate) fn callers_file(&self) -> Option<&Path> {
        self.callers.as_deref()
    }

    fn tls_files(&self) -> Result<Option<TlsFiles>, SettingError> {
        match (&self.tls_cert, &self.tls_key, &self.tls_client_ca) {
            (Some(certificate), Some(key), client_ca) => Ok(Some(TlsFiles {
                certificate: certificate.clone(),
                key: key.clone(),
                client_ca: client_ca.clone(),
            })),
            (None, None, None) => Ok(None),
            _ => {
                let key = name::<Self>("tls-key");
                let problem = format!("TLS needs both --tls-cert and {key}, with or without --tls-client-ca");
                Err(error("tls-cert", problem))
            }
        }
    }
}

fn calls_per_second(text: &str) -> Result<u32, String> {
    let calls = text.parse().ok().filter(|calls| *calls <= MAX_CALLS_PER_SECOND);
    calls.ok_or_else(|| format!("give a whole number from 1 to {MAX_CALLS_PER_SECOND}, or 0 for no limit"))
}

fn error(long: &str, problem: impl Display) -> SettingError {
    SettingError::of::<ListenerArgs>(long, problem)
}

/// A problem with the address of the gRPC listener.
pub(crate) fn listen_error(problem: impl Display) -> SettingError {
    error("listen", problem)
}

/// A problem with the address of the listener for monitors.
pub(crate) fn metrics_listen_error(problem: impl Display) -> SettingError {
    error("metrics-listen", problem)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rstest::rstest;

    use super::*;
    use crate::cli::settings::value::parse;

    fn no_connections() -> Connections {
        Connections::new(Arc::default())
    }

    fn args(arguments: &[&str]) -> ListenerArgs {
        parse(arguments).unwrap()
    }

    #[test]
    fn without_flags_the_options_are_the_defaults() {
        let (options, defaults) = (args(&[]).options(&no_connections()).unwrap(), ServerOptions::default());
        assert_eq!(
            (options.drain, options.calls_per_second),
            (defaults.drain, defaults.calls_per_second)
        );
        assert!(options.tls.is_none() && options.callers.is_none());
    }

    #[rstest]
    #[case("127.0.0.1:0")]
    #[case("[::1]:50051")]
    #[case("localhost:50051")]
    #[case("unix:/run/connector.sock")]
    fn a_local_listener_needs_no_protection(#[case] listen: &str) {
        assert!(args(&["--listen", listen]).address(true).is_ok());
    }

    #[rstest]
    #[case(&[], false, Some("--insecure-listen"))]
    #[case(&["--insecure-listen"], false, None)]
    #[case(&["--insecure-listen"], true, Some("--callers"))]
    #[case(&["--insecure-listen", "--callers", "callers.toml"], true, None)]
    #[case(&["--tls-cert", "a", "--tls-key", "b"], false, None)]
    fn a_remote_listener_needs_tls_or_consent_and_callers_for_writes(
        #[case] protection: &[&str],
        #[case] allows: bool,
        #[case] named: Option<&str>,
    ) {
        let arguments = [&["--listen", "0.0.0.0:50051"], protection].concat();
        let error = args(&arguments).address(allows).err();
        let error = error.map(|error| error.to_string()).unwrap_or_default();
        match named {
            Some(named) => assert!(error.contains(named), "{error}"),
            None => assert_eq!(error, ""),
        }
    }

    fn monitored_on(listen: &str, metrics_listen: &str) -> Result<Option<ListenAddress>, SettingError> {
        args(&["--metrics-listen", metrics_listen]).metrics_address(&listen.parse().unwrap())
    }

    #[rstest]
    #[case("127.0.0.1:50051", "127.0.0.1:9090")]
    #[case("127.0.0.1:0", "127.0.0.1:0")]
    #[case("127.0.0.1:50051", "[::1]:50051")]
    #[case("127.0.0.1:50051", "unix:/run/metrics.sock")]
    fn monitors_have_a_listener_of_their_own(#[case] listen: &str, #[case] metrics: &str) {
        assert_eq!(monitored_on(listen, metrics), Ok(Some(metrics.parse().unwrap())));
    }

    #[test]
    fn without_an_address_there_are_no_metrics() {
        assert_eq!(args(&[]).metrics_address(&"127.0.0.1:50051".parse().unwrap()), Ok(None));
    }

    #[rstest]
    #[case("127.0.0.1:50051", "127.0.0.1:50051")]
    #[case("0.0.0.0:50051", "127.0.0.1:50051")]
    #[case("[::]:50051", "127.0.0.1:50051")]
    #[case("[::1]:50051", "[::]:50051")]
    #[case("unix:/run/a.sock", "unix:/run/a.sock")]
    #[case("unix:/run/a.sock", "unix:/run/./a.sock")]
    #[case("127.0.0.1:50051", "0.0.0.0:9090")]
    fn an_unsuitable_address_for_monitors_is_rejected(#[case] listen: &str, #[case] metrics: &str) {
        let error = monitored_on(listen, metrics).unwrap_err().to_string();
        assert!(
            error.starts_with("--metrics-listen (BUILDKITE_CONNECTOR_METRICS_LISTEN): "),
            "{error}"
        );
    }

    #[rstest]
    #[case("--insecure-listen")]
    #[case("--insecure-metrics-listen")]
    fn monitors_may_be_remote_if_the_operator_allows_it(#[case] flag: &str) {
        let args = args(&["--metrics-listen", "0.0.0.0:9090", flag]);
        assert!(args.metrics_address(&"127.0.0.1:50051".parse().unwrap()).is_ok());
    }

    #[test]
    fn consent_for_monitors_alone_does_not_expose_the_callers_listener() {
        let args = args(&["--listen", "0.0.0.0:50051", "--insecure-metrics-listen"]);
        assert!(args.address(false).is_err());
    }

    #[rstest]
    #[case("0", None)]
    #[case("1", Some(1))]
    #[case("1000000", Some(1_000_000))]
    fn a_callers_rate_is_a_number_and_0_is_no_limit(#[case] text: &str, #[case] rate: Option<u32>) {
        let options = args(&["--calls-per-second", text]).options(&no_connections()).unwrap();
        assert_eq!(options.calls_per_second, rate.and_then(NonZeroU32::new));
    }

    #[rstest]
    #[case("")]
    #[case("-1")]
    #[case("many")]
    #[case("1000001")]
    fn another_rate_is_rejected_with_the_accepted_range(#[case] text: &str) {
        let error = parse::<ListenerArgs>(&[&format!("--calls-per-second={text}")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "error: --calls-per-second: give a whole number from 1 to 1000000, or 0 for no limit\n"
        );
    }

    #[rstest]
    #[case(&["--tls-cert", "a"])]
    #[case(&["--tls-key", "a"])]
    #[case(&["--tls-client-ca", "a"])]
    fn half_of_tls_is_rejected(#[case] arguments: &[&str]) {
        let error = args(arguments).tls_files().unwrap_err().to_string();
        assert!(error.contains("--tls-key (BUILDKITE_CONNECTOR_TLS_KEY)"), "{error}");
        assert_eq!(args(&[]).tls_files(), Ok(None));
    }
}
