//! What connections do, without any node.

use std::collections::BTreeSet;

use super::*;

const SILENCE_MAX: Duration = Duration::from_millis(1500);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// A network without weather, between the machines 1 and 2. The second listens.
fn wires() -> Wires {
    let calm = Network { late: 0.0, loss: 0.0, delay_max: ms(1), ..Network::default() };
    let mut wires = Wires::new(&calm, 7);
    assert!(wires.listen("n2:1") && !wires.listen("n2:1"));
    wires
}

/// Goes on by a time, in steps.
fn pass(wires: &mut Wires, time: Duration) {
    let end = wires.now() + time;
    while wires.now() < end {
        wires.advance(wires.now() + TICK);
    }
}

/// Both ends of a new connection.
fn connect(wires: &mut Wires, from: NodeId) -> (End, End) {
    let dial = wires.dial(from, "n2:1", SILENCE_MAX);
    pass(wires, ms(5));
    let Poll::Ready(Ok(near)) = wires.poll_dial(dial, &mut cx()) else { panic!("not connected") };
    let accepted = wires.poll_accept("n2:1", SILENCE_MAX, &mut cx());
    let Poll::Ready(Ok((far, machine))) = accepted else { panic!("{accepted:?}") };
    assert_eq!(machine, from);
    (near, far)
}

/// Writes what there is room for.
fn write(wires: &mut Wires, end: End, bytes: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while written < bytes.len() {
        match wires.poll_write(end, &bytes[written..], &mut cx()) {
            Poll::Ready(taken) => written += taken?,
            Poll::Pending => break,
        }
    }
    Ok(written)
}

/// Reads what is there; none: the connection has ended.
fn read(wires: &mut Wires, end: End) -> io::Result<Option<Vec<u8>>> {
    let mut all = Vec::new();
    loop {
        match wires.poll_read(end, 1000, &mut cx()) {
            Poll::Ready(bytes) if bytes.as_ref().is_ok_and(Bytes::is_empty) => {
                return Ok((!all.is_empty()).then_some(all));
            }
            Poll::Ready(bytes) => all.extend(bytes?),
            Poll::Pending => return Ok(Some(all)),
        }
    }
}

