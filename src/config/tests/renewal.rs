//! When the certificates of a label are to be renewed, as configured.

use super::*;

#[test]
fn the_renewal_window_of_a_label_is_checked() {
    let with = |keys: &str| {
        problems_after(|text| text.replace("# [tenant.label.renewal]", &format!("[tenant.label.renewal]\n{keys}")))
    };
    for sound in [
        "",
        "opens = 0\ncloses = 100",
        "window = \"1m\"\nretry_after = \"1m\"",
        "window = \"30d\"\nretry_after = \"24h\"",
    ] {
        assert_eq!(with(sound), Vec::<String>::new(), "{sound}");
    }
    let place = "config.toml: tenant acme, label devices, renewal";
    for (keys, problem) in [
        ("opens = 85", ": expected opens below closes"),
        ("closes = 101", ": expected opens below closes"),
        ("window = \"59s\"", ", window: expected 1m to "),
        ("window = \"31d\"", ", window: expected 1m to "),
        ("retry_after = \"0s\"", ", retry_after: expected 1m to 1day"),
        ("retry_after = \"25h\"", ", retry_after: expected 1m to 1day"),
        ("capacity = 4294967296", ", capacity: expected at most 4294967295"),
        ("until = 3", ", until: "),
    ] {
        let problems = with(keys);
        assert_eq!(problems.len(), 1, "{keys} {problems:#?}");
        assert!(problems[0].starts_with(place), "{keys} {problems:#?}");
        assert!(problems[0].contains(problem), "{keys} {problems:#?}");
    }
}
