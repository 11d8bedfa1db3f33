//! SCRAM, with and without channel binding (RFC 5802, RFC 7677).
