//! Where the connector listens, what protects the listener, and who may call.

use std::fmt::Display;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use super::{SettingError, duration, switch};
use crate::grpc::server::{Callers, Limits, ListenAddress, ServerOptions, TlsFiles, TlsPart};

const LISTEN: [&str; 2] = ["--listen", "BUILDKITE_CONNECTOR_LISTEN"];
const METRICS: [&str; 2] = ["--metrics-listen", "BUILDKITE_CONNECTOR_METRICS_LISTEN"];
const CERTIFICATE: [&str; 2] = ["--tls-cert", "BUILDKITE_CONNECTOR_TLS_CERT"];
const KEY: [&str; 2] = ["--tls-key", "BUILDKITE_CONNECTOR_TLS_KEY"];
const CLIENT_CA: [&str; 2] = ["--tls-client-ca", "BUILDKITE_CONNECTOR_TLS_CLIENT_CA"];
const CALLERS: [&str; 2] = ["--callers", "BUILDKITE_CONNECTOR_CALLERS"];

/// The highest rate that can be asked for: above what one process answers, and far from where the limiter's clock ends.
const MOST_CALLS: u32 = 1_000_000;

/// The flags.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ListenerArgs {
    /// Where to listen: an address (port 0 takes a free one) or unix:PATH (clients built on gRPC's C core then need
    /// another authority: see docs/security.md)
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:50051"
    )]
    listen: String,
    /// Where monitors read /metrics, /livez and /readyz, over plain HTTP: an address (port 0 takes a free one) or unix:PATH
    #[arg(long, env = "BUILDKITE_CONNECTOR_METRICS_LISTEN", value_name = "ADDRESS")]
    metrics_listen: Option<String>,
    /// The server's certificate chain, PEM; read again when it changes
    #[arg(long, env = "BUILDKITE_CONNECTOR_TLS_CERT", value_name = "PATH")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, PEM
    #[arg(long, env = "BUILDKITE_CONNECTOR_TLS_KEY", value_name = "PATH")]
    tls_key: Option<PathBuf>,
    /// Require a client certificate of this CA, PEM
    #[arg(long, env = "BUILDKITE_CONNECTOR_TLS_CLIENT_CA", value_name = "PATH")]
    tls_client_ca: Option<PathBuf>,
    /// Listen where others can reach it, without TLS: whoever is on the way reads and changes what is said
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_INSECURE_LISTEN",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        default_value = "false",
        hide_default_value = true
    )]
    insecure_listen: String,
    /// Who may call, as TOML; read again when it changes
    #[arg(long, env = "BUILDKITE_CONNECTOR_CALLERS", value_name = "PATH")]
    callers: Option<PathBuf>,
    /// How long calls under way may take to finish at the end
    #[arg(long, env = "BUILDKITE_CONNECTOR_DRAIN", value_name = "TIME", default_value = "20s")]
    drain: String,
    /// Calls per second that one caller may make, five times as many at once; 0 for no limit
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_CALLS_PER_SECOND",
        value_name = "N",
        default_value = "10000"
    )]
    calls_per_second: String,
}

impl Default for ListenerArgs {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:50051".to_owned(),
            metrics_listen: None,
            tls_cert: None,
            tls_key: None,
            tls_client_ca: None,
            insecure_listen: "false".to_owned(),
            callers: None,
            drain: "20s".to_owned(),
            calls_per_second: "10000".to_owned(),
        }
    }
}

impl ListenerArgs {
    /// The address to listen on, where what protects it suffices for whoever can reach it.
    pub(crate) fn address(&self, provisioning: bool) -> Result<ListenAddress, SettingError> {
        let insecure = self.insecure()?;
        let [flag, variable] = LISTEN;
        let address: ListenAddress = self
            .listen
            .parse()
            .map_err(|error| SettingError::new(flag, variable, error))?;
        if !address.is_remote() {
            return Ok(address);
        }
        if given(self.tls_cert.as_ref()).is_none() && !insecure {
            let problem = format!(
                "{address} can be reached by others and there is no TLS: give --tls-cert and --tls-key, listen on loopback or unix:PATH, or say --insecure-listen"
            );
            return Err(SettingError::new(flag, variable, problem));
        }
        if provisioning && given(self.callers.as_ref()).is_none() {
            let [flag, variable] = CALLERS;
            let problem = format!(
                "{address} can be reached by others and writes are on: name who may call in a callers file (`buildkite-connector caller` makes an entry)"
            );
            return Err(SettingError::new(flag, variable, problem));
        }
        Ok(address)
    }

