//! Compiles `proto/` without `protoc`, so that `cargo build` needs nothing beside a Rust toolchain.

use std::error::Error;
use std::path::PathBuf;
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

fn compile(files: impl IntoIterator<Item = &'static str>) -> Result<protox::Compiler, Box<dyn Error>> {
    let mut compiler = protox::Compiler::new([ROOT])?;
    // Reflection has to hand out the well-known types too, and people read the comments there.
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(files)?;
    Ok(compiler)
}
