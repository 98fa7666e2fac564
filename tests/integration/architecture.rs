//! The direction of dependencies, read from the sources: which top-level module may name which.
//!
//! `cli` composes the program and may name everything. The server and the jobs (`grpc`, `export`, `hosts`, `monitoring`) and
//! the provider both depend on the core (`governance`), and not on each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};

/// Each top-level module with those that it may name.
const ALLOWED: &[(&str, &[&str])] = &[
    (
        "cli",
        &[
            "export",
            "files",
            "governance",
            "grpc",
            "hosts",
            "monitoring",
            "proto",
            "providers",
            "reload",
            "sandbox",
            "telemetry",
            "wire",
        ],
    ),
    (
        "hosts",
        &[
            "export",
            "files",
            "governance",
            "grpc",
            "proto",
            "reload",
            "telemetry",
            "wire",
        ],
    ),
    ("grpc", &["files", "governance", "proto", "reload", "telemetry", "wire"]),
    ("monitoring", &["governance", "grpc", "telemetry"]),
    (
        "export",
        &["files", "governance", "proto", "reload", "telemetry", "wire"],
    ),
    ("wire", &["governance", "proto"]),
    ("providers", &["files", "governance", "reload", "telemetry"]),
    ("governance", &["files", "reload", "telemetry"]),
    ("reload", &["files"]),
    ("files", &[]),
    ("telemetry", &[]),
    ("proto", &[]),
    ("sandbox", &[]),
    ("main", &["cli"]),
    ("lib", &[]),
];

/// Folders below a top-level module that may name more than the rest of it.
const ALLOWED_BELOW: &[(&str, &[&str])] = &[("sandbox/platform/", &["proto"])];

/// Files that break a rule for a reason. A file that no longer breaks it fails the test until it is removed here.
struct Exception {
    rule: Rule,
    reason: &'static str,
    files: &'static [&'static str],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rule {
    /// The file may not name this top-level module.
    Import(&'static str),
    /// No path climbs two modules: it names the module from the root of the crate instead.
    SuperSuper,
    /// No file is longer than `MAX_LINES`.
    Length,
}

const MAX_LINES: usize = 400;

const EXCEPTIONS: &[Exception] = &[
    Exception {
        rule: Rule::Import("sandbox"),
        reason: "unit tests read real responses of the sandbox",
        files: &["providers/buildkite/tests.rs"],
    },
    Exception {
        rule: Rule::Import("providers"),
        reason: "a unit test reads a report from a real rate limiter",
        files: &["monitoring/exporter.rs"],
    },
    Exception {
        rule: Rule::Import("monitoring"),
        reason: "the server re-exports the metrics listener",
        files: &["grpc/server/mod.rs"],
    },
];

/// A violation of a rule: the file below `src`, and the line.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Violation {
    file: String,
    line: usize,
    rule: Rule,
}

#[test]
fn modules_import_only_in_the_allowed_direction() {
    let known: BTreeSet<(Rule, &str)> = EXCEPTIONS
        .iter()
        .flat_map(|exception| {
            assert!(!exception.reason.is_empty());
            exception.files.iter().map(|file| (exception.rule, *file))
        })
        .collect();
    let found = violations();
    let new: Vec<String> = found
        .iter()
        .filter(|violation| !known.contains(&(violation.rule, violation.file.as_str())))
        .map(|violation| {
            format!(
                "src/{}:{}: {}",
                violation.file,
                violation.line,
                match violation.rule {
                    Rule::Import(module) => format!("names `crate::{module}`, against the direction of dependencies"),
                    Rule::SuperSuper => "`super::super` instead of a path from `crate`".to_owned(),
                    Rule::Length => format!("more than {MAX_LINES} lines"),
                }
            )
        })
        .collect();
    assert!(new.is_empty(), "{new:#?}");
    let needed: BTreeSet<(Rule, &str)> = found
        .iter()
        .map(|violation| (violation.rule, violation.file.as_str()))
        .collect();
    let unused: Vec<_> = known.difference(&needed).collect();
    assert!(unused.is_empty(), "no longer needed in EXCEPTIONS: {unused:#?}");
}

