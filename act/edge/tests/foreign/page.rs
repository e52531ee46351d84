//! The page of results.

use std::path::PathBuf;
use std::sync::Mutex;

/// Checks that a section of the page says this, or writes it anew with `UPDATE=1`.
pub fn check(section: &str, text: &str) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock();
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/edge-conformance.md");
    let all = std::fs::read_to_string(&page).unwrap();
    let (begin, end) = (format!("<!-- {section} -->\n"), format!("<!-- end of {section} -->"));
    let from = all.find(&begin).expect("the section's mark") + begin.len();
    let to = all.find(&end).expect("the mark of the section's end");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&page, format!("{}{text}{}", &all[..from], &all[to..])).unwrap();
    } else {
        assert_eq!(text, &all[from..to], "docs/edge-conformance.md says otherwise; UPDATE=1 writes it anew");
    }
}
