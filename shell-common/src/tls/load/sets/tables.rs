//! The sets: keys, encodings, chains, joins, links, modes.

use std::fs;
use std::os::unix::fs::symlink;

use super::Outcome::{Missing, Refused, Served, Warned};
use super::{Set, bytes, chain, chained, fixed, fixed_der, kind, mode, p12, pipe, put};
use crate::tls::made::Authority;

pub(super) const KEYS: [Set; 20] = [
    (
        "RSA 2048",
        |certs| kind(certs, "rsa-2048.crt", "rsa-2048.key"),
        Served(1),
    ),
    (
        "RSA 3072",
        |certs| kind(certs, "rsa-3072.crt", "rsa-3072.key"),
        Served(1),
    ),
    (
        "RSA 4096",
        |certs| kind(certs, "rsa-4096.crt", "rsa-4096.key"),
        Served(1),
    ),
    (
        "RSA in PKCS#1",
        |certs| kind(certs, "rsa-2048.crt", "rsa-pkcs1.key"),
        Served(1),
    ),
    (
        "P-256",
        |certs| kind(certs, "ec-P-256.crt", "ec-P-256.key"),
        Served(1),
    ),
    (
        "P-256 in SEC 1, behind its parameters",
        |certs| kind(certs, "ec-sec1.crt", "ec-sec1.key"),
        Served(1),
    ),
    (
        "P-384",
        |certs| kind(certs, "ec-P-384.crt", "ec-P-384.key"),
        Served(1),
    ),
    (
        "Ed25519",
        |certs| kind(certs, "ed25519.crt", "ed25519.key"),
        Served(1),
    ),
    (
        "RSA 1024",
        |certs| kind(certs, "rsa-1024.crt", "rsa-1024.key"),
        Refused("an RSA key of 1024 bits is not safe any more"),
    ),
    (
        "RSA for PSS alone",
        |certs| kind(certs, "rsa-pss.crt", "rsa-pss.key"),
        Refused("a key for RSASSA-PSS alone is not supported"),
    ),
    (
        "P-521",
        |certs| kind(certs, "ec-P-521.crt", "ec-P-521.key"),
        Refused("on the curve P-521 (secp521r1) is not supported"),
    ),
    (
        "secp256k1",
        |certs| kind(certs, "ec-secp256k1.crt", "ec-secp256k1.key"),
        Refused("on the curve secp256k1 is not supported"),
    ),
    (
        "brainpool",
        |certs| kind(certs, "ec-brainpoolP256r1.crt", "ec-brainpoolP256r1.key"),
        Refused("on the curve brainpoolP256r1 is not supported"),
    ),
    (
        "Ed448",
        |certs| kind(certs, "ed448.crt", "ed448.key"),
        Refused("a key of the kind Ed448 is not supported"),
    ),
    (
        "DSA",
        |certs| kind(certs, "dsa.crt", "dsa.key"),
        Refused("a DSA key is not supported"),
    ),
    (
        "PKCS#8 behind a passphrase",
        |certs| kind(certs, "ec-P-256.crt", "encrypted-pkcs8.key"),
        Refused("protected by a passphrase, which a server cannot type"),
    ),
    (
        "PKCS#1 behind a passphrase",
        |certs| kind(certs, "rsa-2048.crt", "encrypted-pkcs1.key"),
        Refused("protected by a passphrase, which a server cannot type"),
    ),
    (
        "OpenSSH",
        |certs| kind(certs, "ed25519.crt", "openssh.key"),
        Refused("this is a key for SSH, not for TLS"),
    ),
    (
        "DER",
        |certs| {
            kind(certs, "ec-P-256.crt", "ec-P-256.key");
            bytes(certs, "a.example.key", &fixed_der("ec-P-256.key"));
        },
        Refused("this is in DER form; convert it with openssl pkey -inform DER"),
    ),
    (
        "the public one",
        |certs| kind(certs, "ec-P-256.crt", "public.pem"),
        Refused("this is a public key; the private one is needed"),
    ),
];

