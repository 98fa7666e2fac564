//! What the sandbox accepts as signed: requests of an access token with a public key, and client assertions of token
//! exchanges.

use std::time::Duration;

use buildkite_connector::sandbox::{ApplicationSpec, KeyPair, Sandbox, TokenSpec};
use http::StatusCode;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::probe::Probe;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

fn sign(pair: &KeyPair, algorithm: Algorithm, claims: &Value) -> String {
    let pem = pair.private_pem().as_bytes();
    let key = match algorithm {
        Algorithm::RS256 => EncodingKey::from_rsa_pem(pem),
        _ => EncodingKey::from_ec_pem(pem),
    };
    jsonwebtoken::encode(&Header::new(algorithm), claims, &key.unwrap()).unwrap()
}

fn now() -> i64 {
    Timestamp::now().as_second()
}

#[rstest]
#[case::valid(0, 300, StatusCode::OK)]
#[case::slightly_early(-7, 300, StatusCode::OK)]
#[case::too_old(-60, 300, StatusCode::UNAUTHORIZED)]
#[case::of_the_future(60, 300, StatusCode::UNAUTHORIZED)]
#[case::valid_too_long(0, 301, StatusCode::UNAUTHORIZED)]
#[case::expired(0, -1, StatusCode::UNAUTHORIZED)]
#[tokio::test]
async fn a_request_is_accepted_within_ten_seconds_of_its_signature(
    #[case] issued: i64,
    #[case] validity: i64,
    #[case] status: StatusCode,
) {
    let probe = Probe::example().await;
    let pair = KeyPair::rsa().unwrap();
    let spec = TokenSpec::owned_by(probe.sandbox.owner());
    let id = probe.sandbox.mint_with_key(spec, pair.public_pem()).unwrap();
    let iat = now() + issued;
    let claims = json!({"iss": id, "iat": iat, "exp": iat + validity});
    let jwt = sign(&pair, Algorithm::RS256, &claims).into();
    assert_eq!(probe.get_as(&jwt, "/v2/user").await.status, status);
    let other = sign(&KeyPair::rsa().unwrap(), Algorithm::RS256, &claims).into();
    assert_eq!(probe.get_as(&other, "/v2/user").await.status, StatusCode::UNAUTHORIZED);
}

/// A registered application, and a request that is accepted.
struct Exchange {
    sandbox: Sandbox,
    pair: KeyPair,
    claims: Value,
    form: Vec<(&'static str, String)>,
}

impl Exchange {
    async fn new() -> Self {
        let sandbox = Sandbox::start(buildkite_connector::sandbox::Options::default())
            .await
            .unwrap();
        let pair = KeyPair::ec().unwrap();
        let spec = ApplicationSpec {
            token_life: Duration::from_secs(120),
            ..ApplicationSpec::default()
        };
        let client_id = sandbox.register_application(spec, pair.public_pem()).unwrap();
        let claims = json!({
            "iss": client_id, "sub": client_id, "aud": sandbox.oauth_url(), "exp": now() + 60, "jti": Uuid::new_v4(),
        });
        let form = vec![
            ("grant_type", GRANT_TYPE.to_owned()),
            ("client_assertion_type", ASSERTION_TYPE.to_owned()),
            ("subject_token", sandbox.owner().to_string()),
            (
                "subject_token_type",
                "urn:buildkite:params:oauth:token-type:user-uuid".to_owned(),
            ),
            ("audience", sandbox.slug().to_owned()),
            ("scope", "read_user read_teams".to_owned()),
        ];
        Self {
            sandbox,
            pair,
            claims,
            form,
        }
    }

    fn set(&mut self, name: &str, value: &str) {
        let parameter = self.form.iter_mut().find(|(parameter, _)| *parameter == name).unwrap();
        value.clone_into(&mut parameter.1);
    }

