//! Texts in; what the tree holds, where, and what is told, out.

use naru_yaml::{Node, Report, Style, Value, parse, to_yaml};

/// The documents on one line each, then what is told as `LINE:COLUMN MESSAGE`.
fn read(text: &str) -> (Vec<String>, Vec<String>) {
    let mut report = Report::seen_from("/p");
    let number = report.add_source("/p/a.yaml", text);
    let documents = parse(&mut report, number, text);
    let shown = documents.iter().map(|document| {
        let resets: Vec<String> = document.resets.iter().map(|path| format!(" !{path}")).collect();
        show(&document.root) + &resets.concat()
    });
    let shown = shown.collect();
    let (errors, warnings) = report.finish();
    let told = errors.into_iter().chain(warnings).map(|found| {
        let place = found.place.expect("each is about a place");
        assert_eq!(&*place.file, "a.yaml");
        format!("{}:{} {}", place.line, place.column, found.message)
    });
    (shown, told.collect())
}

fn show(node: &Node) -> String {
    match &node.value {
        Value::Null => "~".into(),
        Value::Str(text) => format!("{text:?}"),
        Value::List(list) => format!("[{}]", list.iter().map(show).collect::<Vec<_>>().join(", ")),
        Value::Map(map) => {
            let entries = map.iter().map(|(key, value)| format!("{key}: {}", show(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        _ => node.scalar().expect("a scalar"),
    }
}

#[test]
fn values_aliases_and_merges() {
    let cases = [
        ("a: 1\nb: '1'\nc: yes\nd:\n", r#"{a: 1, b: "1", c: "yes", d: ~}"#),
        ("a: &x [1]\nb: *x\n", "{a: [1], b: [1]}"),
        ("a: &x {k: 1, l: 1}\nb: {<<: *x, k: 2}\n", "{a: {k: 1, l: 1}, b: {k: 2, l: 1}}"),
        (
            "a: &x {k: 1}\nb: &y {k: 2, l: 2}\nc: {<<: [*x, *y]}\n",
            "{a: {k: 1}, b: {k: 2, l: 2}, c: {k: 1, l: 2}}",
        ),
        ("a: {'<<': 1}\n", "{a: {<<: 1}}"),
        ("a: !!str 1\nb: !!int '2'\n", r#"{a: "1", b: 2}"#),
        ("a: |\n  x\n  y\nb: >-\n  x\n  y\n", r#"{a: "x\ny\n", b: "x y"}"#),
        ("a: {b: !reset null, c: 1}\nd: !override [1]\n", "{a: {c: 1}, d: [1]} !a.b !d"),
    ];
    for (text, want) in cases {
        assert_eq!(read(text), (vec![want.to_string()], Vec::new()), "{text}");
    }
    let (documents, told) = read("a: 1\n---\nb: 2\n");
    assert_eq!((documents.join(" "), told.len()), ("{a: 1} {b: 2}".into(), 0));
    assert!(read("").0.is_empty());
}

#[test]
fn faults_stand_where_they_are_written() {
    let cases = [
        ("a: 1\nb: 2\na: 3\n", "3:1 the key \"a\" is already there, on line 1"),
        ("a: {<<: {}, <<: {}}\n", "1:13 the key \"<<\" is already there, on line 1"),
        ("a:\n  1: x\n", "2:3 a key has to be a text, and 1 is a number"),
        ("a:\n  [x]: x\n", "2:3 a key has to be a text, and this is a list"),
        ("a: {<<: 1}\n", "1:9 << takes a mapping, or a list of mappings"),
        ("a: &x {b: *x}\n", "1:11 this alias lies within what it stands for"),
        ("a: !other 1\n", "1:11 the tag !other is not known"),
        ("a: 2026-01-02\n", "1:4 2026-01-02 is a date in YAML, and no key of Compose takes one"),
        ("한글: 한글\n한글: 1\n", "2:1 the key \"한글\" is already there, on line 1"),
    ];
    for (text, want) in cases {
        assert_eq!(read(text).1, [want], "{text}");
    }
}

#[test]
fn a_place_is_shown_with_its_line() {
    let mut report = Report::default();
    let long = format!("{}key: value\n", " ".repeat(150));
    let number = report.add_source("x.yaml", &long);
    let documents = parse(&mut report, number, &long);
    let value = documents[0].root.get("key").expect("it is there");
    report.error_advised(value.pos, "no good", "write another");
    let (errors, _) = report.finish();
    let plain = errors[0].render(Style::Plain);
    let lines: Vec<&str> = plain.lines().collect();
    assert_eq!(lines[0], "x.yaml:1:156: error: no good");
    assert_eq!(lines[1].find("value"), lines[2].find("^^^^^"));
    assert_eq!(lines[3], "   = write another");
    let coloured = errors[0].render(Style::Colour);
    assert!(coloured.contains("\x1b[1;31merror\x1b[0m"), "{coloured}");
}

#[test]
fn what_is_written_reads_as_the_same() {
    let texts = [
        "yes",
        "no",
        "1",
        "1.0",
        "0x1",
        "true",
        "null",
        "~",
        "",
        " a",
        "a ",
        "a: b",
        "a #b",
        "#a",
        "- a",
        "*a",
        "&a",
        "!a",
        "%a",
        "@a",
        "[a",
        "{a",
        "a\nb",
        "a\tb",
        "\"a\"",
        "'a'",
        "2026-01-02",
        "12:30",
        "/a/b:ro",
        "$a",
        "한글",
        "a,b",
        "a]",
        "x:",
        ":x",
        "?",
        "---",
        "...",
        "\u{7f}",
        "=",
        "<<",
    ];
    for text in texts {
        let json = serde_json::json!({"outer": [text, [text, {}], {"inner": text, text: [[], text]}]});
        let yaml = to_yaml(&json);
        let mut report = Report::default();
        let documents = parse(&mut report, 0, &yaml);
        assert_eq!(documents.len(), 1, "{yaml}");
        let outer = documents[0].root.get("outer").expect("it is there").items();
        assert_eq!(outer[0].str(), Some(text), "{yaml}");
        assert_eq!(outer[1].items()[0].str(), Some(text), "{yaml}");
        assert_eq!(outer[2].get_str("inner"), Some(text), "{yaml}");
        assert_eq!(outer[2].get(text).expect("as a key").items()[1].str(), Some(text), "{yaml}");
    }
}
