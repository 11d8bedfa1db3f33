//! Channel bindings of a server: tls-exporter (RFC 9266) and tls-server-end-point (RFC 5929 §4).
