//! Reads the tables.
//!
//! `package`, `message`, `enum` and `service` open a section at the margin; what they hold is
//! indented. A field is `NUMBER NAME TYPE`, the type preceded by `repeated` or by `map` and the
//! type of the keys or by `optional`, and followed by `deprecated` or by `oneof` and its name. Message
//! and enum types are named within the package, or with the package where it is another one of the contract's; those of
//! another package in full behind a dot.

const SCALARS: [&str; 7] = ["bool", "bytes", "int32", "int64", "string", "uint32", "uint64"];
const WELL_KNOWN: [&str; 5] = ["Any", "Duration", "Empty", "Struct", "Timestamp"];

/// The lines of one table in the form that [`super::compiled::rows`] gives descriptors.
pub(crate) fn rows(text: &str) -> Vec<String> {
    let mut package = "";
    let mut section = ("", "");
    let mut rows = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let indented = line.starts_with(' ');
        match (indented, words.as_slice()) {
            (_, []) | (false, ["#", ..]) => {}
            (false, ["package", name]) => package = name,
            (false, [kind @ ("message" | "enum" | "service"), name]) => {
                section = (kind, name);
                rows.push(format!("{kind} {package}.{name}"));
            }
            (true, entry) => rows.push(entry_row(package, section, entry)),
            (false, _) => panic!("not understood: {line}"),
        }
    }
    rows
}

fn entry_row(package: &str, (kind, owner): (&str, &str), entry: &[&str]) -> String {
    let full = |name: &str| full_name(package, name);
    match (kind, entry) {
        ("enum", [number, name]) => format!("value {package}.{owner} {number} {name}"),
        ("service", [name, request, "stream", answer]) => format!(
            "method /{package}.{owner}/{name} {} stream {}",
            full(request),
            full(answer)
        ),
        ("service", [name, "stream", request, "stream", answer]) => format!(
            "method /{package}.{owner}/{name} stream {} stream {}",
            full(request),
            full(answer)
        ),
        ("service", [name, "stream", request, answer]) => {
            format!(
                "method /{package}.{owner}/{name} stream {} {}",
                full(request),
                full(answer)
            )
        }
        ("service", [name, request, answer]) => {
            format!("method /{package}.{owner}/{name} {} {}", full(request), full(answer))
        }
        ("message", [number, name, shape @ ..]) => {
            let shape = match shape {
                [kind] => full(kind),
                [kind, "deprecated"] => format!("{} deprecated", full(kind)),
                [kind, "oneof", oneof] => format!("{} oneof {oneof}", full(kind)),
                ["optional", kind] => format!("optional {}", full(kind)),
                ["repeated", kind] => format!("repeated {}", full(kind)),
                ["map", key, value] => format!("map {} {}", full(key), full(value)),
                _ => panic!("no type: {entry:?}"),
            };
            format!("field {package}.{owner} {number} {name} {shape}")
        }
        _ => panic!("not understood in {kind} {owner}: {entry:?}"),
    }
}

fn full_name(package: &str, name: &str) -> String {
    if SCALARS.contains(&name) || name.starts_with("c1.") {
        name.to_owned()
    } else if WELL_KNOWN.contains(&name) {
        format!("google.protobuf.{name}")
    } else if let Some(elsewhere) = name.strip_prefix('.') {
        elsewhere.to_owned()
    } else {
        format!("{package}.{name}")
    }
}