    /// The address to listen on for monitors, if at all; `listen` is where callers are listened for.
    pub(crate) fn metrics_address(&self, listen: &ListenAddress) -> Result<Option<ListenAddress>, SettingError> {
        let Some(text) = self.metrics_listen.as_deref().filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let address: ListenAddress = text.parse().map_err(metrics_problem)?;
        if address.conflicts_with(listen) {
            let [flag, variable] = LISTEN;
            let problem = format!("{listen} is where callers are listened for ({flag}, {variable}): give another");
            return Err(metrics_problem(problem));
        }
        if address.is_remote() && !self.insecure()? {
            let problem = format!(
                "{address} can be reached by others and metrics are told without TLS: listen on loopback or unix:PATH, or say --insecure-listen"
            );
            return Err(metrics_problem(problem));
        }
        Ok(Some(address))
    }

    /// What protects the listener. Must be called within a runtime, since files are watched.
    pub(crate) fn options(&self) -> Result<ServerOptions, SettingError> {
        let files = self.tls_files()?;
        let certificates = files.as_ref().is_some_and(|files| files.client_ca.is_some());
        let tls = files.map(TlsFiles::watch).transpose().map_err(|error| {
            let [flag, variable] = match error.part() {
                Some(TlsPart::Certificate) | None => CERTIFICATE,
                Some(TlsPart::Key) => KEY,
                Some(TlsPart::ClientCa) => CLIENT_CA,
            };
            SettingError::new(flag, variable, error)
        })?;
        let [flag, variable] = CALLERS;
        let callers = given(self.callers.as_ref())
            .map(|file| Callers::watch(file.clone(), certificates))
            .transpose();
        Ok(ServerOptions {
            tls,
            callers: callers.map_err(|error| SettingError::new(flag, variable, error))?,
            host: None,
            drain: self.drain()?,
            calls_per_second: self.calls_per_second()?,
            limits: Limits::default(),
        })
    }

    fn insecure(&self) -> Result<bool, SettingError> {
        let variable = "BUILDKITE_CONNECTOR_INSECURE_LISTEN";
        switch("--insecure-listen", variable, &self.insecure_listen)
    }

    fn tls_files(&self) -> Result<Option<TlsFiles>, SettingError> {
        let [flag, variable] = CERTIFICATE;
        match (given(self.tls_cert.as_ref()), given(self.tls_key.as_ref())) {
            (Some(certificate), Some(key)) => Ok(Some(TlsFiles {
                certificate: certificate.clone(),
                key: key.clone(),
                client_ca: given(self.tls_client_ca.as_ref()).cloned(),
            })),
            (None, None) if given(self.tls_client_ca.as_ref()).is_none() => Ok(None),
            _ => Err(SettingError::new(
                flag,
                variable,
                "TLS needs both --tls-cert and --tls-key (BUILDKITE_CONNECTOR_TLS_KEY), with or without --tls-client-ca",
            )),
        }
    }

    /// The rate of one caller; none for no limit.
    fn calls_per_second(&self) -> Result<Option<NonZeroU32>, SettingError> {
        let calls: Option<u32> = self.calls_per_second.parse().ok().filter(|calls| *calls <= MOST_CALLS);
        calls.map(NonZeroU32::new).ok_or_else(|| {
            let variable = "BUILDKITE_CONNECTOR_CALLS_PER_SECOND";
            let problem = format!("give a whole number from 1 to {MOST_CALLS}, or 0 for no limit");
            SettingError::new("--calls-per-second", variable, problem)
        })
    }

    fn drain(&self) -> Result<Duration, SettingError> {
        duration("--drain", "BUILDKITE_CONNECTOR_DRAIN", &self.drain)
    }
}

/// What is wrong with where monitors are listened for.
pub(crate) fn metrics_problem(problem: impl Display) -> SettingError {
    let [flag, variable] = METRICS;
    SettingError::new(flag, variable, problem)
}

