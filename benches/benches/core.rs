//! The core under criterion: `cargo bench`. What is measured is in `benches::scenarios`.

use std::hint::black_box;

use benches::scenarios::{Arrive, Broadcast, Page, Route, Scan, SignIn};
use benches::secure::SecureSignIn;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use spondee_core::archive::Policy;
use spondee_core::jid::Jid;

fn scan(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scan");
    let scenarios = [
        ("chat", Scan::chat()),
        ("presence", Scan::presence()),
        ("roster", Scan::roster()),
    ];
    for (name, mut scenario) in scenarios {
        group.throughput(Throughput::Bytes(scenario.size()));
        group.bench_function(name, |bencher| bencher.iter(|| black_box(scenario.run())));
    }
    group.finish();
}

/// A whole sign-in as the server sees it. First without TLS: what the protocol costs. Then with the handshake and the records, of
/// which the server's side alone is timed. PBKDF2 is the client's, and done once.
fn sign_in(criterion: &mut Criterion) {
    let scenario = SignIn::new();
    let mut group = criterion.benchmark_group("sign-in");
    group.throughput(Throughput::Elements(1));
    group.bench_function("scram-sha-256", |bencher| {
        bencher.iter_batched_ref(
            || scenario.server(),
            |server| black_box(scenario.run(server)),
            BatchSize::SmallInput,
        );
    });
    let mut secure = SecureSignIn::new().expect("a server");
    group.bench_function("tls-1.3 and scram-sha-256", |bencher| {
        bencher.iter_custom(|times| {
            let sign_ins = (0..times).map(|_| secure.run().expect("a session"));
            black_box(sign_ins.sum())
        });
    });
    group.finish();
}

fn route(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route");
    for count in [1, 10] {
        let scenarios = [
            ("same shard", Route::same_shard(count)),
            ("cross shard", Route::cross_shard(count)),
        ];
        group.throughput(Throughput::Elements(count as u64));
        for (name, mut scenario) in scenarios {
            let name = format!("{name}, {count} in a read");
            group.bench_function(name, |bencher| bencher.iter(|| black_box(scenario.run())));
        }
    }
    group.finish();
}

/// A server with what it is to do.
type Make = fn() -> Route;

/// What is kept stays in memory here: each sample has a server of its own.
fn kept(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("kept");
    group.throughput(Throughput::Elements(10));
    let archived: Make = || Route::archived(10);
    let stored: Make = || Route::offline(10, Policy::Never);
    let both: Make = || Route::offline(10, Policy::Always);
    for (name, route) in [
        ("archived for both, 10 in a read", archived),
        ("stored, 10 in a read", stored),
        ("stored and archived, 10 in a read", both),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(route, |route| black_box(route.run()), BatchSize::LargeInput);
        });
    }
    let mut copied = Route::copied(10);
    group.bench_function("copied on both sides, 10 in a read", |bencher| {
        bencher.iter(|| black_box(copied.run()));
    });
    group.throughput(Throughput::Elements(50));
    let mut page = Page::new();
    group.bench_function("page of 50", |bencher| {
        bencher.iter(|| black_box(page.run()));
    });
    group.finish();
}

fn contacts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("contacts");
    group.throughput(Throughput::Elements(50));
    let mut broadcast = Broadcast::new();
    group.bench_function("presence to 50", |bencher| {
        bencher.iter(|| black_box(broadcast.run()));
    });
    group.throughput(Throughput::Elements(1));
    let mut arrive = Arrive::new();
    group.bench_function("sign-in with 50, 25 on line", |bencher| {
        bencher.iter(|| black_box(arrive.run()));
    });
    group.finish();
}

/// Addresses as long as they may be, in letters that have a preparation of their own each.
fn address(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("address");
    for (name, letters) in [
        ("ascii", "a".repeat(1000)),
        ("greek", "\u{3b1}\u{3b2}\u{3c9}".repeat(166)),
        (
            "cyrillic in upper case",
            "\u{410}\u{411}\u{412}".repeat(166),
        ),
        ("arabic", "\u{628}\u{62a}\u{62f}".repeat(166)),
        ("decomposed", "e\u{301}".repeat(340)),
    ] {
        let text = format!("{letters}@example.com/{letters}");
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(Jid::parse(&text)))
        });
    }
    group.finish();
}

criterion_group!(benches, scan, sign_in, route, kept, contacts, address);
criterion_main!(benches);
