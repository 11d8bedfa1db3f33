//! The rare forms: rxml reads what the scanner's fast subset does not prove or cannot forward as it stands (non-ASCII names,
//! prefixes bound on the stream header, content elements written with a prefix or an explicit content namespace on a child),
//! and it is written again self-contained.