/// A path that was given and not left empty, as an unset variable of a container is.
fn given(path: Option<&PathBuf>) -> Option<&PathBuf> {
    path.filter(|path| !path.as_os_str().is_empty())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn on(listen: &str) -> ListenerArgs {
        ListenerArgs {
            listen: listen.into(),
            ..ListenerArgs::default()
        }
    }

    #[rstest]
    #[case("127.0.0.1:0")]
    #[case("[::1]:50051")]
    #[case("localhost:50051")]
    #[case("unix:/run/connector.sock")]
    fn what_only_this_machine_reaches_needs_nothing(#[case] listen: &str) {
        assert!(on(listen).address(true).is_ok());
    }

    #[test]
    fn what_others_reach_needs_tls_or_the_word_and_callers_for_writes() {
        let open = on("0.0.0.0:50051");
        assert!(
            open.address(false)
                .unwrap_err()
                .to_string()
                .contains("--insecure-listen")
        );
        let said = ListenerArgs {
            insecure_listen: "true".into(),
            ..open.clone()
        };
        assert!(said.address(false).is_ok());
        assert!(said.address(true).unwrap_err().to_string().starts_with("--callers"));
        let named = ListenerArgs {
            callers: Some("callers.toml".into()),
            ..said
        };
        assert!(named.address(true).is_ok());
        let tls = ListenerArgs {
            tls_cert: Some("a".into()),
            tls_key: Some("b".into()),
            ..open
        };
        assert!(tls.address(false).is_ok());
    }

    fn monitored_on(listen: &str, metrics_listen: &str) -> Result<Option<ListenAddress>, SettingError> {
        let args = ListenerArgs {
            metrics_listen: Some(metrics_listen.into()),
            ..on(listen)
        };
        args.metrics_address(&listen.parse().unwrap())
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
        let listen = "127.0.0.1:50051".parse().unwrap();
        assert_eq!(on("127.0.0.1:50051").metrics_address(&listen), Ok(None));
        assert_eq!(monitored_on("127.0.0.1:50051", ""), Ok(None));
    }

    #[rstest]
    #[case("127.0.0.1:50051", "9090")]
    #[case("127.0.0.1:50051", "127.0.0.1:50051")]
    #[case("0.0.0.0:50051", "127.0.0.1:50051")]
    #[case("[::]:50051", "127.0.0.1:50051")]
    #[case("[::1]:50051", "[::]:50051")]
    #[case("unix:/run/a.sock", "unix:/run/a.sock")]
    #[case("unix:/run/a.sock", "unix:/run/./a.sock")]
    #[case("127.0.0.1:50051", "0.0.0.0:9090")]
    fn an_address_that_will_not_do_for_monitors_is_refused(#[case] listen: &str, #[case] metrics: &str) {
        let error = monitored_on(listen, metrics).unwrap_err().to_string();
        assert!(
            error.starts_with("--metrics-listen (BUILDKITE_CONNECTOR_METRICS_LISTEN): "),
            "{error}"
        );
    }

    #[test]
    fn monitors_may_come_from_elsewhere_where_it_is_said() {
        let args = ListenerArgs {
            metrics_listen: Some("0.0.0.0:9090".into()),
            insecure_listen: "true".into(),
            ..on("127.0.0.1:50051")
        };
        assert!(args.metrics_address(&"127.0.0.1:50051".parse().unwrap()).is_ok());
    }

    #[rstest]
    #[case("0", None)]
    #[case("1", Some(1))]
    #[case("1000000", Some(1_000_000))]
    fn a_callers_rate_is_a_number_and_0_is_no_limit(#[case] text: &str, #[case] rate: Option<u32>) {
        let args = ListenerArgs {
            calls_per_second: text.into(),
            ..ListenerArgs::default()
        };
        assert_eq!(args.calls_per_second(), Ok(rate.and_then(NonZeroU32::new)));
    }

    #[rstest]
    #[case("")]
    #[case("-1")]
    #[case("many")]
    #[case("1000001")]
    fn another_rate_is_refused_with_what_would_do(#[case] text: &str) {
        let args = ListenerArgs {
            calls_per_second: text.into(),
            ..ListenerArgs::default()
        };
        assert_eq!(
            args.calls_per_second().unwrap_err().to_string(),
            "--calls-per-second (BUILDKITE_CONNECTOR_CALLS_PER_SECOND): give a whole number from 1 to 1000000, or 0 for no limit"
        );
    }

    #[test]
    fn half_of_tls_is_refused() {
        let half = ListenerArgs {
            tls_cert: Some("a".into()),
            ..on("127.0.0.1:0")
        };
        assert!(half.tls_files().unwrap_err().to_string().contains("--tls-key"));
        let ca = ListenerArgs {
            tls_client_ca: Some("a".into()),
            ..on("127.0.0.1:0")
        };
        assert!(ca.tls_files().is_err());
        assert_eq!(on("127.0.0.1:0").tls_files(), Ok(None));
    }
}
