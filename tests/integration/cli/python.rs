//! The Python example, run against the server as a platform would.

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

use rstest::rstest;

use crate::support::process::{ConnectorProcess, connector};

/// A Python that has the example's packages: the one of the variable `PYTHON`, else that of `target/python`, which `.ci/run` makes,
/// else the system's. None where none of them has the packages; the variable's is taken as it is.
fn python() -> Option<OsString> {
    if let Some(given) = env::var_os("PYTHON") {
        return Some(given);
    }
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/bin/python");
    let known = [made.into_os_string(), "python3".into()];
    known.into_iter().find(|python| {
        let imported = Command::new(python)
            .args(["-c", "import grpc, grpc_status, grpc_tools"])
            .output();
        imported.is_ok_and(|output| output.status.success())
    })
}

#[rstest]
#[case::tcp(false)]
#[case::unix_socket(true)]
fn the_python_example_syncs_grants_revokes_and_reads_a_refusal(#[case] over_unix: bool) {
    let Some(python) = python() else {
        // Not by `eprintln!`, which is only shown of tests that fail.
        let said = "not run: the Python example needs a Python with the packages of examples/python/requirements.txt";
        writeln!(io::stderr(), "{said}").unwrap();
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let listen = if over_unix {
        format!("unix:{}", directory.path().join("socket").display())
    } else {
        "127.0.0.1:0".to_owned()
    };
    let mut server = ConnectorProcess::start(connector(&[
        "serve",
        "--sandbox",
        "--provisioning",
        "--listen",
        &listen,
    ]));
    let address = server.address();
    let output = Command::new(python)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("TMPDIR", directory.path())
        .args(["examples/python/access_request.py", "--address", &address])
        .args(["--team", "Platform", "--user", "priya@northwind-rail.example"])
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{printed}{said}");
    let expected = [
        "synced: 14 users, 7 teams, 14 entitlements, 34 grants",
        "grant: granted",
        "again: already held",
        "revoke: revoked",
        "again: not held",
        "refused: FAILED_PRECONDITION USER_NOT_IN_ORGANIZATION: nobody@example.com is not in the buildkite organization: invite them first",
    ];
    assert_eq!(printed.lines().collect::<Vec<_>>(), expected, "{said}");
    // The stubs were generated into a directory of their own, and went with the process.
    let left = std::fs::read_dir(directory.path()).unwrap();
    let stubs = left.filter(|entry| entry.as_ref().unwrap().file_type().unwrap().is_dir());
    assert_eq!(stubs.count(), 0);
    assert_eq!(server.terminate().status.code(), Some(0));
}
