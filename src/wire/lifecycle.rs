//! Parses requests to invite a person and to create a resource.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost::{Message, Name};
use prost_types::{ListValue, Struct, Value, value::Kind};

use super::email;
use super::request::invalid;
use crate::governance::GovernanceError;
use crate::governance::lifecycle::{Account, AccountRequest, Lifecycle, RequestedGroup};
use crate::governance::model::{Catalog, LifecycleOperation, ProfileValue, ResourceKind, ResourceTypeInfo};
use crate::governance::provider::{AccountRole, NewResource, SsoMode};
use crate::governance::provisioning::RequestContext;
use crate::proto::c1::connector::v2::credential_options::Options;
use crate::proto::c1::connector::v2::{AccountInfo, CreateAccountRequest, GroupTrait, Resource};

/// The profile fields of a request for an account.
pub(crate) const EMAIL: &str = "email";
pub(crate) const ROLE: &str = "role";
pub(crate) const TEAMS: &str = "teams";
pub(crate) const SSO_MODE: &str = "sso_mode";

/// The fields of the message.
const EMAIL_FIELD: &str = "account_info.profile.email";
const TEAMS_FIELD: &str = "account_info.profile.teams";

/// Invites the person that a request names. An invalid request is rejected, and recorded like any other rejection.
///
/// # Errors
/// `Invalid`, which names the field, or what the invitation ends with.
pub(crate) async fn invite(
    lifecycle: &Arc<Lifecycle>,
    catalog: &Catalog,
    request: &CreateAccountRequest,
    context: RequestContext,
) -> Result<Account, GovernanceError> {
    let account_type = account_type(catalog, &request.resource_type_id);
    let named = account_type.as_ref().ok().copied();
    match account_type.and_then(|of| account(catalog, of, request)) {
        Ok(account) => lifecycle.create_account(account, context).await,
        Err(error) => {
            let email = account_email(request.account_info.as_ref());
            let refused = lifecycle.record_rejected_request(LifecycleOperation::Invite, named, email, context, error);
            Err(refused.await)
        }
    }
}

/// The type of the account that a request names, or the one that people are invited to.
///
/// # Errors
/// `Invalid` for an unknown type.
fn account_type(catalog: &Catalog, id: &str) -> Result<&'static ResourceTypeInfo, GovernanceError> {
    if !id.is_empty() {
        return super::request::resource_type(catalog, id);
    }
    let mut types = catalog.types().iter().copied();
    let invited = types.find(|known| known.lifecycle_change(LifecycleOperation::Invite).is_some());
    invited.ok_or_else(|| invalid("resource_type_id", "nobody is invited to this provider"))
}

/// The address of a request, as it was given; `None` if there is none.
fn account_email(info: Option<&AccountInfo>) -> Option<String> {
    let info = info?;
    let profile = info.profile.as_ref().and_then(|profile| text(profile, EMAIL));
    let primary = info.emails.iter().find(|email| email.is_primary);
    let only = || info.emails.first().filter(|_| info.emails.len() == 1);
    let listed = primary.or_else(only).map(|email| email.address.trim().to_owned());
    let login = Some(info.login.trim()).filter(|login| email::is_accepted(login));
    let login = login.map(str::to_owned);
    profile.or(listed.filter(|address| !address.is_empty())).or(login)
}

/// The account that a request asks for.
///
/// # Errors
/// `Invalid`, which names the field.
fn account(
    catalog: &Catalog,
    resource_type: &'static ResourceTypeInfo,
    request: &CreateAccountRequest,
) -> Result<AccountRequest, GovernanceError> {
    check_credential(request)?;
    let address = account_email(request.account_info.as_ref())
        .ok_or_else(|| invalid(EMAIL_FIELD, "the e-mail address is missing: give the address to invite"))?;
    if !email::is_accepted(&address) {
        return Err(invalid(EMAIL_FIELD, "give an e-mail address, as in `ada@example.com`"));
    }
    let profile = request.account_info.as_ref().and_then(|info| info.profile.as_ref());
    let role = word(profile, ROLE, AccountRole::of)
        .map_err(|()| invalid("account_info.profile.role", "a role is `member` or `admin`"))?;
    let sso_mode = word(profile, SSO_MODE, SsoMode::of).map_err(|()| {
        invalid(
            "account_info.profile.sso_mode",
            "an SSO mode is `required` or `optional`",
        )
    })?;
    Ok(AccountRequest {
        resource_type,
        email: address,
        role: role.unwrap_or_default(),
        groups: profile.map_or_else(|| Ok(Vec::new()), |profile| groups(catalog, profile))?,
        sso_mode,
    })
}