    /// The status, and the body.
    async fn send(&self) -> (u16, Value) {
        let assertion = sign(&self.pair, Algorithm::ES256, &self.claims);
        let form: Vec<_> = self
            .form
            .iter()
            .cloned()
            .chain([("client_assertion", assertion)])
            .collect();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let response = http.post(self.sandbox.oauth_url()).form(&form).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }
}

#[tokio::test]
async fn an_exchange_returns_a_bearer_token_for_its_life_and_its_assertion_is_used_up() {
    let exchange = Exchange::new().await;
    let (status, body) = exchange.send().await;
    assert_eq!(
        (status, &body["token_type"], &body["expires_in"]),
        (200, &json!("Bearer"), &json!(120))
    );
    let token = body["access_token"].as_str().unwrap();
    assert!(token.starts_with("bktx_"));
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/v2/access-token", exchange.sandbox.url());
    let record: Value = http
        .get(url)
        .bearer_auth(token)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(record["scopes"], json!(["read_user", "read_teams"]));
    let (status, body) = exchange.send().await;
    assert_eq!((status, &body["error"]), (401, &json!("invalid_client")));
}

#[rstest]
#[case::audience(|exchange: &mut Exchange| exchange.claims["aud"] = json!("https://buildkite.com/oauth/token"), 401, "invalid_client")]
#[case::subject_of_the_assertion(|exchange: &mut Exchange| exchange.claims["sub"] = json!("x"), 401, "invalid_client")]
#[case::unknown_client(|exchange: &mut Exchange| exchange.claims["iss"] = json!("x"), 401, "invalid_client")]
#[case::expired(|exchange: &mut Exchange| exchange.claims["exp"] = json!(now() - 1), 401, "invalid_client")]
#[case::valid_too_long(|exchange: &mut Exchange| exchange.claims["exp"] = json!(now() + 400), 401, "invalid_client")]
#[case::long_jti(|exchange: &mut Exchange| exchange.claims["jti"] = json!("x".repeat(256)), 401, "invalid_client")]
#[case::other_key(|exchange: &mut Exchange| exchange.pair = KeyPair::ec().unwrap(), 401, "invalid_client")]
#[case::grant_type(|exchange: &mut Exchange| exchange.set("grant_type", "password"), 400, "unsupported_grant_type")]
#[case::no_grant_type(|exchange: &mut Exchange| exchange.set("grant_type", ""), 400, "invalid_request")]
#[case::assertion_type(|exchange: &mut Exchange| exchange.set("client_assertion_type", "x"), 400, "invalid_request")]
#[case::subject(|exchange: &mut Exchange| exchange.set("subject_token", "x"), 400, "invalid_request")]
#[case::organization(|exchange: &mut Exchange| exchange.set("audience", "other"), 400, "invalid_target")]
#[case::scope(|exchange: &mut Exchange| exchange.set("scope", "read_teams write_builds"), 400, "invalid_scope")]
#[tokio::test]
async fn anything_else_is_refused_with_its_error(
    #[case] change: impl FnOnce(&mut Exchange),
    #[case] status: u16,
    #[case] error: &str,
) {
    let mut exchange = Exchange::new().await;
    change(&mut exchange);
    let (refused, body) = exchange.send().await;
    assert_eq!((refused, &body["error"]), (status, &json!(error)), "{body}");
    assert!(body["error_description"].is_string());
}

#[tokio::test]
async fn the_clock_of_the_sandbox_shows_in_the_date_and_at_the_root() {
    let probe = Probe::example().await;
    probe.sandbox.set_clock_offset(3600);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let response = http.get(probe.sandbox.url()).send().await.unwrap();
    let date = response.headers()["date"].to_str().unwrap().to_owned();
    let root: Value = response.json().await.unwrap();
    let date = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(&date)
        .unwrap();
    for shown in [date.as_second(), root["timestamp"].as_i64().unwrap()] {
        assert!((shown - now() - 3600).abs() < 60, "{shown}");
    }
}
