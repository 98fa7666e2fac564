//! Who started the command, as the operating system knows them.

use nix::unistd::{Uid, User};

/// The name by which records know the caller of a job: `cli:ada`. A user without a name, as in many containers, has a number.
pub(super) fn caller() -> String {
    let uid = Uid::current();
    let name = User::from_uid(uid).ok().flatten().map(|user| user.name);
    format!("cli:{}", name.unwrap_or_else(|| uid.to_string()))
}
