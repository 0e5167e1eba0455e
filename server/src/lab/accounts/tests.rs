//! What the accounts say of connections whose counts are made up packet by packet.

use doorbell_wire::State;

use super::*;
use crate::connections::{Arrival, Connections, Registered};
use crate::metrics::Listener;

fn ends(port: u16) -> Ends {
    Ends::internet(([127, 0, 0, 1], 80).into(), ([127, 0, 0, 1], port).into())
}

/// A connection in the register.
fn client(port: u16) -> Registered {
    Arc::new(Connections::default()).register(Arrival::free(Listener::Http, ends(port)))
}

fn page() -> PageName {
    PageName::parse("page").unwrap()
}

fn lane(name: &str) -> Lane {
    Lane { page: page(), name: Name::parse(name).unwrap() }
}

/// An accepted connection after the handshake and so many requests of 100 bytes, each answered
/// with 300 bytes, and the answers acknowledged.
fn counts(requests: u64, answers: u64) -> TcpCounts {
    TcpCounts {
        state: State::Established,
        timestamps: true,
        bytes_sent: 300 * answers,
        bytes_retransmitted: 0,
        bytes_received: 100 * requests,
        segments_out: answers,
        segments_in: 2 + requests + answers,
        data_segments_out: answers,
        data_segments_in: requests,
        retransmits: 0,
        rtt: Duration::ZERO,
        min_rtt: None,
    }
}

/// A request of 100 bytes.
const REQUEST: Traffic = Traffic {
    bytes_in: 152,
    bytes_out: 0,
    packets_in: 1,
    packets_out: 0,
    payload_in: 100,
    payload_out: 0,
};

fn wire(counts: &TcpCounts) -> Traffic {
    Counted::of(counts, Ip::V4).all
}

fn total(accounts: &Accounts) -> Traffic {
    let sums = accounts.sums(&page());
    sums.values().fold(Traffic::default(), |sum, lane| sum.plus(lane.traffic))
}

fn sums(accounts: &Accounts, name: &str) -> Sums {
    accounts.sums(&page()).get(&Name::parse(name).unwrap()).copied().unwrap_or_default()
}

#[test]
fn a_request_pays_for_itself_and_the_lane_before_for_its_answer() {
    let one = client(1);
    let mut accounts = Accounts::default();
    accounts.open(&page());
    accounts.request(ends(1), Some(one.connection()), Some(lane("poll")), Before::Nothing, || {
        Some(counts(1, 0))
    });
    // The second request is there, the first answer has been given and acknowledged.
    accounts.request(
        ends(1),
        Some(one.connection()),
        Some(lane("publish")),
        Before::Others(100),
        || Some(counts(2, 1)),
    );
    let poll = sums(&accounts, "poll");
    // SYN, ACK, request, acknowledgement; SYN ACK, answer.
    assert_eq!(poll.traffic.bytes_in, 60 + 52 + 152 + 52);
    assert_eq!(poll.traffic.bytes_out, 60 + 352);
    assert_eq!((poll.traffic.packets_in, poll.traffic.packets_out), (4, 2));
    assert_eq!((poll.connections, sums(&accounts, "publish").connections), (1, 0));
    let publish = sums(&accounts, "publish").traffic;
    assert_eq!(publish, REQUEST);
    let end = TcpCounts { segments_in: 8, ..counts(2, 2) };
    accounts.ended(ends(1), end);
    assert_eq!(total(&accounts), wire(&end), "every packet is charged once");
    assert!(accounts.of(&page()).is_empty());
}

#[test]
fn the_same_lane_again_asks_the_kernel_nothing() {
    let one = client(1);
    let mut accounts = Accounts::default();
    accounts.open(&page());
    accounts.request(ends(1), Some(one.connection()), Some(lane("poll")), Before::Nothing, || {
        Some(counts(1, 0))
    });
    let never = || unreachable!("nothing depends on it");
    accounts.request(
        ends(1),
        Some(one.connection()),
        Some(lane("poll")),
        Before::Others(100),
        never,
    );
    accounts.request(ends(2), Some(one.connection()), None, Before::Nothing, never);
    let elsewhere = Lane { page: PageName::parse("other").unwrap(), ..lane("poll") };
    accounts.request(ends(2), Some(one.connection()), Some(elsewhere), Before::Nothing, never);
    accounts.heard(ends(1), Some(&counts(9, 9)), Instant::now());
    assert_eq!(total(&accounts), wire(&counts(9, 9)));
}

#[test]
fn what_was_before_the_first_lane_is_not_charged_but_the_request_is() {
    let one = client(1);
    let mut accounts = Accounts::default();
    accounts.open(&page());
    accounts.request(
        ends(1),
        Some(one.connection()),
        Some(lane("poll")),
        Before::Others(100),
        || Some(counts(5, 4)),
    );
    let poll = sums(&accounts, "poll");
    assert_eq!((poll.traffic, poll.connections), (REQUEST, 0));
}

