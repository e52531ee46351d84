//! Words that somebody may have meant.

/// "did you mean …", where a known word is near enough, or has the written one as its end or beginning.
pub fn nearest<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<String> {
    let plain = |text: &str| text.to_lowercase().replace(['-', '_'], "");
    let mine = plain(word);
    let known: Vec<&str> = known.collect();
    let distance = |name: &str| strsim::damerau_levenshtein(&mine, &plain(name));
    let near = known.iter().map(|name| (distance(name), name)).min_by_key(|(distance, _)| *distance);
    let near = near.filter(|(distance, _)| *distance <= (word.chars().count() / 3).max(1));
    let part =
        |name: &&&str| mine.len() >= 4 && (plain(name).ends_with(&mine) || plain(name).starts_with(&mine));
    let found = near.map(|(_, name)| name).or_else(|| known.iter().find(part));
    found.map(|name| format!("did you mean {name}?"))
}
