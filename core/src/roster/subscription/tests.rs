//! Every row of tables 2 to 9.

use super::Inbound::{Answered, Delivered, Ignored};
use super::Route::{Kept, Routed};
use super::*;

/// The nine states of RFC 6121 appendix A.1, in its order and its words.
const STATES: [(&str, State); 9] = [
    (
        "None",
        state(Subscription::None, Ask::Nothing, Request::Nothing),
    ),
    (
        "None+Out",
        state(Subscription::None, Ask::Subscribe, Request::Nothing),
    ),
    (
        "None+In",
        state(Subscription::None, Ask::Nothing, Request::Waits),
    ),
    (
        "None+Out+In",
        state(Subscription::None, Ask::Subscribe, Request::Waits),
    ),
    (
        "To",
        state(Subscription::To, Ask::Nothing, Request::Nothing),
    ),
    (
        "To+In",
        state(Subscription::To, Ask::Nothing, Request::Waits),
    ),
    (
        "From",
        state(Subscription::From, Ask::Nothing, Request::Nothing),
    ),
    (
        "From+Out",
        state(Subscription::From, Ask::Subscribe, Request::Nothing),
    ),
    (
        "Both",
        state(Subscription::Both, Ask::Nothing, Request::Nothing),
    ),
];

const fn state(subscription: Subscription, ask: Ask, request: Request) -> State {
    let approval = Approval::Missing;
    let standing = Standing {
        subscription,
        ask,
        approval,
    };
    State { standing, request }
}

fn named(name: &str) -> State {
    let found = STATES.iter().find(|(other, _)| *other == name);
    found.unwrap().1
}

fn approved(state: State) -> State {
    state.approving(Approval::Given)
}

/// Rows in the order of the states; `""` is no change, `"approval"` the state with one.
fn hold_outbound(act: Act, rows: [(Route, &str); 9]) {
    for ((name, before), (route, after)) in STATES.into_iter().zip(rows) {
        let after = match after {
            "" => before,
            "approval" => approved(before),
            after => named(after),
        };
        assert_eq!(before.outbound(act), (after, route), "{act:?} in {name}");
    }
}

fn hold_inbound(act: Act, rows: [(Inbound, &str); 9]) {
    for ((name, before), (inbound, after)) in STATES.into_iter().zip(rows) {
        let after = match after {
            "" => before,
            after => named(after),
        };
        assert_eq!(before.inbound(act), (after, inbound), "{act:?} in {name}");
    }
}

#[test]
fn table_2_outbound_subscribe() {
    hold_outbound(
        Act::Subscribe,
        [
            (Routed, "None+Out"),
            (Routed, ""),
            (Routed, "None+Out+In"),
            (Routed, ""),
            (Routed, ""),
            (Routed, ""),
            (Routed, "From+Out"),
            (Routed, ""),
            (Routed, ""),
        ],
    );
}

#[test]
fn table_3_outbound_unsubscribe() {
    hold_outbound(
        Act::Unsubscribe,
        [
            (Routed, ""),
            (Routed, "None"),
            (Routed, ""),
            (Routed, "None+In"),
            (Routed, "None"),
            (Routed, "None+In"),
            (Routed, ""),
            (Routed, "From"),
            (Routed, "From"),
        ],
    );
}

#[test]
fn table_4_outbound_subscribed() {
    hold_outbound(
        Act::Subscribed,
        [
            (Kept, "approval"),
            (Kept, "approval"),
            (Routed, "From"),
            (Routed, "From+Out"),
            (Kept, "approval"),
            (Routed, "Both"),
            (Kept, ""),
            (Kept, ""),
            (Kept, ""),
        ],
    );
}

#[test]
fn table_5_outbound_unsubscribed() {
    hold_outbound(
        Act::Unsubscribed,
        [
            (Kept, ""),
            (Kept, ""),
            (Routed, "None"),
            (Routed, "None+Out"),
            (Kept, ""),
            (Routed, "To"),
            (Routed, "None"),
            (Routed, "None+Out"),
            (Routed, "To"),
        ],
    );
}

#[test]
fn table_6_inbound_subscribe() {
    hold_inbound(
        Act::Subscribe,
        [
            (Delivered, "None+In"),
            (Delivered, "None+Out+In"),
            (Ignored, ""),
            (Ignored, ""),
            (Delivered, "To+In"),
            (Ignored, ""),
            (Answered, ""),
            (Answered, ""),
            (Answered, ""),
        ],
    );
}

#[test]
fn table_7_inbound_unsubscribe() {
    hold_inbound(
        Act::Unsubscribe,
        [
            (Ignored, ""),
            (Ignored, ""),
            (Delivered, "None"),
            (Delivered, "None+Out"),
            (Ignored, ""),
            (Delivered, "To"),
            (Delivered, "None"),
            (Delivered, "None+Out"),
            (Delivered, "To"),
        ],
    );
}

#[test]
fn table_8_inbound_subscribed() {
    hold_inbound(
        Act::Subscribed,
        [
            (Ignored, ""),
            (Delivered, "To"),
            (Ignored, ""),
            (Delivered, "To+In"),
            (Ignored, ""),
            (Ignored, ""),
            (Ignored, ""),
            (Delivered, "Both"),
            (Ignored, ""),
        ],
    );
}

#[test]
fn table_9_inbound_unsubscribed() {
    hold_inbound(
        Act::Unsubscribed,
        [
            (Ignored, ""),
            (Delivered, "None"),
            (Ignored, ""),
            (Delivered, "None+In"),
            (Delivered, "None"),
            (Delivered, "None+In"),
            (Ignored, ""),
            (Delivered, "From"),
            (Delivered, "From"),
        ],
    );
}

/// RFC 6121 §3.4.2, and note 1 of tables 4, 5 and 6.
#[test]
fn an_approval_answers_the_next_request_and_is_used_up_by_it() {
    for (before, after) in [("None", "From"), ("None+Out", "From+Out"), ("To", "Both")] {
        let (given, route) = named(before).outbound(Act::Subscribed);
        assert_eq!((given, route), (approved(named(before)), Kept));
        assert_eq!(given.inbound(Act::Subscribe), (named(after), Answered));
        // §3.2.2: the user takes it back, and nobody hears of that.
        assert_eq!(given.outbound(Act::Unsubscribed), (named(before), Kept));
        // §4.3.2: nothing else takes it away.
        assert_eq!(given.inbound(Act::Unsubscribe), (given, Ignored));
    }
}
