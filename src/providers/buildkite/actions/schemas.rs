//! The actions: their names, arguments and returned fields.

use crate::governance::Change;
use crate::governance::actions::{ActionField, ActionInfo, ActionOperation, FieldKind, TextRules};
use crate::providers::buildkite::resources::{PIPELINE, TEAM, USER};

/// Every action, in the order of the documentation.
pub(super) static ALL: [&ActionInfo; 9] = [
    &CREATE_TEAM,
    &UPDATE_TEAM,
    &DELETE_TEAM,
    &LIST_TEAM_MEMBERS,
    &FIND_USER,
    &TRIGGER_BUILD,
    &BUILD_STATUS,
    &UNBLOCK_JOB,
    &REST_GET,
];

/// The names of the provider's own arguments and returned fields.
pub(super) const BRANCH: &str = "branch";
pub(super) const COMMIT: &str = "commit";
pub(super) const MESSAGE: &str = "message";
pub(super) const ENV: &str = "env";
pub(super) const META_DATA: &str = "meta_data";
pub(super) const REQUEST_KEY: &str = "request_key";
pub(super) const NUMBER: &str = "number";
pub(super) const JOB: &str = "job";
pub(super) const FIELDS: &str = "fields";
pub(super) const PATH: &str = "path";
pub(super) const QUERY: &str = "query";
pub(super) const STATE: &str = "state";
pub(super) const URL: &str = "url";
pub(super) const FINISHED: &str = "finished";
pub(super) const STATUS: &str = "status";
pub(super) const BODY: &str = "body";
pub(super) const MORE: &str = "more";
pub(super) const RESOURCE: &str = "resource";

const fn field(
    name: &'static str,
    display_name: &'static str,
    description: &'static str,
    kind: FieldKind,
) -> ActionField {
    ActionField {
        name,
        display_name,
        description,
        required: false,
        kind,
    }
}

const fn required(field: ActionField) -> ActionField {
    ActionField {
        required: true,
        ..field
    }
}

const fn text(max_length: usize) -> FieldKind {
    FieldKind::Text(TextRules {
        max_length,
        may_be_empty: false,
        default: "",
    })
}

const TEAM_ARGUMENT: ActionField = required(field("team", "Team", "The team", FieldKind::ResourceId(&TEAM)));

const PIPELINE_ARGUMENT: ActionField = required(field(
    "pipeline",
    "Pipeline",
    "The pipeline",
    FieldKind::ResourceId(&PIPELINE),
));

const NUMBER_ARGUMENT: ActionField = required(field(
    NUMBER,
    "Build",
    "The number of the build in its pipeline",
    FieldKind::Number,
));

const NAME: ActionField = field("name", "Name", "The name of the team", text(255));

const DESCRIPTION: ActionField = field(
    "description",
    "Description",
    "What the team is for",
    FieldKind::Text(TextRules {
        max_length: 2048,
        may_be_empty: true,
        default: "",
    }),
);

const PRIVACY: ActionField = field(
    "privacy",
    "Privacy",
    "Who sees the team: everyone, or its members and organization admins",
    FieldKind::Word(&["visible", "secret"]),
);

const IS_DEFAULT: ActionField = field(
    "is_default",
    "Default team",
    "Whether new members of the organization are added to the team",
    FieldKind::Flag,
);

const DEFAULT_MEMBER_ROLE: ActionField = field(
    "default_member_role",
    "Default role",
    "The role of people who are added to the team without one",
    FieldKind::Word(&["member", "maintainer"]),
);

const RESOURCE_RETURNED: ActionField = field(RESOURCE, "Team", "The team", FieldKind::Resource);

const STATE_RETURNED: ActionField = field(STATE, "State", "The state of the build", text(255));

const URL_RETURNED: ActionField = field(URL, "Link", "The web page of the build", text(2048));

/// An action in which nothing is set: it is about the whole organization, changes nothing and is not for readers.
const ACTION: ActionInfo = ActionInfo {
    name: "",
    display_name: "",
    description: "",
    resource_type: None,
    operation: ActionOperation::Read,
    change: None,
    for_readers: false,
    named_resources_only: false,
    arguments: &[],
    at_least_one_of: &[],
    returns: &[],
    scopes: &[],
};

static CREATE_TEAM: ActionInfo = ActionInfo {
    name: "create_team",
    display_name: "Create team",
    description: "Creates a Buildkite team",
    resource_type: Some(&TEAM),
    operation: ActionOperation::Create,
    change: Some(Change::Teams),
    arguments: &[required(NAME), DESCRIPTION, PRIVACY, IS_DEFAULT, DEFAULT_MEMBER_ROLE],
    returns: &[RESOURCE_RETURNED],
    scopes: &["write_teams"],
    ..ACTION
};

static UPDATE_TEAM: ActionInfo = ActionInfo {
    name: "update_team",
    display_name: "Change team",
    description: "Changes the fields of a Buildkite team that are given, and leaves the others as they are",
    resource_type: Some(&TEAM),
    operation: ActionOperation::Change,
    change: Some(Change::Teams),
    arguments: &[
        TEAM_ARGUMENT,
        NAME,
        DESCRIPTION,
        PRIVACY,
        IS_DEFAULT,
        DEFAULT_MEMBER_ROLE,
    ],
    at_least_one_of: &["name", "description", "privacy", "is_default", "default_member_role"],
    returns: &[RESOURCE_RETURNED],
    scopes: &["write_teams"],
    ..ACTION
};