#[test]
fn a_request_without_a_lane_ends_the_charge() {
    let one = client(1);
    let mut accounts = Accounts::default();
    accounts.open(&page());
    accounts.request(ends(1), Some(one.connection()), Some(lane("poll")), Before::Nothing, || {
        Some(counts(1, 0))
    });
    accounts
        .request(ends(1), Some(one.connection()), None, Before::Others(100), || Some(counts(2, 1)));
    let paid = total(&accounts);
    assert_eq!((paid.bytes_out, paid.packets_in), (60 + 352, 4));
    accounts.ended(ends(1), counts(9, 9));
    assert_eq!(total(&accounts), paid);
}

#[test]
fn an_end_that_nobody_tells_is_charged_with_what_was_last_known() {
    let one = client(1);
    let mut accounts = Accounts::default();
    accounts.open(&page());
    let now = Instant::now();
    accounts.request(ends(1), Some(one.connection()), Some(lane("poll")), Before::Nothing, || {
        Some(counts(1, 0))
    });
    accounts.heard(ends(1), Some(&counts(3, 3)), now);
    accounts.heard(ends(1), None, now);
    assert_eq!(accounts.of(&page()), [ends(1)], "it may still be told");
    accounts.heard(ends(1), None, now + END_WAIT_MAX + Duration::from_millis(1));
    assert!(accounts.of(&page()).is_empty());
    assert_eq!(total(&accounts), wire(&counts(3, 3)));
}

#[test]
fn the_side_that_closes_first_is_charged_for_the_goodbye_that_a_stand_in_says() {
    let register = Arc::new(Connections::default());
    let registered = register.register(Arrival::free(Listener::Http, ends(1)));
    registered.connection().count_received(300);
    let mut accounts = Accounts::default();
    accounts.open(&page());
    let connection = Some(registered.connection());
    accounts.request(ends(1), connection, Some(lane("ws")), Before::Nothing, || Some(counts(1, 0)));
    // Without the FIN, one byte too many was taken off.
    let freed = TcpCounts { bytes_received: 299, state: State::Closed, ..counts(3, 3) };
    accounts.ended(ends(1), freed);
    let whole = wire(&TcpCounts { segments_in: 9, segments_out: 4, ..counts(3, 3) });
    assert_eq!(total(&accounts), whole);
}

#[test]
fn accounts_are_bounded_and_say_once_what_they_do_not_count() {
    let one = client(1);
    let mut accounts = Accounts::default();
    accounts.open(&page());
    for port in 1..=LAB_CONNECTIONS_MAX + 2 {
        let port = u16::try_from(port).unwrap();
        let (ends, client) = (ends(port), client(port));
        accounts.request(
            ends,
            Some(client.connection()),
            Some(lane("poll")),
            Before::Nothing,
            || Some(counts(1, 0)),
        );
    }
    assert_eq!(accounts.of(&page()).len(), LAB_CONNECTIONS_MAX);
    let refusal = accounts.take_refusal(&page()).unwrap();
    assert!(refusal.contains(&LAB_CONNECTIONS_MAX.to_string()), "{refusal}");
    assert_eq!(accounts.take_refusal(&page()), None);
    // One that is charged already may still change its lane.
    accounts.request(
        ends(1),
        Some(one.connection()),
        Some(lane("publish")),
        Before::Others(9),
        || Some(counts(2, 1)),
    );
    assert!(accounts.serves(ends(1), &page(), &Name::parse("publish").unwrap()));
}

#[test]
fn a_page_that_comes_back_begins_at_zero_and_the_old_session_ends_nothing() {
    let one = client(1);
    let mut accounts = Accounts::default();
    let old = accounts.open(&page());
    accounts.request(ends(1), Some(one.connection()), Some(lane("ws")), Before::Nothing, || {
        Some(counts(1, 0))
    });
    accounts.heard(ends(1), Some(&counts(1, 5)), Instant::now());
    let new = accounts.open(&page());
    accounts.close(&page(), old);
    assert_eq!(total(&accounts), Traffic::default());
    accounts.heard(ends(1), Some(&counts(1, 6)), Instant::now());
    assert_eq!(total(&accounts), wire(&counts(1, 6)).since(wire(&counts(1, 5))));
    accounts.close(&page(), new);
    assert!(accounts.sums(&page()).is_empty() && accounts.of(&page()).is_empty());
}

#[test]
fn a_connection_with_the_ends_of_one_that_has_gone_is_another() {
    let register = Arc::new(Connections::default());
    let [old, new] = [(); 2].map(|()| register.register(Arrival::free(Listener::Http, ends(1))));
    let mut accounts = Accounts::default();
    accounts.open(&page());
    for (open, counts) in [(&old, counts(9, 9)), (&new, counts(1, 0))] {
        let (connection, lane) = (Some(open.connection()), Some(lane("poll")));
        accounts.request(ends(1), connection, lane, Before::Nothing, || Some(counts));
    }
    assert_eq!(total(&accounts), wire(&counts(9, 9)).plus(wire(&counts(1, 0))));
    assert_eq!(sums(&accounts, "poll").connections, 2);
}
