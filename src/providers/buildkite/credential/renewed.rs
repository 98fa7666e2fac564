//! A value that is obtained with a request, used for most of its life, and renewed by one request for all who wait.
//!
//! A failure is remembered, so that a value that cannot be obtained is not requested by every call: a refusal for 5
//! seconds, doubling to 60 seconds, any other failure for 1 second.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, Shared};
use tokio::time::{Instant, timeout};

/// How long the first refusal is remembered; each further one is remembered twice as long, up to [`MAX_PAUSE`].
const MIN_PAUSE: Duration = Duration::from_secs(5);
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// How long another failure is remembered.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// How long a call waits for a renewal while the old value is still valid.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why a value cannot be obtained.
pub(super) trait ObtainError: Clone + Send + Sync + 'static {
    /// Whether it was refused, so that the same request has the same result until something is corrected.
    fn is_refusal(&self) -> bool;
}

/// A value as it was obtained.
#[derive(Debug)]
pub(super) struct Obtained<T> {
    pub(super) value: T,
    /// When it was requested; its life begins then.
    pub(super) requested_at: Instant,
    pub(super) life: Duration,
}

/// A value in use.
#[derive(Debug)]
pub(super) struct Held<T> {
    pub(super) value: T,
    /// How many values were obtained before.
    pub(super) version: u64,
    renewed_at: Instant,
    ends_at: Instant,
    requested_at: Instant,
    /// Whether it was obtained because another value was rejected.
    replaces_rejected: bool,
}

/// The failure to obtain a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ObtainFailure<E> {
    pub(super) error: E,
    /// Whether there was a value before, which has ended.
    pub(super) has_ended: bool,
}

type Outcome<T, E> = Result<Arc<Held<T>>, E>;
type Running<T, E> = Shared<BoxFuture<'static, Outcome<T, E>>>;

/// The value, and the request for the next one.
#[derive(Debug)]
pub(super) struct Renewed<T, E>(Arc<Mutex<State<T, E>>>);

#[derive(Debug)]
struct State<T, E> {
    held: Option<Arc<Held<T>>>,
    running: Option<Running<T, E>>,
    failure: Option<Remembered<E>>,
    versions: u64,
    is_rejected: bool,
    /// How often what requests depend on was corrected.
    corrections: u64,
}

#[derive(Debug)]
struct Remembered<E> {
    error: E,
    until: Instant,
    pause: Duration,
}

impl<T: Send + Sync + 'static, E: ObtainError> Renewed<T, E> {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            held: None,
            running: None,
            failure: None,
            versions: 0,
            is_rejected: false,
            corrections: 0,
        })))
    }

    /// The value to use now. After 80 % of its life it is renewed with `obtain`, by one request for all callers; if
    /// that fails, it is used until it ends.
    ///
    /// # Errors
    /// The failure of the last request, if there is no value that is still valid.
    pub(super) async fn current<F>(&self, obtain: impl FnOnce() -> F) -> Result<Arc<Held<T>>, ObtainFailure<E>>
    where
        F: Future<Output = Result<Obtained<T>, E>> + Send + 'static,
    {
        let (request, old, has_ended) = {
            let mut state = lock(&self.0);
            let now = Instant::now();
            let old = state.held.clone().filter(|held| now < held.ends_at);
            let remembered = state.failure.as_ref().filter(|failure| now < failure.until);
            match (old, remembered) {
                (Some(held), _) if now < held.renewed_at => return Ok(held),
                (Some(held), Some(_)) => return Ok(held),
                (None, Some(failure)) => {
                    return Err(ObtainFailure {
                        error: failure.error.clone(),
                        has_ended: state.versions > 0,
                    });
                }
                (old, None) => (self.join(&mut state, obtain), old, state.versions > 0),
            }
        };
        let Some(old) = old else {
            return request.await.map_err(|error| ObtainFailure { error, has_ended });
        };
        match timeout(PATIENCE, request).await {
            Ok(Ok(held)) => Ok(held),
            Ok(Err(_)) | Err(_) => Ok(old),
        }
    }

    /// Discards a value that was rejected, so that the next caller obtains another one. Returns false if the value was
    /// itself obtained a moment ago because another was rejected: then a new one does not help.
    pub(super) fn reject(&self, version: u64) -> bool {
        let mut state = lock(&self.0);
        if let Some(held) = state.held.as_ref().filter(|held| held.version == version) {
            if held.replaces_rejected && held.requested_at.elapsed() < MIN_PAUSE {
                return false;
            }
            state.held = None;
            state.is_rejected = true;
        }
        true
    }

    /// Whether there was a value, and none is valid any more.
    pub(super) fn has_ended(&self) -> bool {
        let state = lock(&self.0);
        let is_valid = |held: &Arc<Held<T>>| Instant::now() < held.ends_at;
        state.versions > 0 && !state.held.as_ref().is_some_and(is_valid)
    }

    /// Forgets a failure, because what caused it may have been corrected.
    pub(super) fn forget_failure(&self) {
        let mut state = lock(&self.0);
        state.failure = None;
        state.corrections += 1;
    }

    /// The request under way, or a new one. It continues even if all who wait for it are dropped.
    fn join<F>(&self, state: &mut State<T, E>, obtain: impl FnOnce() -> F) -> Running<T, E>
    where
        F: Future<Output = Result<Obtained<T>, E>> + Send + 'static,
    {
        if let Some(running) = &state.running {
            return running.clone();
        }
        let (obtained, shared, corrections) = (obtain(), Arc::clone(&self.0), state.corrections);
        let request = async move {
            let outcome = obtained.await;
            lock(&shared).finish(outcome, corrections)
        };
        let request = request.boxed().shared();
        tokio::spawn(request.clone());
        state.running = Some(request.clone());
        request
    }
}

