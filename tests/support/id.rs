//! Ids, taken apart and put together by the book and not by the program's own way.

const ALPHABET: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const SEQ_BITS: u32 = 44;

/// The epoch and the seq of an id.
pub(crate) fn epoch_and_seq(id: &str) -> (u64, u64) {
    assert_eq!(id.len(), 12, "{id}");
    let digit = |c: char| ALPHABET.find(c).unwrap_or_else(|| panic!("{c} in an id")) as u128;
    let number = id.chars().fold(0, |number, c| number * 62 + digit(c));
    let seq = number & ((1 << SEQ_BITS) - 1);
    (u64::try_from(number >> SEQ_BITS).unwrap(), u64::try_from(seq).unwrap())
}

fn id(epoch: u64, seq: u64) -> String {
    let number = u128::from(epoch) << SEQ_BITS | u128::from(seq);
    let digit = |place| number / 62u128.pow(place) % 62;
    (0..12).rev().map(|place| char::from(ALPHABET.as_bytes()[digit(place) as usize])).collect()
}

/// The same place in another log.
pub(crate) fn foreign(of: &str) -> String {
    let (epoch, seq) = epoch_and_seq(of);
    id(epoch ^ 1, seq)
}

/// A place in the same log that lies so many messages further on.
pub(crate) fn ahead(of: &str, messages: u64) -> String {
    let (epoch, seq) = epoch_and_seq(of);
    id(epoch, seq + messages)
}
