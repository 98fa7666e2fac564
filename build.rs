//! Compiles `proto/` without `protoc`, so that `cargo build` needs nothing beside a Rust toolchain, and determines the commit and the
//! date of the version.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use tonic_prost_build::Config;

const ROOT: &str = "proto";

/// What is served, and what reflection hands out.
const SERVED: [&str; 18] = [
    "c1/config/v1/config.proto",
    "c1/config/v1/rules.proto",
    "c1/connector/v2/account.proto",
    "c1/connector/v2/action.proto",
    "c1/connector/v2/annotations.proto",
    "c1/connector/v2/asset.proto",
    "c1/connector/v2/connector.proto",
    "c1/connector/v2/credential.proto",
    "c1/connector/v2/entitlement.proto",
    "c1/connector/v2/event.proto",
    "c1/connector/v2/grant.proto",
    "c1/connector/v2/rate_limit.proto",
    "c1/connector/v2/resource.proto",
    "c1/connector/v2/resource_manager.proto",
    "c1/connector/v2/ticket.proto",
    "c1/connector/v2/traits.proto",
    "c1/ratelimit/v1/ratelimit.proto",
    "connector/health/v1/health.proto",
];

/// What hosts speak: the platform's side of service mode, what a runner tells its child, and go-plugin's own services.
const HOSTS: [&str; 6] = [
    "c1/connector_wrapper/v1/connector_wrapper.proto",
    "c1/connectorapi/baton/v1/baton.proto",
    "c1/utls/v1/tls.proto",
    "plugin/grpc_broker.proto",
    "plugin/grpc_controller.proto",
    "plugin/grpc_stdio.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={ROOT}");
    version()?;

    let served = compile(SERVED)?;
    let hosts = compile(SERVED.into_iter().chain(HOSTS))?;

    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    fs::write(out.join("descriptors.bin"), served.encode_file_descriptor_set())?;
    fs::write(out.join("host_descriptors.bin"), hosts.encode_file_descriptor_set())?;

    // Clients find out what an `Any` holds by its type URL, which prost writes without a domain
    // unless it is told one.
    let mut config = Config::new();
    config
        .enable_type_names()
        .type_name_domain(["."], "type.googleapis.com")
        .extern_path(".google.rpc", "::tonic_types::pb");
    tonic_prost_build::configure()
        .build_client(true)
        .build_server(true)
        .compile_fds_with_config(hosts.file_descriptor_set(), config)?;
    Ok(())
}

/// What stands for a commit or a date that is not known.
const UNKNOWN: &str = "unknown";

/// Passes the commit and its date to the program, so that builds of one commit are equal: the date is that of `SOURCE_DATE_EPOCH` (seconds
/// since 1970), or of the commit. Both are unknown outside of a clone.
fn version() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    // A commit runs this script again only for a release: in development, every commit would compile everything.
    if env::var("PROFILE")? == "release" {
        for name in ["HEAD", "logs/HEAD", "packed-refs", "refs/heads"] {
            let path = git(&["rev-parse", "--git-path", name]).filter(|path| Path::new(path).exists());
            if let Some(path) = path {
                println!("cargo:rerun-if-changed={path}");
            }
        }
    }
    // A release from a folder inside of another repository has none of its own.
    let root = git(&["rev-parse", "--show-toplevel"]).and_then(|root| fs::canonicalize(root).ok());
    let is_clone = root == Some(fs::canonicalize(env::var("CARGO_MANIFEST_DIR")?)?);
    let of_commit = |format: &str| git(&["show", "--no-patch", format, "HEAD"]).filter(|_| is_clone);
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).filter(|_| is_clone);
    let seconds = match env::var("SOURCE_DATE_EPOCH") {
        Ok(given) if !given.is_empty() => Some(given),
        _ => of_commit("--format=%ct"),
    };
    let date = match seconds {
        Some(seconds) => date(
            seconds
                .parse()
                .map_err(|_| "SOURCE_DATE_EPOCH is not a number of seconds since 1970")?,
        ),
        None => UNKNOWN.to_owned(),
    };
    println!("cargo:rustc-env=BUILD_COMMIT={}", commit.as_deref().unwrap_or(UNKNOWN));
    println!("cargo:rustc-env=BUILD_DATE={date}");
    Ok(())
}

/// What git prints, if there is git and it succeeds.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let printed = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !printed.is_empty()).then_some(printed)
}

/// The day in UTC of a time in seconds since 1970, in the Gregorian calendar: years begin in March, so that a leap day is the last.
fn date(seconds: u64) -> String {
    let days = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

fn compile(files: impl IntoIterator<Item = &'static str>) -> Result<protox::Compiler, Box<dyn Error>> {
    let mut compiler = protox::Compiler::new([ROOT])?;
    // Reflection has to hand out the well-known types too, and people read the comments there.
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(files)?;
    Ok(compiler)
}
