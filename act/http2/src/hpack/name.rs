//! What a field's name means to a request, and which names and values there may be (RFC 9113, 8.2 and 8.3).

/// What a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// `:method`
    Method,
    /// `:scheme`
    Scheme,
    /// `:path`
    Path,
    /// `:authority`
    Authority,
    /// `:protocol` (RFC 8441)
    Protocol,
    /// `host`
    Host,
    /// `cookie`
    Cookie,
    /// `content-length`
    Length,
    /// `te`
    Te,
    /// No name at all, or one that no request may have.
    Wrong,
    /// Any other.
    Other,
}

impl Name {
    pub(crate) fn of(name: &[u8]) -> Name {
        match name {
            b":method" => Name::Method,
            b":scheme" => Name::Scheme,
            b":path" => Name::Path,
            b":authority" => Name::Authority,
            b":protocol" => Name::Protocol,
            b"host" => Name::Host,
            b"cookie" => Name::Cookie,
            b"content-length" => Name::Length,
            b"te" => Name::Te,
            b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade" => {
                Name::Wrong
            }
            name if is_token(name) && !name.iter().any(u8::is_ascii_uppercase) => Name::Other,
            _ => Name::Wrong,
        }
    }
}

/// Whether a text is a token of HTTP: a method, or a field's name.
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().copied().all(naru_wire::is_token)
}

/// Whether a text can be a field's value.
pub(crate) fn is_value(text: &[u8]) -> bool {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    !is_blank(text.first()) && !is_blank(text.last()) && text.iter().copied().all(naru_wire::is_text)
}
