//! The output as JSON. Fields are only ever added; see `docs/check.md`.

use std::borrow::Cow;
use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;

use super::CheckOutput;
use crate::governance::Change;
use crate::governance::connections::ConnectionName;
use crate::governance::health;
use crate::governance::health::{CheckResult, CredentialReport, Expiry, State};
use crate::governance::rate_limit::BucketState;

#[derive(Serialize)]
struct Document<'a> {
    overall: &'a str,
    organization: &'a str,
    provisioning: bool,
    checks: Vec<Check<'a>>,
    credential: Option<Credential<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    credentials: Vec<NamedCredential<'a>>,
    rate_limits: Vec<RateLimit>,
}

/// The documents of several connections.
#[derive(Serialize)]
struct Sections<'a> {
    overall: &'static str,
    connections: Vec<Section<'a>>,
}

#[derive(Serialize)]
struct Section<'a> {
    name: &'a str,
    #[serde(flatten)]
    document: Document<'a>,
}

#[derive(Serialize)]
struct Check<'a> {
    id: Cow<'a, str>,
    scope: Option<&'a str>,
    state: &'a str,
    summary: &'a str,
    remedy: &'a str,
    hints: &'a [String],
    checked_at: Option<Timestamp>,
    latency_ms: Option<u64>,
}

#[derive(Serialize)]
struct Credential<'a> {
    owner_name: &'a str,
    owner_email: &'a str,
    scopes: &'a [String],
    scopes_not_needed: &'a [String],
    expiry: &'static str,
    expires_at: Option<Timestamp>,
    description: &'a str,
}

#[derive(Serialize)]
struct NamedCredential<'a> {
    name: &'a str,
    credential: Option<Credential<'a>>,
}

#[derive(Serialize)]
struct RateLimit {
    bucket: &'static str,
    limit: Option<u32>,
    remaining: u32,
    resets_in_seconds: Option<u64>,
}

/// Writes the document of one connection.
pub(super) fn write(output: &CheckOutput, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &document(output))?;
    writeln!(out)
}

/// Writes the documents of several connections.
pub(super) fn write_all(outputs: &[CheckOutput], out: &mut impl Write) -> io::Result<()> {
    let worst = outputs.iter().map(|output| output.report.overall).max();
    let connections = outputs.iter().map(|output| Section {
        name: output.name.as_ref().map(ConnectionName::as_str).unwrap_or_default(),
        document: document(output),
    });
    let all = Sections {
        overall: worst.unwrap_or(State::Unknown).as_str(),
        connections: connections.collect(),
    };
    serde_json::to_writer_pretty(&mut *out, &all)?;
    writeln!(out)
}

fn document(output: &CheckOutput) -> Document<'_> {
    let report = &output.report;
    Document {
        overall: report.overall.as_str(),
        organization: &report.organization,
        provisioning: output.coverage.allowed().allows(Change::Membership),
        checks: report.checks.iter().map(check).collect(),
        credential: report.credential.as_ref().map(credential),
        credentials: report.credentials.iter().map(named).collect(),
        rate_limits: output.budget.buckets.iter().map(rate_limit).collect(),
    }
}

fn check(result: &CheckResult) -> Check<'_> {
    Check {
        id: result.id(),
        scope: result.check.scope,
        state: result.state.as_str(),
        summary: &result.summary,
        remedy: &result.remedy,
        hints: &result.hints,
        checked_at: result.checked_at,
        latency_ms: result
            .latency
            .and_then(|latency| u64::try_from(latency.as_millis()).ok()),
    }
}

fn named(of: &health::NamedCredential) -> NamedCredential<'_> {
    NamedCredential {
        name: &of.name,
        credential: of.report.as_ref().map(credential),
    }
}

fn credential(credential: &CredentialReport) -> Credential<'_> {
    Credential {
        owner_name: &credential.owner_name,
        owner_email: &credential.owner_email,
        scopes: &credential.scopes,
        scopes_not_needed: &credential.not_needed,
        expires_at: credential.expires_at(),
        expiry: match credential.expiry {
            Expiry::Never => "never",
            Expiry::Renewed => "renewed",
            Expiry::At(_) => "at",
            Expiry::Unreadable => "unreadable",
        },
        description: &credential.description,
    }
}

fn rate_limit(bucket: &BucketState) -> RateLimit {
    RateLimit {
        bucket: bucket.bucket.as_str(),
        limit: bucket.limit,
        remaining: bucket.remaining,
        resets_in_seconds: bucket
            .resets_at
            .map(|at| at.saturating_duration_since(Instant::now()).as_secs()),
    }
}