impl<T, E: ObtainError> State<T, E> {
    fn finish(&mut self, outcome: Result<Obtained<T>, E>, corrections: u64) -> Outcome<T, E> {
        self.running = None;
        match outcome {
            Ok(obtained) => {
                let held = Arc::new(Held {
                    version: self.versions,
                    renewed_at: obtained.requested_at + obtained.life * 4 / 5,
                    ends_at: obtained.requested_at + obtained.life,
                    requested_at: obtained.requested_at,
                    replaces_rejected: self.is_rejected,
                    value: obtained.value,
                });
                self.versions += 1;
                self.is_rejected = false;
                self.failure = None;
                self.held = Some(Arc::clone(&held));
                Ok(held)
            }
            Err(error) => {
                if corrections == self.corrections {
                    let last = self.failure.as_ref().filter(|_| error.is_refusal());
                    let pause = match last {
                        Some(last) if last.error.is_refusal() => (last.pause * 2).min(MAX_PAUSE),
                        _ if error.is_refusal() => MIN_PAUSE,
                        _ => RETRY_PAUSE,
                    };
                    self.failure = Some(Remembered {
                        error: error.clone(),
                        until: Instant::now() + pause,
                        pause,
                    });
                }
                Err(error)
            }
        }
    }
}

fn lock<S>(state: &Mutex<S>) -> MutexGuard<'_, S> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use futures::future::join_all;
    use tokio::time::{advance, sleep};

    use super::*;

    #[derive(Debug, Clone, PartialEq, Eq)]
    enum TestError {
        Refused,
        Outage,
    }

    impl ObtainError for TestError {
        fn is_refusal(&self) -> bool {
            *self == Self::Refused
        }
    }

    /// A source whose requests take a second, counted.
    struct Source {
        renewed: Renewed<u64, TestError>,
        requests: Arc<AtomicU64>,
        life: Duration,
    }

    impl Source {
        fn new(life: u64) -> Self {
            Self {
                renewed: Renewed::new(),
                requests: Arc::default(),
                life: Duration::from_secs(life),
            }
        }

        fn requests(&self) -> u64 {
            self.requests.load(Ordering::SeqCst)
        }

        async fn current(&self, error: Option<TestError>) -> Result<Arc<Held<u64>>, ObtainFailure<TestError>> {
            let (requests, life) = (Arc::clone(&self.requests), self.life);
            let obtain = || async move {
                let requested_at = Instant::now();
                let value = requests.fetch_add(1, Ordering::SeqCst);
                sleep(Duration::from_secs(1)).await;
                match error {
                    Some(error) => Err(error),
                    None => Ok(Obtained {
                        value,
                        requested_at,
                        life,
                    }),
                }
            };
            self.renewed.current(obtain).await
        }

        async fn value(&self) -> u64 {
            self.current(None).await.unwrap().value
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_hundred_callers_share_one_request_and_the_value_is_used_for_four_fifths_of_its_life() {
        let source = Source::new(100);
        let values = join_all((0..100).map(|_| source.value())).await;
        assert_eq!((values, source.requests()), (vec![0; 100], 1));
        // The life began with the request, which took a second.
        advance(Duration::from_millis(78_900)).await;
        assert_eq!((source.value().await, source.requests()), (0, 1));
        advance(Duration::from_millis(100)).await;
        let values = join_all((0..100).map(|_| source.value())).await;
        assert_eq!((values, source.requests()), (vec![1; 100], 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_that_fails_leaves_the_old_value_until_it_ends() {
        let source = Source::new(100);
        assert_eq!(source.value().await, 0);
        advance(Duration::from_secs(85)).await;
        assert_eq!(source.current(Some(TestError::Refused)).await.unwrap().value, 0);
        assert_eq!(source.requests(), 2);
        assert_eq!(source.current(Some(TestError::Refused)).await.unwrap().value, 0);
        assert_eq!(source.requests(), 2, "the failure is remembered");
        advance(Duration::from_secs(15)).await;
        let failure = source.current(Some(TestError::Outage)).await.unwrap_err();
        assert!(failure.has_ended && failure.error == TestError::Outage);
        advance(RETRY_PAUSE).await;
        assert_eq!(source.value().await, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_remembered_for_5_seconds_doubling_to_60() {
        let source = Source::new(100);
        for (number, pause) in [5, 10, 20, 40, 60, 60].into_iter().enumerate() {
            let failure = source.current(Some(TestError::Refused)).await.unwrap_err();
            assert!(!failure.has_ended);
            assert_eq!(source.requests(), number as u64 + 1);
            advance(Duration::from_millis(pause * 1000 - 1)).await;
            assert!(source.current(None).await.is_err());
            assert_eq!(source.requests(), number as u64 + 1, "remembered for {pause} s");
            advance(Duration::from_millis(1)).await;
        }
        assert_eq!(source.value().await, 6);
    }

    #[tokio::test(start_paused = true)]
    async fn a_correction_ends_the_memory_of_a_failure_also_of_one_that_is_under_way() {
        let source = Source::new(100);
        assert!(source.current(Some(TestError::Refused)).await.is_err());
        source.renewed.forget_failure();
        let mut under_way = Box::pin(source.current(Some(TestError::Refused)));
        assert!(futures::poll!(&mut under_way).is_pending());
        source.renewed.forget_failure();
        assert!(under_way.await.is_err());
        assert_eq!(source.value().await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rejected_value_is_replaced_once_for_all_and_not_again_at_once() {
        let source = Source::new(100);
        let first = source.current(None).await.unwrap();
        for _ in 0..100 {
            assert!(source.renewed.reject(first.version));
        }
        let values = join_all((0..100).map(|_| source.value())).await;
        assert_eq!((values, source.requests()), (vec![1; 100], 2));
        assert!(source.renewed.reject(first.version), "it was replaced meanwhile");
        let second = source.current(None).await.unwrap();
        assert!(!source.renewed.reject(second.version));
        advance(MIN_PAUSE).await;
        assert!(source.renewed.reject(second.version));
        assert_eq!(source.value().await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_goes_on_without_the_caller_that_began_it() {
        let source = Source::new(100);
        let mut first = Box::pin(source.value());
        assert!(futures::poll!(&mut first).is_pending());
        drop(first);
        assert_eq!((source.value().await, source.requests()), (0, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_that_hangs_delays_a_caller_with_a_valid_value_only_shortly() {
        let source = Source::new(100);
        assert_eq!(source.value().await, 0);
        advance(Duration::from_secs(85)).await;
        let begun = Instant::now();
        let held = source.renewed.current(std::future::pending).await.unwrap();
        assert_eq!((held.value, begun.elapsed()), (0, PATIENCE));
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_without_a_life_is_used_by_those_who_wait_for_it() {
        let source = Source::new(0);
        assert_eq!((source.value().await, source.value().await), (0, 1));
    }
}
