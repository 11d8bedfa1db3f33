//! Messages for another server, where one of the two is killed or stopped in the middle of them: what was acknowledged to their sender is at
//! their receiver, for the first time in the order in which it was said.
//!
//! They need unbound, so that the two find each other, and run as the tests of interop.rs do.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use spec_tests::acks::{Acks, Came, ENABLE, REQUEST};
use spec_tests::chaos::rounds;
use spec_tests::client::{Client, PATIENCE};
use spec_tests::dice::Dice;
use spec_tests::element::{CLIENT, Element};
use spec_tests::federation::World;
use spec_tests::federation::peer::Peer;
use spec_tests::federation::plan::{Plan, Program};
use spec_tests::program::left_out;
use spec_tests::server::Shell;

/// Messages of a round, in the middle of which something ends.
const POSTS: usize = 600;

/// After so many their sender asks what is handled.
const ASKS_EVERY: usize = 20;

/// So long it listens then.
const A_LITTLE: Duration = Duration::from_millis(20);

/// How long after the end of a round all is there: a link that failed is tried again within a minute.
const ARRIVAL: Duration = Duration::from_secs(100);

/// What ends in the middle.
#[derive(Clone, Copy, Debug)]
enum End {
    KillSender,
    KillReceiver,
    /// The receiver's server is away all the time, and the sender's is killed.
    KillBoth,
    StopSender,
}

const ENDS: [End; 4] = [
    End::KillSender,
    End::KillReceiver,
    End::KillBoth,
    End::StopSender,
];

/// The number that a message says.
fn number(element: &Element) -> Option<usize> {
    let body = element.child(CLIENT, "body")?.text();
    (element.name == "message" && element.attribute("type") != Some("error"))
        .then(|| body.parse().ok())?
}

/// One who writes until its stream is lost, and what it was told.
struct Writer {
    client: Client,
    acks: Acks<usize>,
    /// What is in good hands, as it was told.
    promised: Vec<usize>,
    /// What came back.
    returned: BTreeSet<usize>,
}

impl Writer {
    fn new(peer: &Peer) -> Result<Self, String> {
        let (mut client, _) = peer.sign_in("romeo")?;
        client.send(ENABLE)?;
        let acks = Acks::enabled(&client.next(PATIENCE)?)?;
        Ok(Self {
            client,
            acks,
            promised: Vec::new(),
            returned: BTreeSet::new(),
        })
    }

    fn write(&mut self, to: &str, number: usize) -> Result<(), String> {
        let (ask, patience) = match number % ASKS_EVERY {
            0 => (REQUEST, A_LITTLE),
            _ => ("", Duration::ZERO),
        };
        self.client.send(&format!(
            "<message to='{to}' type='chat' id='{number}'><body>{number}</body></message>{ask}"
        ))?;
        self.acks.send(number);
        while let Some(element) = self.client.poll(patience)? {
            self.hear(&element)?;
        }
        Ok(())
    }

    fn hear(&mut self, element: &Element) -> Result<(), String> {
        match self.acks.take(element)? {
            Came::Acknowledged(numbers) => self.promised.extend(numbers),
            Came::Request => self.client.send(&self.acks.answer())?,
            Came::Stanza => {
                let id = element
                    .attribute("id")
                    .and_then(|id| id.parse::<usize>().ok());
                if element.attribute("type") == Some("error") {
                    self.returned.extend(id);
                }
            }
            Came::Other => {}
        }
        Ok(())
    }

    /// Until the stream is over, or nothing came for this long.
    fn listen(&mut self, patience: Duration) {
        while let Ok(Some(element)) = self.client.poll(patience) {
            if self.hear(&element).is_err() {
                return;
            }
        }
    }
}

/// What the receiver has, over all rounds.
#[derive(Default)]
struct Reader {
    last: Option<usize>,
    had: BTreeSet<usize>,
    twice: usize,
}

impl Reader {
    fn hear(&mut self, element: &Element) -> Result<(), String> {
        let Some(number) = number(element) else {
            return Ok(());
        };
        if !self.had.insert(number) {
            self.twice += 1;
            return Ok(());
        }
        let before = self.last.replace(number);
        match before.is_some_and(|before| before > number) {
            true => Err(format!("{number} comes behind {before:?}")),
            false => Ok(()),
        }
    }

