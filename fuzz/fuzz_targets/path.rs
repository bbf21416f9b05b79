//! Any text as a request's path, matched with any text as a method template. The first line is the path, the second the
//! template's path, the third its method.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_core::path::Path;
use tollgate_core::template::MethodTemplate;

fuzz_target!(|text: &str| {
    let mut lines = text.splitn(3, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (path, template, method) = (line(), line(), line());
    let path = Path::read(path);
    assert!(path.segments().all(|segment| !segment.is_empty()));
    let Ok(template) = MethodTemplate::new(template, method) else {
        return;
    };
    template.fit(template.method(), path.segments());
    assert!(template.overlaps(&template));
    // As it is stored and read again.
    let again: MethodTemplate = template.to_string().parse().expect("a template can be read again");
    assert_eq!(again, template);
});
