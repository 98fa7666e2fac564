//! What the documentation says of the checks is what the code does.

use buildkite_connector::providers::buildkite::health::Check;

const PAGE: &str = include_str!("../../../docs/check.md");

/// The rows of the table below a heading, as cells.
fn table(heading: &str) -> Vec<Vec<String>> {
    let section = PAGE.split(heading).nth(1).unwrap_or_else(|| panic!("no `{heading}`"));
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| {
        row.trim_matches('|')
            .split(" | ")
            .map(|cell| cell.trim().to_owned())
            .collect()
    })
    .collect()
}

#[test]
fn the_troubleshooting_table_is_the_codes_own() {
    let expected: Vec<Vec<String>> = Check::ALL
        .into_iter()
        .map(|check| {
            let check = check.info();
            let scope = check.scope.map_or("none".to_owned(), |scope| format!("`{scope}`"));
            let only = if check.for_writes { " (while writes are on)" } else { "" };
            vec![
                format!("{}{only}", check.impact),
                format!("`{}`", check.id),
                scope,
                check.degraded_when.to_owned(),
            ]
        })
        .collect();
    assert_eq!(table("## By symptom"), expected);
}