pub(super) const ENCODINGS: [Set; 20] = [
    (
        "CRLF",
        |certs| {
            put(
                certs,
                &fixed("ec-P-256.crt").replace('\n', "\r\n"),
                &fixed("ec-P-256.key").replace('\n', "\r\n"),
            )
        },
        Served(1),
    ),
    (
        "CR alone",
        |certs| {
            put(
                certs,
                &fixed("ec-P-256.crt").replace('\n', "\r"),
                fixed("ec-P-256.key"),
            )
        },
        Served(1),
    ),
    (
        "a byte order mark",
        |certs| {
            put(
                certs,
                &format!("\u{feff}{}", fixed("ec-P-256.crt")),
                &format!("\u{feff}{}", fixed("ec-P-256.key")),
            )
        },
        Served(1),
    ),
    (
        "no line end at the end",
        |certs| {
            put(
                certs,
                fixed("ec-P-256.crt").trim_end(),
                fixed("ec-P-256.key").trim_end(),
            )
        },
        Served(1),
    ),
    (
        "indented",
        |certs| {
            put(
                certs,
                &fixed("ec-P-256.crt").replace('\n', "\n  "),
                fixed("ec-P-256.key"),
            )
        },
        Served(1),
    ),
    (
        "text in front of it",
        |certs| put(certs, fixed("text.crt"), fixed("ec-P-256.key")),
        Served(1),
    ),
    (
        "a heading and a note",
        |certs| {
            put(
                certs,
                &format!(
                    "subject=CN = a.example\n{}\nUntil next year.\n",
                    fixed("ec-P-256.crt")
                ),
                fixed("ec-P-256.key"),
            )
        },
        Served(1),
    ),
    (
        "UTF-16",
        |certs| {
            kind(certs, "ec-P-256.crt", "ec-P-256.key");
            let text = fixed("ec-P-256.crt")
                .encode_utf16()
                .flat_map(u16::to_le_bytes);
            bytes(
                certs,
                "a.example.crt",
                &[0xff, 0xfe].into_iter().chain(text).collect::<Vec<u8>>(),
            );
        },
        Refused("this text is in UTF-16"),
    ),
    (
        "TRUSTED CERTIFICATE",
        |certs| put(certs, fixed("trusted.crt"), fixed("ec-P-256.key")),
        Served(1),
    ),
    (
        "X509 CERTIFICATE",
        |certs| {
            put(
                certs,
                &fixed("ec-P-256.crt").replace(" CERTIFICATE", " X509 CERTIFICATE"),
                fixed("ec-P-256.key"),
            )
        },
        Served(1),
    ),
    (
        "a label misspelt",
        |certs| {
            put(
                certs,
                &fixed("ec-P-256.crt").replace(" CERTIFICATE", " CERTFICATE"),
                fixed("ec-P-256.key"),
            )
        },
        Refused("correct its BEGIN and END lines"),
    ),
    (
        "dashes of a word processor",
        |certs| {
            put(
                certs,
                &fixed("ec-P-256.crt").replace("-----", "\u{2014}"),
                fixed("ec-P-256.key"),
            )
        },
        Refused("a.example.crt: "),
    ),
    (
        "DER",
        |certs| {
            kind(certs, "ec-P-256.crt", "ec-P-256.key");
            bytes(certs, "a.example.crt", &fixed_der("ec-P-256.crt"));
        },
        Refused("this is in DER form; convert it with openssl x509 -inform DER"),
    ),
    (
        "PKCS#12 under another name",
        |certs| bytes(certs, "a.example.crt", &p12()),
        Refused("if a password opens it, openssl pkcs12"),
    ),
    (
        "PKCS#12",
        |certs| bytes(certs, "a.example.p12", &p12()),
        Missing("a.example.p12 for example is not"),
    ),
    (
        "PKCS#7",
        |certs| put(certs, fixed("p7.pem"), fixed("ec-P-256.key")),
        Refused("convert it by openssl pkcs7 -print_certs"),
    ),
    (
        "a request",
        |certs| put(certs, fixed("csr.pem"), fixed("ec-P-256.key")),
        Refused("this is a request for a certificate; use the file the authority sent back"),
    ),
    (
        "cut off",
        |certs| put(certs, &fixed("ec-P-256.crt")[..300], fixed("ec-P-256.key")),
        Refused("is cut off; copy the file again"),
    ),
    (
        "a byte lost",
        |certs| {
            put(
                certs,
                &fixed("ec-P-256.crt").replacen("MII", "M", 1),
                fixed("ec-P-256.key"),
            )
        },
        Refused("a.example.crt: "),
    ),
    (
        "empty",
        |certs| put(certs, "", fixed("ec-P-256.key")),
        Refused("this file is empty; a renewal may be under way"),
    ),
];