#[test]
fn the_scan_sees_paths_in_groups_macros_and_nested_modules_and_no_text() {
    let source = r##"
        //! crate::cli in a comment
        /// [`crate::cli`]
        use crate::{wire::Row, governance::{self, Governance}};
        use super::hosts;
        fn f() -> crate::grpc::Server { println!("crate::cli {}", crate::export::name()); r#"crate::cli"# }
        mod tests { use super::*; use super::super::providers; }
        pub(crate) use buildkite_connector::sandbox;
    "##;
    let seen: Vec<(String, usize)> = scan(source, 1).modules;
    let names: Vec<_> = seen.iter().map(|(name, line)| (name.as_str(), *line)).collect();
    assert_eq!(
        names,
        [
            ("wire", 4),
            ("governance", 4),
            ("hosts", 5),
            ("grpc", 6),
            ("export", 6),
            ("providers", 7),
            ("sandbox", 8)
        ]
    );
    assert_eq!(scan(source, 1).super_super, [7]);
    // One module deeper, a single `super` stays inside the top-level module.
    assert!(
        !scan(source, 2)
            .modules
            .iter()
            .any(|(name, _)| name == "hosts" || name == "providers")
    );
}

fn violations() -> BTreeSet<Violation> {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut violations = BTreeSet::new();
    let files = sources(&root);
    assert!(files.len() > 100, "only {} files", files.len());
    for path in files {
        let file = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let top = file.split('/').next().unwrap().trim_end_matches(".rs");
        let may = allowed
            .get(top)
            .unwrap_or_else(|| panic!("src/{top} has no line in ALLOWED"));
        let below = ALLOWED_BELOW.iter().filter(|(folder, _)| file.starts_with(folder));
        let may: BTreeSet<&str> = below
            .flat_map(|(_, more)| more.iter())
            .chain(may.iter())
            .copied()
            .collect();
        let scanned = scan(&text, depth(&file));
        for (module, line) in scanned.modules {
            // Names at the root of the crate that are not modules are not dependencies on one.
            let Some((module, _)) = ALLOWED.iter().find(|(known, _)| *known == module) else {
                continue;
            };
            if *module != top && !may.contains(module) {
                let rule = Rule::Import(module);
                violations.insert(Violation {
                    file: file.clone(),
                    line,
                    rule,
                });
            }
        }
        for line in scanned.super_super {
            violations.insert(Violation {
                file: file.clone(),
                line,
                rule: Rule::SuperSuper,
            });
        }
        let lines = text.lines().count();
        if lines > MAX_LINES {
            violations.insert(Violation {
                file,
                line: lines,
                rule: Rule::Length,
            });
        }
    }
    violations
}

/// Every Rust file below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = vec![];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// How many modules below the root of the crate the module of a file is.
fn depth(file: &str) -> usize {
    let parts = file.trim_end_matches(".rs").split('/');
    parts.filter(|part| !["mod", "lib", "main"].contains(part)).count()
}

/// The modules at the root of the crate that a source names, and the lines with `super::super`.
#[derive(Default)]
struct Scan {
    modules: Vec<(String, usize)>,
    super_super: Vec<usize>,
}

/// Scans a source whose module is `depth` below the root. Comments and literals hold no paths.
fn scan(source: &str, depth: usize) -> Scan {
    let mut scan = Scan::default();
    scan.read(source.parse().unwrap(), depth);
    scan
}

impl Scan {
    fn read(&mut self, tokens: TokenStream, depth: usize) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Ident(ident)
                    if (*ident == "crate" || *ident == "buildkite_connector") && continues(&tokens, at) =>
                {
                    self.root(tokens.get(at + 3));
                }
                TokenTree::Ident(ident) if *ident == "super" && !follows_path(&tokens, at) => {
                    let line = ident.span().start().line;
                    let mut climbed = 1;
                    let mut last = at;
                    while continues(&tokens, last) && is_super(tokens.get(last + 3)) {
                        climbed += 1;
                        last += 3;
                    }
                    if climbed > 1 {
                        self.super_super.push(line);
                    }
                    if climbed == depth && continues(&tokens, last) {
                        self.root(tokens.get(last + 3));
                    }
                }
                TokenTree::Group(group) => {
                    // `mod name { ... }` is one module deeper.
                    let is_module = at >= 2 && is_ident(tokens.get(at - 2), "mod");
                    self.read(group.stream(), depth + usize::from(is_module));
                }
                _ => {}
            }
            at += 1;
        }
    }

    /// What follows `crate::`: a name, or a group of paths.
    fn root(&mut self, token: Option<&TokenTree>) {
        match token {
            Some(TokenTree::Ident(name)) => self.modules.push((name.to_string(), name.span().start().line)),
            Some(TokenTree::Group(group)) => {
                let mut starts = true;
                for token in group.stream() {
                    match &token {
                        TokenTree::Ident(_) if starts => self.root(Some(&token)),
                        _ => {}
                    }
                    starts = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == ',');
                }
            }
            _ => {}
        }
    }
}

/// Whether `::` stands behind a token.
fn continues(tokens: &[TokenTree], at: usize) -> bool {
    let is_colon = |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
    is_colon(at + 1) && is_colon(at + 2)
}

/// Whether `::` stands before a token, so that it is not the start of its path.
fn follows_path(tokens: &[TokenTree], at: usize) -> bool {
    at >= 3 && continues(tokens, at - 3) && is_super(tokens.get(at - 3))
}

fn is_super(token: Option<&TokenTree>) -> bool {
    is_ident(token, "super")
}

fn is_ident(token: Option<&TokenTree>, name: &str) -> bool {
    matches!(token, Some(TokenTree::Ident(ident)) if *ident == name)
}
