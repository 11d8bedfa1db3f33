use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;
use crate::tls::made::Certs;

const MINUTE: Duration = Duration::from_secs(60);

/// Every change, one after another: each is seen once.
#[test]
fn whatever_changes_below_the_directory_is_seen_once() {
    type Change = fn(&Certs);
    let certs = Certs::new();
    certs.write("a.crt", "a");
    certs.write("archive/a1.pem", "1");
    certs.write("archive/a2.pem", "2");
    let changes: [(&str, Change, bool); 10] = [
        ("nothing", |_| {}, false),
        ("written", |certs| certs.write("a.crt", "another"), true),
        ("made", |certs| certs.write("b.key", "b"), true),
        ("removed", |certs| certs.remove("b.key"), true),
        (
            "mode",
            |certs| set_permissions(certs.path("a.crt"), Permissions::from_mode(0o640)).unwrap(),
            true,
        ),
        (
            "a link",
            |certs| symlink("../archive/a1.pem", certs.path("archive/live.pem")).unwrap(),
            true,
        ),
        (
            "beside it",
            |certs| certs.write(".a.crt.new", "half"),
            false,
        ),
        ("too deep", |certs| certs.write("1/2/3/a.crt", "a"), false),
        (
            "replaced by one of the same size",
            |certs| {
                certs.write("new", "ANOTHER");
                fs::rename(certs.path("new"), certs.path("a.crt")).unwrap();
            },
            true,
        ),
        (
            "gone",
            |certs| fs::rename(certs.path("archive"), certs.path(".archive")).unwrap(),
            true,
        ),
    ];
    let mut now = Instant::now();
    let mut watch = Watch::begin(Expiry::After(MINUTE), &[certs.root().to_owned()]);
    for (name, change, expected) in changes {
        change(&certs);
        now += 2 * MINUTE;
        assert_eq!(
            watch.has_changed(&[certs.root().to_owned()], now),
            expected,
            "{name}"
        );
        now += 2 * MINUTE;
        assert!(
            !watch.has_changed(&[certs.root().to_owned()], now),
            "{name}, again"
        );
    }
}

/// certbot's renewal is a link that leads elsewhere.
#[test]
fn a_link_that_leads_to_another_file_is_a_change() {
    let certs = Certs::new();
    certs.write("1.pem", "same");
    certs.write("2.pem", "same");
    let below = certs.path("live");
    fs::create_dir(&below).unwrap();
    symlink("../1.pem", below.join("a.pem")).unwrap();
    let mut watch = Watch::begin(Expiry::After(MINUTE), std::slice::from_ref(&below));
    symlink("../2.pem", below.join("new")).unwrap();
    fs::rename(below.join("new"), below.join("a.pem")).unwrap();
    assert!(watch.has_changed(std::slice::from_ref(&below), Instant::now() + 2 * MINUTE));
}

#[test]
fn nobody_looks_before_it_is_time_or_where_nobody_wants_it() {
    let certs = Certs::new();
    let begun = Instant::now();
    let mut off = Watch::begin(Expiry::Never, &[certs.root().to_owned()]);
    let mut watch = Watch::begin(Expiry::After(MINUTE), &[certs.root().to_owned()]);
    certs.write("a.crt", "a");
    assert_eq!(off.left(begun), None);
    assert!(!off.has_changed(&[certs.root().to_owned()], begun + 2 * MINUTE));
    assert!(watch.left(begun).is_some_and(|left| left >= MINUTE));
    assert!(!watch.has_changed(&[certs.root().to_owned()], begun));
    let later = begun + 2 * MINUTE;
    assert_eq!(watch.left(later), Some(Duration::ZERO));
    assert!(watch.has_changed(&[certs.root().to_owned()], later));
    assert_eq!(watch.left(later), Some(MINUTE));
}

#[test]
fn a_directory_that_goes_and_comes_back_is_two_changes() {
    let certs = Certs::new();
    certs.write("certs/a.crt", "a");
    let (there, away) = (certs.path("certs"), certs.path("away"));
    let mut watch = Watch::begin(Expiry::After(MINUTE), std::slice::from_ref(&there));
    let now = Instant::now() + 2 * MINUTE;
    fs::rename(&there, &away).unwrap();
    assert!(watch.has_changed(std::slice::from_ref(&there), now));
    fs::rename(&away, &there).unwrap();
    assert!(watch.has_changed(std::slice::from_ref(&there), now + 2 * MINUTE));
}
