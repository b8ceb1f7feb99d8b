//! How much tenants and labels may ask for, as configured.

use super::*;
use crate::policy::{Quotas, RateLimit};

#[test]
fn the_limits_of_tenants_and_labels_are_checked() {
    // At the head of the tenant, whose first list of tables comes after, and at the end of its label.
    let with = |tenant: &str, label: &str| {
        EXAMPLE
            .replace("# [tenant.limits]", &format!("[tenant.limits]\n{tenant}"))
            .replace("# [tenant.label.limits]", &format!("[tenant.label.limits]\n{label}"))
    };
    let sound = "enrollments_per_second = 0.5\nenrollment_burst = 1\nmax_devices = 10\nmax_certificates = 100000000";
    let config = load(&example_folder(&with(sound, "enrollments_per_second = 20"))).unwrap();
    let limits = config.labels[0].limits;
    assert_eq!(limits.tenant.rate, RateLimit::new(0.5, 1));
    assert_eq!(limits.tenant.quotas, Quotas { devices: Some(10), certificates: Some(100_000_000) });
    assert_eq!(limits.rate, RateLimit::new(20.0, 100));
    let config = load(&example_folder(&with("", ""))).unwrap();
    assert_eq!(config.labels[0].limits, Default::default());

    let (of_tenant, of_label) = ("config.toml: tenant acme, limits", "config.toml: tenant acme, label devices, limits");
    for (tenant, label, problem) in [
        (
            "enrollments_per_second = 0.0009",
            "",
            format!("{of_tenant}, enrollments_per_second: expected 0.001 to 100000"),
        ),
        ("enrollments_per_second = -1", "", format!("{of_tenant}, enrollments_per_second: ")),
        ("enrollments_per_second = nan", "", format!("{of_tenant}, enrollments_per_second: ")),
        ("enrollment_burst = 0", "", format!("{of_tenant}, enrollment_burst: expected 1 to 1000000")),
        ("max_devices = 100000001", "", format!("{of_tenant}, max_devices: expected at most 100000000")),
        ("", "enrollments_per_second = 100001", format!("{of_label}, enrollments_per_second: ")),
        ("", "enrollment_burst = 1000001", format!("{of_label}, enrollment_burst: ")),
        ("", "max_devices = 3", format!("{of_label}, max_devices: ")),
    ] {
        let problems = load(&example_folder(&with(tenant, label))).err().unwrap_or_default();
        assert_eq!(problems.len(), 1, "{tenant} {label} {problems:#?}");
        assert!(problems[0].starts_with(&problem), "{problem} {problems:#?}");
    }
}
