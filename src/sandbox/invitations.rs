//! Invitations: pending until they are accepted, revoked or expired.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::indexed_list::Keyed;
use super::organization::{Organization, OrganizationRole, Person, SsoMode};
use super::team::TeamRole;

/// The state of an invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvitationState {
    /// It can be accepted.
    Pending,
    /// The person is a member.
    Accepted {
        /// When it was accepted.
        at: Timestamp,
        /// The person's user UUID.
        by: Uuid,
    },
    /// It was withdrawn.
    Revoked {
        /// When it was withdrawn.
        at: Timestamp,
        /// The person who withdrew it.
        by: Uuid,
    },
    /// It was not accepted in time.
    Expired {
        /// When it expired.
        at: Timestamp,
    },
}

impl InvitationState {
    /// The name in the API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Accepted { .. } => "accepted",
            Self::Revoked { .. } => "revoked",
            Self::Expired { .. } => "expired",
        }
    }
}

/// A team that an invited person joins on acceptance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct InvitationTeam {
    /// The team's UUID.
    pub team: Uuid,
    /// The role in the team. The API does not show it.
    pub role: TeamRole,
}

/// An invitation to the organization.
#[derive(Clone, Debug)]
pub struct Invitation {
    /// The invitation's UUID.
    pub id: Uuid,
    /// The e-mail address, as it was sent.
    pub email: String,
    /// The role in the organization on acceptance.
    pub role: OrganizationRole,
    /// Sign-in requirement on acceptance.
    pub sso_mode: SsoMode,
    /// The teams to join on acceptance.
    pub teams: Vec<InvitationTeam>,
    /// The state.
    pub state: InvitationState,
    /// When it was created.
    pub created_at: Timestamp,
    /// The person who sent it, if known.
    pub created_by: Option<Uuid>,
}

impl Invitation {
    /// A pending invitation of an ordinary member with a new id.
    #[must_use]
    pub fn new(email: &str) -> Self {
        Self {
            id: Uuid::new_v4(),
            email: email.to_owned(),
            role: OrganizationRole::Member,
            sso_mode: SsoMode::Optional,
            teams: Vec::new(),
            state: InvitationState::Pending,
            created_at: Timestamp::now(),
            created_by: None,
        }
    }

    /// Whether it can be accepted.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.state == InvitationState::Pending
    }
}

impl Keyed for Invitation {
    fn key(&self) -> Uuid {
        self.id
    }

    fn created_at(&self) -> Timestamp {
        self.created_at
    }
}

impl Organization {
    /// All invitations in any state, oldest first.
    #[must_use]
    pub fn invitations(&self) -> &[Invitation] {
        self.invitations.as_slice()
    }

    /// One invitation.
    #[must_use]
    pub fn invitation(&self, id: Uuid) -> Option<&Invitation> {
        self.invitations.get(id)
    }

    /// The pending invitation of this address; case is ignored.
    #[must_use]
    pub fn pending_invitation(&self, email: &str) -> Option<&Invitation> {
        self.invitations()
            .iter()
            .find(|row| row.is_pending() && row.email.eq_ignore_ascii_case(email))
    }

    /// Adds an invitation, or replaces the invitation with the same id.
    pub fn add_invitation(&mut self, invitation: Invitation) -> Uuid {
        let id = invitation.id;
        self.invitations.push(invitation);
        id
    }

    /// Accepts a pending invitation as the invited person does, and returns that person's user UUID. Someone who was a
    /// member before has the same UUID again, and none of the former teams. Returns `None` if nothing is pending.
    pub fn accept_invitation(&mut self, id: Uuid) -> Option<Uuid> {
        let invitation = self.invitation(id).filter(|row| row.is_pending())?.clone();
        let present = self.person_by_email(&invitation.email).map(|person| person.id);
        let user = present.unwrap_or_else(|| self.join(&invitation.email, invitation.role, invitation.sso_mode));
        for InvitationTeam { team, role } in invitation.teams {
            // A team that was deleted meanwhile is left out.
            self.set_membership(team, user, role);
        }
        let at = Timestamp::now();
        self.set_invitation_state(id, InvitationState::Accepted { at, by: user });
        Some(user)
    }

    /// Lets a pending invitation expire. Returns false if nothing is pending.
    pub fn expire_invitation(&mut self, id: Uuid) -> bool {
        let pending = self.invitation(id).is_some_and(Invitation::is_pending);
        pending && self.set_invitation_state(id, InvitationState::Expired { at: Timestamp::now() })
    }

    /// Makes a person a member by a first sign-in through the identity provider. A pending invitation of that address
    /// stays pending, as at Buildkite. Returns the user's UUID, also of someone who is a member already.
    pub fn join_by_single_sign_on(&mut self, email: &str) -> Uuid {
        match self.person_by_email(email) {
            Some(person) => person.id,
            None => self.join(email, OrganizationRole::Member, SsoMode::Required),
        }
    }

    pub(super) fn set_invitation_state(&mut self, id: Uuid, state: InvitationState) -> bool {
        self.invitations.get_mut(id).map(|row| row.state = state).is_some()
    }

    fn join(&mut self, email: &str, role: OrganizationRole, sso_mode: SsoMode) -> Uuid {
        let former = self.former_person_by_email(email).cloned();
        let name = email.split('@').next().unwrap_or_default();
        let person = former.unwrap_or_else(|| Person::new(name, email));
        self.add_person(Person {
            role,
            sso_mode,
            ..person
        })
    }
}