/// The word of a field; `None` if the field is missing or empty.
///
/// # Errors
/// For anything else.
fn word<T>(profile: Option<&Struct>, field: &str, of: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, ()> {
    match profile.and_then(|profile| profile.fields.get(field)?.kind.as_ref()) {
        None | Some(Kind::NullValue(_)) => Ok(None),
        Some(Kind::StringValue(word)) if word.trim().is_empty() => Ok(None),
        Some(Kind::StringValue(word)) => of(word.trim()).map(Some).ok_or(()),
        Some(_) => Err(()),
    }
}

/// Rejects the credentials that an invited person cannot be given: they choose a password, or sign in through the identity
/// provider. A client may always request a random password, which is ignored.
fn check_credential(request: &CreateAccountRequest) -> Result<(), GovernanceError> {
    let options = request.credential_options.as_ref();
    match options.and_then(|options| options.options.as_ref()) {
        None | Some(Options::NoPassword(_) | Options::RandomPassword(_)) => Ok(()),
        Some(Options::EncryptedPassword(_)) => Err(invalid(
            "credential_options",
            "no password can be set, because the invited person chooses it: request no password",
        )),
        Some(Options::Sso(_)) => Err(invalid(
            "credential_options",
            "single sign-on is a field of the profile: set `sso_mode` there, and request no password",
        )),
    }
}

/// The groups of the profile, each `slug` or `slug/level`.
fn groups(catalog: &Catalog, profile: &Struct) -> Result<Vec<RequestedGroup>, GovernanceError> {
    let wrong = || invalid(TEAMS_FIELD, "give a list of teams, each as `slug` or `slug/maintainer`");
    let values = match profile.fields.get(TEAMS).and_then(|value| value.kind.as_ref()) {
        None | Some(Kind::NullValue(_)) => return Ok(Vec::new()),
        Some(Kind::ListValue(list)) => &list.values,
        Some(_) => return Err(wrong()),
    };
    let group = catalog.of_kind(ResourceKind::Group).next().ok_or_else(wrong)?;
    let mut groups = Vec::new();
    for value in values {
        let Some(Kind::StringValue(text)) = &value.kind else {
            return Err(wrong());
        };
        let text = text.trim();
        if text.is_empty() {
            continue;
        }
        let (slug, level) = match text.split_once('/') {
            Some((slug, level)) => (slug, group.level(level)),
            None => (text, group.levels.first()),
        };
        let level = level.filter(|_| !slug.is_empty()).ok_or_else(wrong)?;
        groups.push(RequestedGroup {
            slug: slug.to_owned(),
            level,
        });
    }
    Ok(groups)
}

/// The type and the fields of a resource to create: those of its profile, else of the profile in its trait.
///
/// # Errors
/// `Invalid`, which names the field.
pub(crate) fn new_resource(resource: &Resource) -> Result<NewResource, GovernanceError> {
    let in_trait = || {
        let group = resource
            .annotations
            .iter()
            .find(|any| any.type_url == GroupTrait::type_url())?;
        trait_profile(&GroupTrait::decode(group.value.as_slice()).ok()?)
    };
    let profile = resource.profile.clone().or_else(in_trait).unwrap_or_default();
    let name = text(&profile, "name").unwrap_or_else(|| resource.display_name.trim().to_owned());
    let mut fields = BTreeMap::new();
    if !resource.description.is_empty() {
        let description = ProfileValue::Text(resource.description.clone());
        fields.insert("description".to_owned(), description);
    }
    for (field, value) in profile.fields {
        let value = match value.kind {
            _ if field == "name" => continue,
            None | Some(Kind::NullValue(_)) => continue,
            Some(Kind::StringValue(text)) => ProfileValue::Text(text),
            Some(Kind::BoolValue(flag)) => ProfileValue::Bool(flag),
            Some(_) => {
                return Err(invalid(
                    "resource.profile",
                    format!("`{field}` is neither text nor true or false"),
                ));
            }
        };
        fields.insert(field, value);
    }
    Ok(NewResource { name, fields })
}

/// The profile of a group as older clients send it.
#[allow(deprecated)]
fn trait_profile(group: &GroupTrait) -> Option<Struct> {
    group.profile.clone()
}

/// A JSON object as a message; `None` for any other value.
pub(crate) fn structure(object: serde_json::Value) -> Option<Struct> {
    match value(object).kind {
        Some(Kind::StructValue(object)) => Some(object),
        _ => None,
    }
}

/// A message as a JSON object.
pub(crate) fn json(object: Struct) -> serde_json::Map<String, serde_json::Value> {
    let fields = object.fields.into_iter();
    fields.map(|(field, value)| (field, json_value(value))).collect()
}

fn json_value(value: Value) -> serde_json::Value {
    match value.kind {
        None | Some(Kind::NullValue(_)) => serde_json::Value::Null,
        Some(Kind::BoolValue(flag)) => flag.into(),
        Some(Kind::NumberValue(number)) => number.into(),
        Some(Kind::StringValue(text)) => text.into(),
        Some(Kind::ListValue(list)) => list.values.into_iter().map(json_value).collect(),
        Some(Kind::StructValue(object)) => json(object).into(),
    }
}

fn value(json: serde_json::Value) -> Value {
    use serde_json::Value as Json;
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(flag) => Kind::BoolValue(flag),
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        Json::String(text) => Kind::StringValue(text),
        Json::Array(values) => Kind::ListValue(ListValue {
            values: values.into_iter().map(value).collect(),
        }),
        Json::Object(fields) => Kind::StructValue(Struct {
            fields: fields.into_iter().map(|(field, json)| (field, value(json))).collect(),
        }),
    };
    Value { kind: Some(kind) }
}

/// The text of a field without surrounding spaces; `None` if it is missing, empty or not text.
fn text(profile: &Struct, field: &str) -> Option<String> {
    match profile.fields.get(field) {
        Some(Value {
            kind: Some(Kind::StringValue(text)),
        }) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        _ => None,
    }
}
