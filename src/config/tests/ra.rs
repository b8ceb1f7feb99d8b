//! The RA clients of a label, as configured.

use super::*;

#[test]
fn the_ra_clients_of_a_label_are_checked() {
    let with_ra = |text: &str, ra: &str| format!("{text}\n[tenant.label.ra]\n{ra}\n");
    let sound = "clients = [\"RA-1\"]\ndevices = [\"SN-*\"]\nforeign_linking = true";
    assert_eq!(problems_after(|text| with_ra(text, sound)), Vec::<String>::new());
    let place = "config.toml: tenant acme, label devices, ra";
    for (ra, problem) in [
        ("clients = [\"RA-1\"]", ", devices: expected at least one device id"),
        ("clients = [\"RA-1\"]\ndevices = [\"*-7\"]", ", devices: \"*-7\": a pattern has one '*', at its end"),
        ("clients = [\"\"]\ndevices = [\"*\"]", ", clients: "),
    ] {
        let problems = problems_after(|text| with_ra(text, ra));
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert!(problems[0].starts_with(&format!("{place}{problem}")), "{problems:#?}");
    }
    // Where RAs are certified, they speak for nobody, and are named.
    let of_ras = |text: &str| {
        text.replace("# ra = false", "ra = true")
            .replace("# ext_key_usage = [\"clientAuth\"]", "ext_key_usage = [\"clientAuth\", \"cmcRA\"]")
    };
    assert_eq!(problems_after(|text| with_ra(&of_ras(text), "clients = [\"RA-1\"]")), Vec::<String>::new());
    assert_eq!(problems_after(|text| with_ra(&of_ras(text), sound)).len(), 1);
    assert_eq!(problems_after(of_ras).len(), 1);
    let without = |text: &str| with_ra(&text.replace("# ra = false", "ra = true"), "clients = [\"RA-1\"]");
    assert!(problems_after(without)[0].contains("ra = true wants cmcRA and clientAuth"));
    let unasked = |text: &str| of_ras(text).replace("ra = true", "ra = false");
    assert!(problems_after(unasked)[0].contains("no device gets it"));
    assert_eq!(
        problems_after(|text| text.replace("# change_subject_name = \"refuse\"", "change_subject_name = \"yes\""))
            .len(),
        1
    );
}