static DELETE_TEAM: ActionInfo = ActionInfo {
    name: "delete_team",
    display_name: "Delete team",
    description: "Deletes a Buildkite team, and so the access that it carries",
    resource_type: Some(&TEAM),
    operation: ActionOperation::Delete,
    change: Some(Change::Teams),
    arguments: &[
        TEAM_ARGUMENT,
        required(field(
            "confirmation",
            "Confirmation",
            "The slug of the team, again",
            text(255),
        )),
    ],
    scopes: &["write_teams"],
    ..ACTION
};

static LIST_TEAM_MEMBERS: ActionInfo = ActionInfo {
    name: "list_team_members",
    display_name: "List team members",
    description: "Lists the people of a Buildkite team with their roles, read now",
    resource_type: Some(&TEAM),
    operation: ActionOperation::ListGrants,
    for_readers: true,
    arguments: &[TEAM_ARGUMENT],
    returns: &[field(
        "members",
        "Members",
        "One grant for each member",
        FieldKind::Grants,
    )],
    scopes: &["read_teams"],
    ..ACTION
};

static FIND_USER: ActionInfo = ActionInfo {
    name: "find_user",
    display_name: "Find user",
    description: "Finds the member of the organization who has an e-mail address",
    resource_type: Some(&USER),
    operation: ActionOperation::FindUser,
    for_readers: true,
    arguments: &[required(field(
        "email",
        "E-mail",
        "The e-mail address",
        FieldKind::Email,
    ))],
    returns: &[field("user", "User", "The user", FieldKind::Resource)],
    scopes: &["read_organizations"],
    ..ACTION
};

static TRIGGER_BUILD: ActionInfo = ActionInfo {
    name: "trigger_build",
    display_name: "Start build",
    description: "Starts a build of a Buildkite pipeline; repeated with the same request key, it starts one build",
    resource_type: Some(&PIPELINE),
    operation: ActionOperation::Change,
    change: Some(Change::Builds),
    named_resources_only: true,
    arguments: &[
        PIPELINE_ARGUMENT,
        required(field(BRANCH, "Branch", "The branch", text(1024))),
        field(
            COMMIT,
            "Commit",
            "The commit, by default the latest of the branch",
            FieldKind::Text(TextRules {
                max_length: 255,
                may_be_empty: false,
                default: "HEAD",
            }),
        ),
        field(MESSAGE, "Message", "The message of the build", text(4096)),
        field(ENV, "Environment", "Environment variables of the build", FieldKind::Map),
        field(META_DATA, "Meta-data", "Meta-data of the build", FieldKind::Map),
        field(
            REQUEST_KEY,
            "Request key",
            "A key of the request: repetitions of a request have the same",
            text(255),
        ),
    ],
    returns: &[
        field(NUMBER, "Build", "The number of the build", FieldKind::Number),
        URL_RETURNED,
        STATE_RETURNED,
    ],
    scopes: &["write_builds"],
    ..ACTION
};

static BUILD_STATUS: ActionInfo = ActionInfo {
    name: "build_status",
    display_name: "Build status",
    description: "Reads the state of a build",
    resource_type: Some(&PIPELINE),
    operation: ActionOperation::Read,
    change: Some(Change::Builds),
    for_readers: true,
    arguments: &[PIPELINE_ARGUMENT, NUMBER_ARGUMENT],
    returns: &[
        STATE_RETURNED,
        URL_RETURNED,
        field(FINISHED, "Finished", "Whether the build has ended", FieldKind::Flag),
    ],
    scopes: &["read_builds"],
    ..ACTION
};

static UNBLOCK_JOB: ActionInfo = ActionInfo {
    name: "unblock_job",
    display_name: "Unblock job",
    description: "Unblocks a block step of a build; one that is unblocked already stays so",
    resource_type: Some(&PIPELINE),
    operation: ActionOperation::Change,
    change: Some(Change::Builds),
    named_resources_only: true,
    arguments: &[
        PIPELINE_ARGUMENT,
        NUMBER_ARGUMENT,
        required(field(JOB, "Job", "The UUID of the block step's job", FieldKind::Id)),
        field(
            FIELDS,
            "Fields",
            "The fields of the block step, by their keys",
            FieldKind::Map,
        ),
    ],
    returns: &[field(STATE, "State", "The state of the job", text(255))],
    scopes: &["write_builds"],
    ..ACTION
};

static REST_GET: ActionInfo = ActionInfo {
    name: "rest_get",
    display_name: "Read from the REST API",
    description: "Reads one of a fixed list of paths of the organization; secrets are left out of the response",
    operation: ActionOperation::Read,
    change: Some(Change::RestRead),
    arguments: &[
        required(field(
            PATH,
            "Path",
            "The path below the organization, such as `/teams`",
            text(1024),
        )),
        field(QUERY, "Query", "The parameters of the query", FieldKind::Map),
    ],
    returns: &[
        field(STATUS, "Status", "The HTTP status", FieldKind::Number),
        field(BODY, "Body", "The JSON of the response, as text", text(1 << 20)),
        field(MORE, "More", "Whether the list has a next page", FieldKind::Flag),
    ],
    ..ACTION
};
