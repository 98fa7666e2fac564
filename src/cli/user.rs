//! Who started the command, as the operating system knows them.

use nix::unistd::{Uid, User};

use crate::governance::provisioning::RequestContext;

/// The name by which records know the caller of a job: `cli:ada`. A user without a name, as in many containers, has a number.
fn caller() -> String {
    let uid = Uid::current();
    let name = User::from_uid(uid).ok().flatten().map(|user| user.name);
    format!("cli:{}", name.unwrap_or_else(|| uid.to_string()))
}

/// A request of this user's, which is waited for as long as it takes.
pub(super) fn request(request_id: &str) -> RequestContext {
    RequestContext {
        caller: caller().into(),
        request_id: request_id.to_owned(),
        deadline: None,
        answer_by: None,
    }
}