pub(super) const CHAINS: [Set; 8] = [
    (
        "with its issuer",
        |certs| {
            chained(certs, |chain| {
                format!("{}{}", chain.own.certificate, chain.between)
            })
        },
        Served(2),
    ),
    (
        "in the wrong order",
        |certs| {
            chained(certs, |chain| {
                format!("{}{}", chain.between, chain.own.certificate)
            })
        },
        Warned(2, "stand in a wrong order and are sent in the right one"),
    ),
    (
        "with its root",
        |certs| {
            chained(certs, |chain| {
                format!("{}{}{}", chain.own.certificate, chain.between, chain.root)
            })
        },
        Served(3),
    ),
    (
        "with its root, all upside down",
        |certs| {
            chained(certs, |chain| {
                format!("{}{}{}", chain.root, chain.between, chain.own.certificate)
            })
        },
        Warned(3, "stand in a wrong order"),
    ),
    (
        "with its issuer twice",
        |certs| {
            chained(certs, |chain| {
                format!(
                    "{}{}{}",
                    chain.own.certificate, chain.between, chain.between
                )
            })
        },
        Warned(2, "again and is not sent twice; remove it"),
    ),
    (
        "without its issuer",
        |certs| chained(certs, |chain| chain.own.certificate.clone()),
        Warned(1, "append the intermediate certificate"),
    ),
    (
        "with its root alone",
        |certs| {
            chained(certs, |chain| {
                format!("{}{}", chain.own.certificate, chain.root)
            })
        },
        Warned(2, "append the intermediate certificate"),
    ),
    (
        "with somebody else's issuer",
        |certs| {
            chained(certs, |chain| {
                let other = Authority::root("other").certificate;
                format!("{}{}{other}", chain.own.certificate, chain.between)
            })
        },
        Warned(
            3,
            "did not issue it; it is sent to every client all the same",
        ),
    ),
];

pub(super) const JOINS: [Set; 8] = [
    (
        "both in HOST.crt",
        |certs| {
            certs.write(
                "a.example.crt",
                &format!("{}\n{}", fixed("ec-P-256.crt"), fixed("ec-P-256.key")),
            )
        },
        Served(1),
    ),
    (
        "both in HOST.pem, the key first",
        |certs| {
            certs.write(
                "a.example.pem",
                &format!("{}\n{}", fixed("ec-P-256.key"), fixed("ec-P-256.crt")),
            )
        },
        Served(1),
    ),
    (
        "joined without a line end",
        |certs| {
            certs.write(
                "a.example.crt",
                &format!(
                    "{}{}",
                    fixed("ec-P-256.crt").trim_end(),
                    fixed("ec-P-256.key")
                ),
            )
        },
        Served(1),
    ),
    (
        "of two keys one belongs",
        |certs| {
            put(
                certs,
                fixed("ec-P-256.crt"),
                &format!("{}\n{}", fixed("ec-P-384.key"), fixed("ec-P-256.key")),
            )
        },
        Warned(1, "of the 2 private keys in it, the one in line"),
    ),
    (
        "the chain in the file of the key",
        |certs| {
            let chain = chain();
            put(
                certs,
                &chain.own.certificate,
                &format!("{}{}", chain.own.key, chain.between),
            );
        },
        Warned(1, "a.example.key"),
    ),
    (
        "swapped",
        |certs| kind(certs, "ec-P-256.key", "ec-P-256.crt"),
        Refused("this is a private key, not a certificate; the two files may be swapped"),
    ),
    (
        "of another",
        |certs| kind(certs, "ec-P-256.crt", "ec-P-384.key"),
        Refused("this key does not belong to the certificate"),
    ),
    (
        "no key",
        |certs| certs.write("a.example.crt", fixed("ec-P-256.crt")),
        Refused("the private key of this certificate is missing; it should be"),
    ),
];

