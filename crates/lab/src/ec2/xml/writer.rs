//! Elements, leaves and `<item>` lists into one text. Must not: know EC2.

use std::fmt::{Display, Write as _};

/// XML under construction.
pub(super) struct Xml(String);

impl Xml {
    pub(super) fn new() -> Self {
        Self("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned())
    }

    pub(super) fn finish(self) -> String {
        self.0
    }

    /// The outermost element, which names the namespace.
    pub(super) fn root(&mut self, name: &str, namespace: &str, content: impl FnOnce(&mut Self)) {
        self.raw(format_args!("<{name} xmlns=\"{namespace}\">"));
        content(self);
        self.raw(format_args!("</{name}>"));
    }

    pub(super) fn node(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        self.raw(format_args!("<{name}>"));
        content(self);
        self.raw(format_args!("</{name}>"));
    }

    pub(super) fn leaf(&mut self, name: &str, value: impl Display) {
        let text = value.to_string();
        self.raw(format_args!(
            "<{name}>{}</{name}>",
            quick_xml::escape::escape(text.as_str())
        ));
    }

    /// An element with one `<item>` per value; present though empty, as EC2's are.
    pub(super) fn list<T>(
        &mut self,
        name: &str,
        values: &[T],
        mut item: impl FnMut(&mut Self, &T),
    ) {
        self.node(name, |xml| {
            values
                .iter()
                .for_each(|value| xml.node("item", |xml| item(xml, value)))
        });
    }

    fn raw(&mut self, text: std::fmt::Arguments<'_>) {
        self.0
            .write_fmt(text)
            .expect("writing to a String cannot fail");
    }
}
