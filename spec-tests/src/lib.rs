//! The project's own reader of the specifications: clients, drivers and transcripts that hold the server to them.
//!
//! Everything here is for tests and benches. It reads what the server writes with rxml, the reference parser, and brings its
//! own client side of SASL, so that no fault of the server can hide behind shared code.
//!
//! # Oracles
//!
//! What is held to hold whatever happens, and where. Paths are below `spec-tests` unless they begin with `core`.
//!
//! | oracle | where |
//! |---|---|
//! | each batch of the store is kept, late, refused, failed, without room, or lost by itself, its outcome unknown with effect and without | `simulator/weather.rs` (`fate`), `tests/races.rs`, `core/src/fuzzing/shard.rs` |
//! | what was acknowledged is there after a crash; what was not is there whole or not at all | `simulator/accounts.rs`, tried at the end of every run (`rest.rs`); on a model disk `tests/durability.rs` |
//! | a roster that anybody is told is one that the changes asked for allow: acknowledged or seen by anybody is there ever after, refused never | `simulator/rosters` |
//! | a version names one roster, whoever has it and however: every push reaches every interested device once and in order, behind the result | `simulator/rosters`, compared with what is read at every rest |
//! | an error of the store is told to its owner alone, and as what it was | `simulator/faults.rs`, `accounts.rs` |
//! | order for each pair; nothing twice | `simulator/ledger.rs` |
//! | nothing is lost behind which a stream was closed, not even in the same read | `simulator/actions.rs` (`part`), judged as `Sender::Left` in `judge.rs`; nor behind which a connection was closed (`Sender::Parted`) |
//! | no stanza is both delivered and refused within one server, and none vanishes | `simulator/ledger.rs`, `judge.rs` |
//! | both sides of a subscription agree at rest, and are what some order of all that was done makes of it; requests come back at each initial presence | `simulator/subscriptions`, by those who sign in at every rest (`witness.rs`) |
//! | presence seen is presence said, in order, told to who may know and nobody else; its end is told once; at rest everybody sees what was said last | `simulator/sight.rs`, `seeing.rs` |
//! | nothing comes from who is blocked, to the stanza from when on; a blocklist that anybody is told is one that was asked for | `simulator/blocks` |
//! | each accepted message reaches each device that is to have it, live or as a copy, or waits for one that takes it, once | `simulator/kept`, by what stands in it (`content.rs`) |
//! | an archive holds what it must and nothing that preferences, hints or a blocklist forbid; it grows at its end, also where the clock was set back | `simulator/kept`, read at every rest (`reading.rs`) |
//! | a page is one of what was there when it was asked for; with what comes live it leaves no hole and nothing comes twice | `simulator/kept/archive.rs`, `reading.rs` |
//! | archive, copy and live message carry one id, and none that somebody else made | `simulator/kept/copies.rs` |
//! | after SIGKILL and on a model disk: what a page showed is there, what is lost was the last of its pair and promised by nothing; on a disk that is full, fails or is held by somebody, what was not refused is there | `tests/kept_chaos`, `tests/kept_hostile` |
//! | after SIGKILL, a stop and on a model disk: what an acknowledgement covered is there, once, in order, with its receiver; what came twice a device can tell | `tests/sm_chaos` |
//! | who never acknowledges, guesses, sleeps or fills sleepers is bounded; a store that fails at any step of a session's end loses nothing untold | `tests/sm_hostile` |
//! | a stanza is from whom it says, for whom it says, and no larger than what came allows | `simulator/ledger.rs`, `scales.rs`, `core/src/fuzzing/world/checks.rs` |
//! | servers that are set up well, badly and otherwise meet as the policy has it, and the other one says why | `federation/cases.rs`; what Prosody and ejabberd do in `peers.md` |
//! | between servers: what a user sent is there or came back, in order, twice only where it was written and never confirmed; `from` true, no stanza without proof or against a policy, no name in a bounce, subscriptions that both sides know, nothing left | `simulator/federation/judge.rs`, `taps.rs`, `users.rs`, `rosters.rs`; what is excused `excuses.rs` |
//! | nothing reaches the unauthenticated | `simulator/client.rs`, `core/src/fuzzing/stream.rs` |
//! | who is held up has failed, and who is refused has a reason | `simulator/guesses.rs`, `accounts.rs` |
//! | residue zero: nothing stays of those who left, no account, nothing in an inbox, no credit | `simulator/rest.rs`, `core/src/fuzzing/world/answers.rs` |
//! | a login storm counts reads and loads, and stanzas to nobody are bounded | `tests/storm.rs` |
//! | bytes of an account and of a session | `tests/storm.rs`; before authentication `tests/memory_before_authentication.rs` |
//! | names that do not exist cannot be told from those that do, as far as chosen | `tests/hostile/harvest.rs` |
//! | a run is a list of inputs, the same however bytes are cut and actions drained | `tests/properties.rs`, `tests/simulator.rs` |

pub mod acks;
pub mod ca;
pub mod cargo;
pub mod changes;
pub mod chaos;
pub mod client;
pub mod cuts;
pub mod dice;
pub mod disk;
pub mod element;
pub mod federation;
pub mod kept;
pub mod memory;
pub mod pipe;
pub mod program;
pub mod proxy;
pub mod sasl;
pub mod script;
pub mod server;
pub mod simulator;
pub mod slapd;
pub mod strace;
pub mod talk;
pub mod unbound;
