//! Every ASN.1 production quoted in a doc comment stands so in one of the modules.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};

/// Fewer would mean that the quotations are no longer found.
const QUOTATIONS: usize = 50;

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The productions in the ```asn1 blocks of a source file; a blank line parts them.
fn quotations(source: &str) -> Vec<String> {
    let mut quotations = Vec::new();
    let mut open = false;
    for line in source.lines().filter_map(|line| line.trim_start().strip_prefix("///")) {
        match line.trim() {
            "```asn1" => {
                open = true;
                quotations.push(String::new());
            }
            "```" => open = false,
            "" if open => quotations.push(String::new()),
            text if open => *quotations.last_mut().unwrap() += &format!("{text} "),
            _ => {}
        }
    }
    quotations
}

#[test]
fn quoted_productions_stand_in_the_modules() {
    let modules: Vec<String> =
        files("modules", "asn1").iter().map(|path| words(&fs::read_to_string(path).unwrap())).collect();
    let mut found = 0;
    for path in files("src", "rs") {
        for quotation in quotations(&fs::read_to_string(&path).unwrap()) {
            let quotation = words(&quotation);
            let known = modules.iter().any(|module| module.contains(&quotation));
            assert!(known, "{}: not in any module: {quotation}", path.display());
            found += 1;
        }
    }
    assert!(found >= QUOTATIONS, "{found} quotations found");
}
