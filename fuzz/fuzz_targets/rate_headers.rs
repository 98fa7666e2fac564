//! No header and no body of a refusal makes a wait shorter than a second or longer than a window.
#![no_main]

use std::time::Duration;

use buildkite_connector::providers::buildkite::budget::{Bucket, LimitHeaders, TooManyRequests, WINDOW};
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 7] = [
    "ratelimit-limit",
    "ratelimit-remaining",
    "ratelimit-reset",
    "ratelimit-user-limit",
    "ratelimit-user-remaining",
    "ratelimit-user-reset",
    "retry-after",
];

fuzz_target!(|input: (Vec<Vec<u8>>, Vec<u8>)| {
    let (values, body) = input;
    let mut headers = HeaderMap::new();
    for (name, value) in NAMES.into_iter().zip(values) {
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    for bucket in Bucket::ALL {
        let _ = LimitHeaders::of(bucket, &headers);
    }
    let wait = TooManyRequests::read(&headers, &body).wait();
    assert!(wait >= Duration::from_secs(1) && wait <= WINDOW + Duration::from_secs(1));
});
