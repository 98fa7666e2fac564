//! No `Link` header makes its reader panic, and one that names nothing says nothing.
#![no_main]

use buildkite_connector::providers::buildkite::pagination::Link;
use http::{HeaderMap, HeaderValue, header};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|value: &[u8]| {
    let Ok(value) = HeaderValue::from_bytes(value) else {
        return;
    };
    let link = Link::read(&HeaderMap::from_iter([(header::LINK, value)]));
    assert!(link.present || !link.names_more_than(0));
    assert!(!(link.ends_at(1) && link.names_more_than(1)));
});
