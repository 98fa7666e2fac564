//! The OAuth applications that may exchange tokens.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use super::jwt::{self, AssertionClaims, KeyFormatError, PublicKey};
use crate::sandbox::auth::TEAM_SCOPES;

/// The longest `jti`.
const MAX_JTI: usize = 255;

/// The properties of an OAuth application to be registered.
#[derive(Clone, Debug)]
pub struct ApplicationSpec {
    /// The scopes that its tokens may have, by name.
    pub scopes: Vec<String>,
    /// How long its tokens are valid.
    pub token_life: Duration,
    /// Whether the organization enabled token exchange for it.
    pub enabled: bool,
}

impl Default for ApplicationSpec {
    fn default() -> Self {
        Self {
            scopes: TEAM_SCOPES.map(str::to_owned).to_vec(),
            token_life: Duration::from_secs(3600),
            enabled: true,
        }
    }
}

/// A registered application.
struct Application {
    spec: ApplicationSpec,
    key: Arc<PublicKey>,
}

/// All applications, and the assertions that were used.
#[derive(Default)]
pub(in crate::sandbox) struct Applications {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    by_client_id: HashMap<String, Application>,
    used: HashSet<String>,
}

impl fmt::Debug for Applications {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Applications(..)")
    }
}

impl Applications {
    /// Registers an application, and returns its client id.
    pub(in crate::sandbox) fn register(
        &self,
        spec: ApplicationSpec,
        public_pem: &str,
    ) -> Result<String, KeyFormatError> {
        let key = Arc::new(PublicKey::parse(public_pem)?);
        let client_id = Uuid::new_v4().to_string();
        let application = Application { spec, key };
        self.state().by_client_id.insert(client_id.clone(), application);
        Ok(client_id)
    }

    /// Replaces the key of an application.
    pub(in crate::sandbox) fn replace_key(&self, client_id: &str, public_pem: &str) -> Result<(), KeyFormatError> {
        let key = Arc::new(PublicKey::parse(public_pem)?);
        if let Some(application) = self.state().by_client_id.get_mut(client_id) {
            application.key = key;
        }
        Ok(())
    }

    /// Changes the properties of an application.
    pub(in crate::sandbox) fn change(&self, client_id: &str, change: impl FnOnce(&mut ApplicationSpec)) {
        if let Some(application) = self.state().by_client_id.get_mut(client_id) {
            change(&mut application.spec);
        }
    }

    /// The application that a client assertion authenticates at `now`, in seconds; or what is wrong with the assertion.
    /// An assertion with a `jti` is accepted once.
    pub(super) fn authenticate(
        &self,
        assertion: &str,
        audience: &str,
        now: i64,
    ) -> Result<ApplicationSpec, &'static str> {
        let client_id = jwt::issuer(assertion).ok_or("The assertion is no JWT")?;
        let (spec, key) = {
            let state = self.state();
            let application = state.by_client_id.get(&client_id).ok_or("The client is unknown")?;
            (application.spec.clone(), Arc::clone(&application.key))
        };
        let AssertionClaims { jti, .. } = key.assertion(assertion, &client_id, audience, now)?;
        let Some(jti) = jti else { return Ok(spec) };
        if jti.len() > MAX_JTI {
            return Err("jti of the assertion is longer than 255 bytes");
        }
        if !self.state().used.insert(jti) {
            return Err("The assertion was used before");
        }
        Ok(spec)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
