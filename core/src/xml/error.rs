//! What can be wrong with the bytes of a stream, one variant for each rule, and the stream error that says so.

/// Why the bytes are not an XMPP stream. One variant for each rule; `class` says what to answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum XmlError {
    /// XML 1.0 §2.4: `]]>` in text.
    CdataEnd,
    /// XML 1.0 §2.2: a character that XML does not allow, as it stands or by reference.
    Character,
    /// RFC 6120 §11.1: a comment.
    Comment,
    /// XML 1.0 §2.8: an XML declaration that does not match the grammar.
    Declaration,
    /// RFC 6120 §11.1: a document type.
    DocumentType,
    /// XML 1.0 §3.1 and Namespaces in XML §6.3: two attributes of one name, or of one expanded name.
    DuplicateAttribute,
    /// RFC 6120 §11.6: a declared encoding other than UTF-8.
    Encoding,
    /// `limits::COPY_GROWTH`: written again as it may be forwarded, the element would be too much larger.
    Growth,
    /// `limits::HEADER_DECLARATIONS` or `limits::HEADER_DECLARATION_BYTES`.
    HeaderDeclarations,
    /// RFC 6120 §11.1: a reference to an entity that is not predefined.
    Entity,
    /// XML 1.0 §3.1: `<` in an attribute value.
    MarkupInValue,
    /// XML 1.0 §3: an end tag without its start tag.
    Mismatch,
    /// XML 1.0 §2.3: not a name.
    Name,
    /// `ScanLimits::name_bytes`.
    NameTooLong,
    /// XML 1.0 §2.8: something other than white space before the root.
    OutsideRoot,
    /// Namespaces in XML §5: `xmlns:p=''`.
    PrefixUndeclared,
    /// RFC 6120 §11.1: a processing instruction, or an XML declaration anywhere but at the start.
    ProcessingInstruction,
    /// Namespaces in XML §4: a name with more than one colon, or nothing on a side of it.
    QualifiedName,
    /// XML 1.0 §4.1: `&` that begins no reference.
    Reference,
    /// Namespaces in XML §3: `xml` or `xmlns`, or their namespaces, bound otherwise.
    ReservedPrefix,
    /// A second stream header without a restart.
    SecondHeader,
    /// RFC 6120 §11.5: a standalone declaration of `no`.
    Standalone,
    /// XML 1.0 §3.1: a tag that does not match the grammar.
    Syntax,
    /// Character data other than white space between the top-level elements.
    TextInStream,
    /// `ScanLimits::element_bytes`.
    TooBig,
    /// `ScanLimits::depth`.
    TooDeep,
    /// `ScanLimits::attributes`.
    TooManyAttributes,
    /// `ScanLimits::declarations`.
    TooManyDeclarations,
    /// `ScanLimits::elements`.
    TooManyElements,
    /// Namespaces in XML §5: a prefix without a binding.
    UnboundPrefix,
    /// RFC 6120 §4.9.3.22: bytes that are not UTF-8.
    Utf8,
    /// RFC 6120 §11.8: a declared version other than 1.0.
    Version,
}

/// What a stream answers to an `XmlError`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum XmlClass {
    /// `bad-format` (RFC 6120 §4.9.3.1): XML that cannot be processed where it stands.
    BadFormat,
    /// `not-well-formed` (RFC 6120 §4.9.3.13), which §11.3 wants for namespaces too.
    NotWellFormed,
    /// `policy-violation` (RFC 6120 §4.9.3.14).
    PolicyViolation,
    /// `restricted-xml` (RFC 6120 §4.9.3.18).
    RestrictedXml,
    /// `policy-violation` with the application's condition `stanza-too-big` (RFC 6120 §4.9.3.14).
    StanzaTooBig,
    /// `unsupported-encoding` (RFC 6120 §4.9.3.22), which covers bytes that break UTF-8.
    UnsupportedEncoding,
}

impl XmlError {
    /// The kind of stream error that answers it.
    #[must_use]
    pub const fn class(self) -> XmlClass {
        match self {
            Self::SecondHeader | Self::TextInStream => XmlClass::BadFormat,
            Self::CdataEnd
            | Self::Character
            | Self::Declaration
            | Self::DuplicateAttribute
            | Self::MarkupInValue
            | Self::Mismatch
            | Self::Name
            | Self::OutsideRoot
            | Self::PrefixUndeclared
            | Self::QualifiedName
            | Self::Reference
            | Self::ReservedPrefix
            | Self::Syntax
            | Self::UnboundPrefix
            | Self::Version => XmlClass::NotWellFormed,
            Self::Growth
            | Self::HeaderDeclarations
            | Self::NameTooLong
            | Self::TooDeep
            | Self::TooManyAttributes
            | Self::TooManyDeclarations
            | Self::TooManyElements => XmlClass::PolicyViolation,
            Self::Comment
            | Self::DocumentType
            | Self::Entity
            | Self::ProcessingInstruction
            | Self::Standalone => XmlClass::RestrictedXml,
            Self::TooBig => XmlClass::StanzaTooBig,
            Self::Encoding | Self::Utf8 => XmlClass::UnsupportedEncoding,
        }
    }
}

impl XmlClass {
    /// The name of the stream error's condition.
    #[must_use]
    pub const fn condition(self) -> &'static str {
        match self {
            Self::BadFormat => "bad-format",
            Self::NotWellFormed => "not-well-formed",
            Self::PolicyViolation | Self::StanzaTooBig => "policy-violation",
            Self::RestrictedXml => "restricted-xml",
            Self::UnsupportedEncoding => "unsupported-encoding",
        }
    }
}
