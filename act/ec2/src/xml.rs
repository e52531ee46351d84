//! Answers in XML, as small trees.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;

/// EC2's answers are some ten deep.
const DEEPEST: usize = 40;

/// A page of the most machines that is asked for has some hundred thousand.
const ELEMENTS_MAX: usize = 2_000_000;

/// An element: its text, or what is in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Element {
    pub name: String,
    pub text: String,
    pub children: Vec<Element>,
}

impl Element {
    /// The first child of this name.
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The element at the end of these names.
    pub fn at(&self, path: &[&str]) -> Option<&Element> {
        path.iter().try_fold(self, |element, name| element.child(name))
    }

    /// The text at the end of these names, if there is any.
    pub fn text_at(&self, path: &[&str]) -> Option<&str> {
        self.at(path).map(|element| element.text.trim()).filter(|text| !text.is_empty())
    }

    /// The items of a list of this name; none where there is no list.
    pub fn items(&self, list: &str) -> impl Iterator<Item = &Element> {
        let children = self.child(list).map(|list| list.children.as_slice()).unwrap_or_default();
        children.iter().filter(|child| child.name == "item")
    }
}

/// Reads a document.
///
/// # Errors
/// It is none, or beyond all bounds.
pub fn read(text: &str) -> Result<Element, String> {
    let mut reader = Reader::from_str(text);
    let mut open = vec![Element::default()];
    let mut count = 0;
    loop {
        let event = reader.read_event().map_err(|error| error.to_string())?;
        let current = open.last_mut().expect("the document itself stays open");
        match event {
            Event::Start(start) => {
                count += 1;
                if open.len() > DEEPEST || count > ELEMENTS_MAX {
                    return Err("it is too deep or too long".into());
                }
                open.push(Element { name: start.local_name().as_ref().into(), ..Element::default() });
            }
            Event::Empty(empty) => {
                current
                    .children
                    .push(Element { name: empty.local_name().as_ref().into(), ..Element::default() });
            }
            Event::Text(text) => current.text.push_str(&text),
            Event::CData(text) => current.text.push_str(&text),
            Event::GeneralRef(reference) => {
                let letter = reference.resolve_char_ref().map_err(|error| error.to_string())?;
                match (letter, resolve_predefined_entity(&reference)) {
                    (Some(letter), _) => current.text.push(letter),
                    (None, Some(text)) => current.text.push_str(text),
                    (None, None) => return Err(format!("an unknown entity {}", &*reference)),
                }
            }
            Event::End(_) => {
                let done = open.pop().ok_or("an end without a beginning")?;
                open.last_mut().ok_or("an end without a beginning")?.children.push(done);
            }
            Event::Eof => break,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
    let mut document = open.pop().filter(|_| open.is_empty()).ok_or("it breaks off")?;
    document.children.pop().ok_or_else(|| "it is empty".into())
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn trees_are_read_with_their_texts() {
        let text = "<?xml version=\"1.0\"?>\n<a xmlns=\"x\"><b><item><c>1 &amp; &#50;</c></item><item/></b><d> x </d></a>\n";
        let tree = read(text).unwrap();
        assert_eq!(tree.name, "a");
        assert_eq!(tree.items("b").count(), 2);
        assert_eq!(tree.items("b").next().unwrap().text_at(&["c"]), Some("1 & 2"));
        assert_eq!(tree.text_at(&["d"]), Some("x"));
        assert_eq!(tree.text_at(&["b", "nothing"]), None);
    }

    #[test]
    fn what_is_no_document_is_an_error() {
        for text in ["", "no xml", "<a>", "<a></b>", "<a>&nothing;</a>", "</a>"] {
            assert!(read(text).is_err(), "{text}");
        }
        let deep = "<a>".repeat(1000) + &"</a>".repeat(1000);
        assert!(read(&deep).unwrap_err().contains("too deep"));
    }
}