pub(super) const LINKS: [Set; 7] = [
    (
        "as certbot has them",
        |certs| {
            certs.write("archive/a.example/fullchain1.pem", fixed("ec-P-256.crt"));
            certs.write("archive/a.example/privkey1.pem", fixed("ec-P-256.key"));
            let live = certs.path("live/a.example");
            fs::create_dir_all(&live).unwrap();
            for name in ["fullchain", "privkey"] {
                let to = format!("../../archive/a.example/{name}1.pem");
                symlink(to, live.join(format!("{name}.pem"))).unwrap();
            }
        },
        Served(1),
    ),
    (
        "a directory that is one",
        |certs| {
            certs.write(".elsewhere/a.example.crt", fixed("ec-P-256.crt"));
            certs.write(".elsewhere/a.example.key", fixed("ec-P-256.key"));
            symlink(".elsewhere", certs.path("here")).unwrap();
        },
        Served(1),
    ),
    (
        "a directory that leads to itself",
        |certs| {
            kind(certs, "ec-P-256.crt", "ec-P-256.key");
            symlink(".", certs.path("loop")).unwrap();
        },
        Served(1),
    ),
    (
        "a certificate that leads nowhere",
        |certs| {
            certs.write("a.example.key", fixed("ec-P-256.key"));
            symlink("nowhere", certs.path("a.example.crt")).unwrap();
        },
        Refused("this is a link to a file that does not exist"),
    ),
    (
        "a key that leads nowhere",
        |certs| {
            certs.write("a.example.crt", fixed("ec-P-256.crt"));
            symlink("nowhere", certs.path("a.example.key")).unwrap();
        },
        Refused("a.example.key: this is a link to a file that does not exist"),
    ),
    (
        "a certificate that leads to itself",
        |certs| {
            certs.write("a.example.key", fixed("ec-P-256.key"));
            symlink("a.example.crt", certs.path("a.example.crt")).unwrap();
        },
        Refused("this link leads in a circle"),
    ),
    (
        "a key that leads to itself",
        |certs| {
            certs.write("a.example.crt", fixed("ec-P-256.crt"));
            symlink("a.example.key", certs.path("a.example.key")).unwrap();
        },
        Refused("a.example.key: this link leads in a circle"),
    ),
];

pub(super) const MODES: [Set; 7] = [
    (
        "a key that all can read",
        |certs| {
            kind(certs, "ec-P-256.crt", "ec-P-256.key");
            mode(certs, "a.example.key", 0o644);
        },
        Warned(1, "every user of this machine can read this private key"),
    ),
    (
        "a key that a group can read",
        |certs| {
            kind(certs, "ec-P-256.crt", "ec-P-256.key");
            mode(certs, "a.example.key", 0o640);
        },
        Served(1),
    ),
    (
        "a directory in place of the certificate",
        |certs| {
            certs.write("a.example.crt/a.example.txt", "");
            certs.write("a.example.key", fixed("ec-P-256.key"));
        },
        Refused("this is a directory, not a file"),
    ),
    (
        "a directory in place of the key",
        |certs| {
            certs.write("a.example.crt", fixed("ec-P-256.crt"));
            fs::create_dir(certs.path("a.example.key")).unwrap();
        },
        Refused("a.example.key: this is a directory, not a file"),
    ),
    (
        "a pipe in place of the certificate",
        |certs| pipe(&certs.path("a.example.crt")),
        Refused("this is not a file"),
    ),
    (
        "a pipe in place of the key",
        |certs| {
            certs.write("a.example.crt", fixed("ec-P-256.crt"));
            pipe(&certs.path("a.example.key"));
        },
        Refused("a.example.key: this is not a file"),
    ),
    (
        "a file far too large",
        |certs| {
            kind(certs, "ec-P-256.crt", "ec-P-256.key");
            let file = fs::OpenOptions::new()
                .write(true)
                .open(certs.path("a.example.crt"));
            file.unwrap().set_len(1 << 30).unwrap();
        },
        Refused("too large for a certificate or key"),
    ),
];
