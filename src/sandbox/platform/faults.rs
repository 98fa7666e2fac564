//! What goes wrong at the platform, on purpose: `METHOD:KIND[=VALUE][:after=N][:times=N]`.
//!
//! | kind | what the connector meets |
//! | --- | --- |
//! | `status=CODE` | a gRPC status such as `unavailable`; at the token endpoint the HTTP status that means the same |
//! | `hang` | no answer |
//! | `close` | a connection that is closed |
//! | `lost` | a connection that is closed once the call was carried out |
//! | `delay=TIME` | an answer that is late |
//! | `cancel` | a heartbeat that cancels its task |
//! | `twice` | a task that is handed out twice |
//! | `expire` | a token that has just expired |

use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tonic::Code;

/// What of the platform is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Any of them.
    Any,
    /// The token endpoint.
    Token,
    /// `Hello`.
    Hello,
    /// `GetTask`.
    GetTask,
    /// `Heartbeat`.
    Heartbeat,
    /// `UploadAsset`.
    Upload,
    /// `FinishTask`.
    Finish,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The call is refused.
    Refuse(Code),
    /// The call is never answered.
    Hang,
    /// The connection is closed before the call is carried out.
    Close,
    /// The connection is closed after the call was carried out.
    Lost,
    /// The answer is late.
    Delay(Duration),
    /// The task is cancelled.
    Cancel,
    /// The task that is handed out stays in the queue.
    Twice,
    /// Every token expires.
    Expire,
}

/// A fault that strikes calls of one method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    method: Method,
    kind: FaultKind,
    after: usize,
    times: usize,
}

impl Fault {
    /// One that strikes the next call.
    #[must_use]
    pub fn new(method: Method, kind: FaultKind) -> Self {
        Self {
            method,
            kind,
            after: 0,
            times: 1,
        }
    }

    /// Spares this many calls first.
    #[must_use]
    pub fn after(self, calls: usize) -> Self {
        Self { after: calls, ..self }
    }

    /// Strikes this many calls.
    #[must_use]
    pub fn times(self, times: usize) -> Self {
        Self { times, ..self }
    }
}

/// A fault's text that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is no fault of the platform: write any|token|hello|get-task|heartbeat|upload|finish, then \
     :status=CODE, :hang, :close, :lost, :delay=TIME, :cancel, :twice or :expire, then :after=N and :times=N"
)]
pub struct FaultSpecError(String);

impl FromStr for Fault {
    type Err = FaultSpecError;

    fn from_str(text: &str) -> Result<Self, FaultSpecError> {
        read(text).ok_or_else(|| FaultSpecError(text.to_owned()))
    }
}

fn read(text: &str) -> Option<Fault> {
    let mut parts = text.split(':');
    let method = match parts.next()? {
        "any" => Method::Any,
        "token" => Method::Token,
        "hello" => Method::Hello,
        "get-task" => Method::GetTask,
        "heartbeat" => Method::Heartbeat,
        "upload" => Method::Upload,
        "finish" => Method::Finish,
        _ => return None,
    };
    let kind = parts.next()?;
    let kind = match kind.split_once('=').unwrap_or((kind, "")) {
        ("status", code) => FaultKind::Refuse(code_of(code)?),
        ("hang", "") => FaultKind::Hang,
        ("close", "") => FaultKind::Close,
        ("lost", "") => FaultKind::Lost,
        ("delay", time) => FaultKind::Delay(humantime::parse_duration(time).ok()?),
        ("cancel", "") => FaultKind::Cancel,
        ("twice", "") => FaultKind::Twice,
        ("expire", "") => FaultKind::Expire,
        _ => return None,
    };
    let mut fault = Fault::new(method, kind);
    for option in parts {
        fault = match option.split_once('=')? {
            ("after", calls) => fault.after(calls.parse().ok()?),
            ("times", times) => fault.times(times.parse().ok()?),
            _ => return None,
        };
    }
    Some(fault)
}

fn code_of(name: &str) -> Option<Code> {
    Some(match name {
        "cancelled" => Code::Cancelled,
        "unknown" => Code::Unknown,
        "invalid-argument" => Code::InvalidArgument,
        "deadline-exceeded" => Code::DeadlineExceeded,
        "not-found" => Code::NotFound,
        "permission-denied" => Code::PermissionDenied,
        "resource-exhausted" => Code::ResourceExhausted,
        "failed-precondition" => Code::FailedPrecondition,
        "unimplemented" => Code::Unimplemented,
        "internal" => Code::Internal,
        "unavailable" => Code::Unavailable,
        "unauthenticated" => Code::Unauthenticated,
        _ => return None,
    })
}

/// The faults that are armed.
#[derive(Debug, Default)]
pub(super) struct Faults {
    armed: Mutex<Vec<Fault>>,
}

impl Faults {
    pub(super) fn add(&self, fault: Fault) {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    }

    /// What strikes this call.
    pub(super) fn strike(&self, method: Method) -> Vec<FaultKind> {
        let mut armed = self.armed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut struck = vec![];
        for fault in armed.iter_mut() {
            if fault.times == 0 || (fault.method != Method::Any && fault.method != method) {
                continue;
            }
            if fault.after > 0 {
                fault.after -= 1;
                continue;
            }
            fault.times -= 1;
            struck.push(fault.kind);
        }
        armed.retain(|fault| fault.times > 0);
        struck
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("get-task:status=unavailable:times=3", Fault::new(Method::GetTask, FaultKind::Refuse(Code::Unavailable)).times(3))]
    #[case("upload:close:after=2", Fault::new(Method::Upload, FaultKind::Close).after(2))]
    #[case(
        "any:delay=200ms",
        Fault::new(Method::Any, FaultKind::Delay(Duration::from_millis(200)))
    )]
    #[case("heartbeat:cancel", Fault::new(Method::Heartbeat, FaultKind::Cancel))]
    fn a_fault_is_read_as_it_is_written(#[case] text: &str, #[case] expected: Fault) {
        assert_eq!(text.parse::<Fault>().unwrap(), expected);
    }

    #[rstest]
    #[case("")]
    #[case("get-task")]
    #[case("get-task:status=sometimes")]
    #[case("grant:hang")]
    #[case("hello:hang:page=2")]
    fn what_is_no_fault_is_refused_with_the_words_that_are(#[case] text: &str) {
        assert!(text.parse::<Fault>().unwrap_err().to_string().contains("heartbeat"));
    }

    #[test]
    fn a_fault_spares_the_first_calls_and_ends_after_the_last() {
        let faults = Faults::default();
        faults.add(Fault::new(Method::Hello, FaultKind::Hang).after(1).times(2));
        let struck: Vec<usize> = (0..5).map(|_| faults.strike(Method::Hello).len()).collect();
        assert_eq!(struck, [0, 1, 1, 0, 0]);
        assert!(faults.strike(Method::GetTask).is_empty());
    }
}
