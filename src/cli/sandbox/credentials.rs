//! Credentials beside plain tokens: an access token with a public key, and an OAuth application, with their private
//! keys in files.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use tempfile::TempDir;

use crate::sandbox::{ALL_SCOPES, ApplicationSpec, KeyPair, Sandbox, TokenSpec};

/// Creates both credentials and prints how to use them. The files of the keys are deleted when the result is dropped;
/// the keys are valid for this sandbox only.
pub(super) fn introduce(sandbox: &Sandbox, out: &mut impl Write) -> io::Result<TempDir> {
    let directory = tempfile::Builder::new().prefix("buildkite-sandbox-").tempdir()?;
    let (token_key, application_key) = (
        KeyPair::rsa().map_err(io::Error::other)?,
        KeyPair::ec().map_err(io::Error::other)?,
    );
    let token_file = directory.path().join("access-token.pem");
    let application_file = directory.path().join("oauth-application.pem");
    write(&token_file, token_key.private_pem())?;
    write(&application_file, application_key.private_pem())?;

    let owner = TokenSpec::owned_by(sandbox.owner()).with_all_scopes();
    let owner = owner.with_description("sandbox admin, public key");
    let access_token = sandbox.mint_with_key(owner, token_key.public_pem());
    let access_token = access_token.map_err(io::Error::other)?;
    let application = ApplicationSpec {
        scopes: ALL_SCOPES.map(str::to_owned).to_vec(),
        ..ApplicationSpec::default()
    };
    let client_id = sandbox.register_application(application, application_key.public_pem());
    let client_id = client_id.map_err(io::Error::other)?;

    writeln!(out, "\nor, in place of BUILDKITE_API_TOKEN, with a private key")?;
    writeln!(out, "  export BUILDKITE_CONNECTOR_ACCESS_TOKEN_ID={access_token}")?;
    let file = token_file.display();
    writeln!(out, "  export BUILDKITE_CONNECTOR_PRIVATE_KEY_FILE={file}")?;
    writeln!(out, "\nor with a token exchange")?;
    writeln!(out, "  export BUILDKITE_CONNECTOR_OAUTH_URL={}", sandbox.oauth_url())?;
    writeln!(out, "  export BUILDKITE_CONNECTOR_OAUTH_CLIENT_ID={client_id}")?;
    let file = application_file.display();
    writeln!(out, "  export BUILDKITE_CONNECTOR_OAUTH_PRIVATE_KEY_FILE={file}")?;
    writeln!(out, "  export BUILDKITE_CONNECTOR_OAUTH_SUBJECT={}", sandbox.owner())?;
    out.flush()?;
    Ok(directory)
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}