fn kind<T: std::fmt::Debug>(result: io::Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

#[test]
fn bytes_arrive_once_and_in_order_and_a_slow_reader_holds_the_writer_up() {
    let mut wires = wires();
    let (near, far) = connect(&mut wires, 1);
    let sent: Vec<u8> = (0..3_000_000_u32).map(|n| (n / 7) as u8).collect();
    let (mut written, mut arrived) = (0, Vec::new());
    let most = write(&mut wires, near, &sent).unwrap();
    assert!(WINDOWS.contains(&most), "{most}");
    written += most;
    while arrived.len() < sent.len() {
        pass(&mut wires, ms(3));
        arrived.extend(read(&mut wires, far).unwrap().unwrap());
        written += write(&mut wires, near, &sent[written..]).unwrap();
    }
    assert!(arrived == sent);
    wires.close(near);
    pass(&mut wires, ms(5));
    assert_eq!(read(&mut wires, far).unwrap(), None, "the writer closed it");
}

#[test]
fn a_short_cut_only_delays() {
    let mut wires = wires();
    let (near, far) = connect(&mut wires, 1);
    wires.cuts.install(0, &BTreeSet::from([Link { from: 1, to: 2 }]));
    write(&mut wires, near, b"one").unwrap();
    write(&mut wires, near, b" two").unwrap();
    pass(&mut wires, ms(300));
    assert_eq!(read(&mut wires, far).unwrap().unwrap(), b"");
    assert!(wires.cuts.counters(0)[&Link { from: 1, to: 2 }] >= 2, "sent, and sent again");
    wires.cuts.remove(0);
    // Sent again 200 and 600 ms after the first time.
    pass(&mut wires, ms(200));
    assert_eq!(read(&mut wires, far).unwrap().unwrap(), b"");
    pass(&mut wires, ms(200));
    assert_eq!(read(&mut wires, far).unwrap().unwrap(), b"one two");
}

#[test]
fn a_long_cut_of_either_direction_fails_the_sender_alone() {
    for cut in [Link { from: 1, to: 2 }, Link { from: 2, to: 1 }] {
        let mut wires = wires();
        let (near, far) = connect(&mut wires, 1);
        wires.cuts.install(0, &BTreeSet::from([cut]));
        write(&mut wires, near, b"lost?").unwrap();
        pass(&mut wires, SILENCE_MAX + ms(10));
        assert_eq!(kind(write(&mut wires, near, b"more")), ErrorKind::TimedOut);
        assert!(read(&mut wires, far).is_ok(), "the other end is not told");
        wires.close(near);
        wires.cuts.remove(0);
        write(&mut wires, far, b"anybody there?").unwrap();
        pass(&mut wires, ms(10));
        assert_eq!(kind(read(&mut wires, far)), ErrorKind::ConnectionReset);
    }
}

#[test]
fn a_reset_loses_what_is_in_flight_but_perhaps_its_beginning() {
    let mut half_open = 0;
    for seed in 0..50 {
        let mut wires = wires();
        wires.rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let (near, far) = connect(&mut wires, 1);
        let links = BTreeSet::from([Link { from: 1, to: 2 }]);
        assert!(wires.reset(&links, &BTreeSet::new()).0.is_empty(), "nothing is in flight");
        write(&mut wires, near, b"0123456789").unwrap();
        let (lost, clients) = wires.reset(&links, &BTreeSet::new());
        assert!(lost[&Link { from: 1, to: 2 }] >= 1 && clients.is_empty());
        if let Ok(Some(part)) = read(&mut wires, far) {
            assert!(b"0123456789".starts_with(&part) && part.len() < 10, "{part:?}");
        }
        pass(&mut wires, ms(10));
        let told = [near, far].map(|end| read(&mut wires, end).is_err());
        assert!(told[0] || told[1]);
        half_open += u64::from(told[0] != told[1]);
    }
    assert!((5..45).contains(&half_open), "{half_open}");
}

#[test]
fn a_client_loses_its_connection_with_its_node() {
    let mut wires = wires();
    let (near, _far) = connect(&mut wires, CLIENTS);
    write(&mut wires, near, b"put").unwrap();
    let (lost, clients) = wires.reset(&BTreeSet::new(), &BTreeSet::from([2]));
    assert!(lost.is_empty());
    assert_eq!(clients, BTreeMap::from([(2, 1)]));
}

#[test]
fn where_nobody_listens_dials_are_refused_and_through_a_cut_they_wait() {
    let mut wires = wires();
    let dial = wires.dial(CLIENTS, "n3:1", SILENCE_MAX);
    pass(&mut wires, ms(5));
    let Poll::Ready(result) = wires.poll_dial(dial, &mut cx()) else { panic!("still dialling") };
    assert_eq!(kind(result), ErrorKind::ConnectionRefused);

    wires.cuts.install(0, &BTreeSet::from([Link { from: 2, to: 1 }]));
    let dial = wires.dial(1, "n2:1", SILENCE_MAX);
    pass(&mut wires, ms(900));
    assert!(wires.poll_dial(dial, &mut cx()).is_pending());
    wires.cuts.remove(0);
    pass(&mut wires, ms(200));
    assert!(matches!(wires.poll_dial(dial, &mut cx()), Poll::Ready(Ok(_))));
}

#[test]
fn who_waits_at_a_listener_that_is_gone_learns_of_it() {
    let mut wires = wires();
    let dial = wires.dial(1, "n2:1", SILENCE_MAX);
    pass(&mut wires, ms(5));
    let Poll::Ready(Ok(near)) = wires.poll_dial(dial, &mut cx()) else { panic!("not connected") };
    wires.unlisten("n2:1");
    pass(&mut wires, ms(5));
    assert_eq!(read(&mut wires, near).unwrap(), None);
    write(&mut wires, near, b"hello?").unwrap();
    pass(&mut wires, ms(5));
    assert_eq!(kind(write(&mut wires, near, b"hello?")), ErrorKind::ConnectionReset);
}