    /// Takes all that is there for it until it has all of these.
    fn read(&mut self, peer: &Peer, promised: &[usize]) -> Result<(), String> {
        let (mut client, _) = peer.sign_in("juliet")?;
        client.send("<presence/>")?;
        let deadline = Instant::now() + ARRIVAL;
        let lacks = |had: &BTreeSet<usize>| promised.iter().any(|number| !had.contains(number));
        while lacks(&self.had) && Instant::now() < deadline {
            if let Some(element) = client.poll(Duration::from_millis(200))? {
                self.hear(&element)?;
            }
        }
        // What nobody was promised may come as well.
        while let Some(element) = client.poll(Duration::from_secs(1))? {
            self.hear(&element)?;
        }
        let lost: Vec<_> = promised.iter().filter(|n| !self.had.contains(n)).collect();
        client.close()?;
        match lost.is_empty() {
            true => Ok(()),
            false => Err(format!("acknowledged and lost: {lost:?}")),
        }
    }
}

/// It reads its configuration again, and forgets whom it could not reach.
fn reload(peer: &Peer) {
    let told = Command::new("kill")
        .args(["-HUP", &peer.id().to_string()])
        .status();
    assert!(told.unwrap().success());
}

fn round(
    world: &mut World<2>,
    end: End,
    numbers: std::ops::Range<usize>,
    dice: &mut Dice,
) -> Result<Vec<usize>, String> {
    let [sender, receiver] = &mut world.peers;
    let to = format!("juliet@{}", receiver.domain());
    if matches!(end, End::KillBoth) {
        receiver.spondee().unwrap().kill()?;
    }
    let mut writer = Writer::new(sender)?;
    let last = numbers.start + POSTS / 10 + dice.below(POSTS * 8 / 10);
    for number in numbers {
        if number == last {
            // So that some are under way, some on disk and some confirmed.
            writer.listen(Duration::from_millis(dice.below(300) as u64));
            match end {
                End::KillSender | End::KillBoth => sender.spondee().unwrap().kill()?,
                End::StopSender => sender.stop()?,
                End::KillReceiver => receiver.spondee().unwrap().kill()?,
            }
        }
        if writer.write(&to, number).is_err() {
            break;
        }
    }
    // Twice as long as the disk answers for the peer.
    writer.listen(Duration::from_secs(4));
    match end {
        End::KillSender | End::StopSender => sender.spondee().unwrap().start_again()?,
        End::KillReceiver => receiver.spondee().unwrap().start_again()?,
        End::KillBoth => {
            receiver.spondee().unwrap().start_again()?;
            sender.spondee().unwrap().start_again()?;
        }
    }
    reload(sender);
    let Writer {
        mut promised,
        returned,
        ..
    } = writer;
    promised.retain(|number| !returned.contains(number));
    Ok(promised)
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "seeds and figures are shown by --nocapture"
)]
fn what_was_acknowledged_gets_to_the_other_server_whoever_is_killed() {
    if left_out("unbound") {
        return;
    }
    let shell = Program::Spondee(Shell::of_environment().unwrap());
    let plans = ["verona.example", "mantua.example"].map(|domain| Plan::new(shell, domain));
    let mut world = World::begin(plans).unwrap();
    let mut reader = Reader::default();
    let (mut promised, mut numbers) = (0, 0);
    for round_ in 0..rounds().max(ENDS.len()) {
        let seed = 0x5ee_1000 + round_ as u64;
        let mut dice = Dice::new(seed);
        let end = ENDS[round_ % ENDS.len()];
        let kept = round(&mut world, end, numbers..numbers + POSTS, &mut dice).unwrap();
        numbers += POSTS;
        promised += kept.len();
        let [_, receiver] = &world.peers;
        let read = reader.read(receiver, &kept);
        println!(
            "seed {seed:#x}, {end:?}: {} of {POSTS} acknowledged; {} there, {} came twice",
            kept.len(),
            reader.had.len(),
            reader.twice
        );
        read.unwrap();
    }
    assert!(promised > POSTS, "{promised} were acknowledged in all");
    for peer in &mut world.peers {
        peer.stop().unwrap();
    }
}
