//! `health-check`: reads a health page of a connector in service mode on this machine.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tonic::Code;

use super::error::BatonError;
use super::flags::{HealthCheckFlags, ServiceFlags};

/// Sends one request.
///
/// # Errors
/// UNAVAILABLE if there is no response in time, or the response is not healthy.
pub(super) async fn run(service: &ServiceFlags, options: &HealthCheckFlags) -> Result<(), BatonError> {
    let address = SocketAddr::new(reachable(service.health_check_bind_address), service.health_check_port);
    let url = format!("http://{address}/{}", options.endpoint.as_str());
    let unavailable = |problem: String| BatonError::Failed {
        code: Code::Unavailable,
        message: problem,
    };
    // A proxy cannot reach the loopback interface of this machine.
    let client = reqwest::Client::builder().no_proxy().timeout(options.timeout.0).build();
    let client = client.map_err(BatonError::unknown)?;
    let answer = client.get(&url).send().await.map_err(|error| {
        let why = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        unavailable(format!(
            "{url} does not answer within {} ({why}): check that service mode runs with --health-check",
            options.timeout
        ))
    })?;
    if answer.status().is_success() {
        return Ok(());
    }
    Err(unavailable(format!(
        "{url} answers {}: see the connector's log",
        answer.status()
    )))
}

/// Where a listener on all addresses is reached.
fn reachable(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    }
}
