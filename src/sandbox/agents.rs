//! Agents and audit events, which clients only read.

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::indexed_list::Keyed;
use super::organization::Organization;

/// An agent that runs jobs.
#[derive(Clone, Debug)]
pub struct Agent {
    /// The agent's UUID.
    pub id: Uuid,
    /// Display name.
    pub name: String,
    /// The name of its host.
    pub hostname: String,
    /// When it connected.
    pub created_at: Timestamp,
}

/// An event of the audit log.
#[derive(Clone, Debug)]
pub struct AuditEvent {
    /// The event's UUID.
    pub id: Uuid,
    /// Its type, such as `TeamMemberCreatedEvent`.
    pub kind: String,
    /// When it occurred.
    pub occurred_at: Timestamp,
    /// The person who acted, if known.
    pub actor: Option<Uuid>,
    /// The subject's type, UUID and name, if known.
    pub subject: Option<(String, Uuid, Option<String>)>,
    /// The changed attributes.
    pub data: Value,
}

impl Keyed for Agent {
    fn key(&self) -> Uuid {
        self.id
    }

    fn created_at(&self) -> Timestamp {
        self.created_at
    }
}

impl Keyed for AuditEvent {
    fn key(&self) -> Uuid {
        self.id
    }

    fn created_at(&self) -> Timestamp {
        self.occurred_at
    }
}

impl Organization {
    /// All agents, oldest first.
    #[must_use]
    pub fn agents(&self) -> &[Agent] {
        self.agents.as_slice()
    }

    /// Adds an agent, or replaces the agent with the same id.
    pub fn add_agent(&mut self, agent: Agent) -> Uuid {
        let id = agent.id;
        self.agents.push(agent);
        id
    }

    /// All audit events, oldest first. Changes do not add events by themselves.
    #[must_use]
    pub fn audit_events(&self) -> &[AuditEvent] {
        self.audit_events.as_slice()
    }

    /// Adds an audit event.
    pub fn add_audit_event(&mut self, event: AuditEvent) -> Uuid {
        let id = event.id;
        self.audit_events.push(event);
        id
    }
}
