//! Any text as an authorizer event: it is read or refused, and a refusal has a form.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_authorizer::event::{Event, format_of_unreadable};
use tollgate_protocol::credential::KeySource;

fuzz_target!(|json: &str| {
    let Ok(event) = Event::read(json) else {
        format_of_unreadable(json);
        return;
    };
    let sources = [
        KeySource::Header("x-api-key".into()),
        KeySource::Bearer,
        KeySource::Query("key".into()),
    ];
    event.credential(&sources);
    event.arn();
    event.format();
    let segments = event.target().path.segments();
    assert!(segments.map(str::len).all(|length| length > 0));
});
