//! The operating system's user that started the command.

use nix::unistd::{Uid, User};

use crate::governance::provisioning::RequestContext;

/// The name of the caller of a job in the audit record: `cli:ada`. A user without a name, as in many containers, has a number.
fn caller() -> String {
    let uid = Uid::current();
    let name = User::from_uid(uid).ok().flatten().map(|user| user.name);
    format!("cli:{}", name.unwrap_or_else(|| uid.to_string()))
}

/// A request of this user, without a deadline.
pub(super) fn request(request_id: &str) -> RequestContext {
    RequestContext {
        caller: caller().into(),
        request_id: request_id.to_owned(),
        deadline: None,
        answer_by: None,
    }
}
