//! The methods that each role may call, for every served method.

use buildkite_connector::grpc::methods::{Method, SERVICES};
use buildkite_connector::grpc::server::{BearerToken, Callers, ServerOptions};
use buildkite_connector::proto::c1::connector::v2::GrantManagerServiceGrantRequest;
use buildkite_connector::proto::c1::connector::v2::grant_manager_service_client::GrantManagerServiceClient;
use tonic::metadata::MetadataMap;
use tonic::transport::Endpoint;
use tonic::{Code, Request};

use super::pki::{Authority, Files};
use super::requests::{bearer, call, received};
use crate::support::process::{ConnectorProcess, connector};
use crate::support::{TestServer, entitlement, resource, sandbox, sized};

/// The path of every row of the table, which `grpc::methods` compares with the descriptors.
fn methods() -> impl Iterator<Item = String> {
    SERVICES.iter().flat_map(|service| {
        let path = |method: &Method| format!("/{}/{}", service.name, method.name);
        service.methods.iter().map(path)
    })
}

/// An entry of a callers file.
pub fn entry(name: &str, role: &str, made: &BearerToken) -> String {
    format!(
        "[[caller]]\nname = \"{name}\"\nrole = \"{role}\"\ntoken_sha256 = \"{}\"\n",
        made.token_sha256
    )
}

/// What only a provisioner may call, without the package.
const CHANGES: [&str; 10] = [
    "AccountManagerService/CreateAccount",
    "CredentialManagerService/IssueCredential",
    "CredentialManagerService/RotateCredential",
    "GrantManagerService/Grant",
    "GrantManagerService/Revoke",
    "ResourceDeleterService/DeleteResourceV2",
    "ResourceManagerService/CreateResource",
    "ResourceManagerService/DeleteResource",
    "TicketsService/BulkCreateTickets",
    "TicketsService/CreateTicket",
];

#[tokio::test]
async fn each_role_calls_only_its_own_methods_of_every_service() {
    let (reader, provisioner) = (BearerToken::generate().unwrap(), BearerToken::generate().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("callers.toml");
    let both = entry("nightly", "reader", &reader) + &entry("platform", "provisioner", &provisioner);
    std::fs::write(&file, both).unwrap();
    let sandbox = sandbox(sized(1, 1, 3)).await;
    let options = ServerOptions {
        callers: Some(Callers::watch(file, false).unwrap()),
        ..ServerOptions::default()
    };
    let server = TestServer::with_options(&sandbox, options).await;
    let channel = server.channel().await;

    for path in methods() {
        let open = path.starts_with("/grpc.health.v1.");
        let changes = path
            .strip_prefix("/c1.connector.v2.")
            .is_some_and(|method| CHANGES.contains(&method));
        let unknown = if open { "admitted" } else { "CALLER_UNKNOWN" };
        let wrong_scheme = {
            let mut metadata = MetadataMap::new();
            metadata.insert(
                "authorization",
                format!("Basic {}", provisioner.bearer).parse().unwrap(),
            );
            metadata
        };
        let cases = [
            ("nobody", MetadataMap::new(), unknown),
            ("a wrong bearer", bearer("bm9ib2R5"), unknown),
            ("the digest", bearer(&provisioner.token_sha256), unknown),
            ("another scheme", wrong_scheme, unknown),
            (
                "a reader",
                bearer(&reader.bearer),
                if changes { "CALLER_NOT_ALLOWED" } else { "admitted" },
            ),
            ("a provisioner", bearer(&provisioner.bearer), "admitted"),
        ];
        for (who, shown, expected) in cases {
            let answer = call(&channel, &path, &shown).await;
            assert_eq!(received(&answer), expected, "{who} on {path}: {answer:?}");
            let code = answer.as_ref().err().map(tonic::Status::code);
            match expected {
                "CALLER_UNKNOWN" => assert_eq!(code, Some(Code::Unauthenticated)),
                "CALLER_NOT_ALLOWED" => assert_eq!(code, Some(Code::PermissionDenied)),
                _ => {}
            }
        }
    }
    let absent = "/c1.connector.v2.SchemaService/ListSchemas";
    let strangers = call(&channel, absent, &MetadataMap::new()).await;
    assert_eq!(received(&strangers), "CALLER_UNKNOWN");
    let callers = call(&channel, absent, &bearer(&provisioner.bearer)).await;
    assert_eq!(received(&callers), "unimplemented");
}

#[tokio::test]
async fn a_certificate_proves_a_caller_by_its_uri_or_its_dns_name() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let files = Files::new(&authority, Some(&clients));
    let file = files.write(
        "callers.toml",
        "[[caller]]\nname = \"nightly\"\nrole = \"reader\"\ncertificate_san = \"spiffe://acme/nightly\"\n\
         [[caller]]\nname = \"platform\"\nrole = \"provisioner\"\ncertificate_san = \"platform.acme.example\"\n",
    );
    let sandbox = sandbox(sized(1, 1, 3)).await;
    let options = ServerOptions {
        callers: Some(Callers::watch(file, true).unwrap()),
        ..files.options()
    };
    let server = TestServer::with_options(&sandbox, options).await;
    let (read, change) = (
        "/c1.connector.v2.GrantsService/ListGrants",
        "/c1.connector.v2.GrantManagerService/Grant",
    );
    for (names, reads, changes) in [
        (&["spiffe://acme/nightly"][..], "admitted", "CALLER_NOT_ALLOWED"),
        (&["platform.acme.example"], "admitted", "admitted"),
        (
            &["spiffe://acme/nightly", "platform.acme.example"],
            "admitted",
            "admitted",
        ),
        (&["spiffe://acme/nightly/2"], "CALLER_UNKNOWN", "CALLER_UNKNOWN"),
        (&["acme.example"], "CALLER_UNKNOWN", "CALLER_UNKNOWN"),
        (&[], "CALLER_UNKNOWN", "CALLER_UNKNOWN"),
    ] {
        let channel = server.tls(authority.client(Some(&clients.issue(names))));
        let nothing = MetadataMap::new();
        assert_eq!(received(&call(&channel, read, &nothing).await), reads, "{names:?}");
        assert_eq!(received(&call(&channel, change, &nothing).await), changes, "{names:?}");
    }
}

#[tokio::test]
async fn the_command_prints_an_entry_and_its_bearer() {
    let output = connector(&["caller", "access-platform", "--role", "provisioner"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("callers.toml");
    std::fs::write(&file, &output.stdout).unwrap();
    let details = String::from_utf8(output.stderr).unwrap();
    let shown = details.trim().rsplit(' ').next().unwrap();
    let callers = Callers::watch(file, false).unwrap().current();
    let known = callers.authenticate(Some(shown.as_bytes()), None).unwrap();
    assert_eq!((&*known.name, known.role.as_str()), ("access-platform", "provisioner"));
    assert!(!String::from_utf8_lossy(&output.stdout).contains(shown));
}

#[tokio::test]
async fn an_entry_can_be_appended_to_a_file_whose_last_line_has_no_end() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("callers.toml");
    let first = "[[caller]]\nname = \"nightly\"\nrole = \"reader\"\ncertificate_san = \"nightly.acme.example\"";
    std::fs::write(&file, first).unwrap();
    let appended = std::fs::OpenOptions::new().append(true).open(&file).unwrap();
    let mut command = connector(&["caller", "access-platform", "--role", "provisioner"]);
    let output = command.stdout(appended).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let shown = String::from_utf8(output.stderr).unwrap();
    let shown = shown.trim().rsplit(' ').next().unwrap();
    let callers = Callers::watch(file, true).unwrap().current();
    let known = callers.authenticate(Some(shown.as_bytes()), None).unwrap();
    assert_eq!(&*known.name, "access-platform");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_record_of_changes_and_the_log_name_the_caller_and_no_bearer() {
    let (reader, provisioner) = (BearerToken::generate().unwrap(), BearerToken::generate().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("callers.toml");
    let both = entry("nightly", "reader", &reader) + &entry("platform", "provisioner", &provisioner);
    std::fs::write(&file, both).unwrap();
    let mut command = connector(&["serve", "--sandbox", "--provisioning", "--listen", "127.0.0.1:0"]);
    command.arg("--callers").arg(&file);
    let mut server = ConnectorProcess::start(command);
    let endpoint = Endpoint::try_from(format!("http://{}", server.address())).unwrap();
    let channel = endpoint.connect().await.unwrap();
    let mut manager = GrantManagerServiceClient::new(channel);
    let mut grant = async |token: &str| {
        let mut request = Request::new(GrantManagerServiceGrantRequest {
            entitlement: Some(entitlement("057158a4-74eb-4bdd-8bc1-64bf737aa703", "member")),
            principal: Some(resource("user", "priya@northwind-rail.example")),
            ..Default::default()
        });
        *request.metadata_mut() = bearer(token);
        manager.grant(request).await
    };
    assert!(grant(&reader.bearer).await.is_err());
    let refused = server.line("a call was refused");
    assert!(refused.contains("`nightly`"), "{refused}");
    grant(&provisioner.bearer).await.unwrap();
    let record = server.line("\"target\":\"audit\"");
    assert!(record.contains("\"caller\":\"platform\""), "{record}");
    let ended = server.terminate();
    for made in [reader, provisioner] {
        assert!(!ended.printed.concat().contains(&made.bearer));
    }
}
