//! Changes by chance. The same seed and number make the same input on every machine, so a failure
//! can be repeated by these two.

/// Changes of one input at most.
const CHANGES_MAX: usize = 8;
/// Bytes of an input at most.
const INPUT_BYTES_MAX: usize = 64 << 10;
/// Bytes that one change copies, removes or writes at most.
const PIECE_BYTES_MAX: usize = 64;
/// Bytes at which readers take turns.
const ODD_BYTES: &[u8] = b"\0\t\n\r \"%&'()*+,-./0:;<=>?[\\]_{|}~\x7f\x80\xbf\xc0\xe2\xed\xf4\xff";

/// Numbers by chance (SplitMix64): quick, and the same for ever.
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    /// That of one input.
    pub(crate) fn of(seed: u64, number: u64) -> Self {
        let mut chance = Self(seed);
        let first = chance.next();
        Self(first ^ number.wrapping_mul(0xD605_1E5F_0C3A_7F2B))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below a bound; 0 where there is none below.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % (bound.max(1) as u64)).unwrap_or_default()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len()))
    }

    fn piece(&mut self, bytes: &[u8]) -> std::ops::Range<usize> {
        let start = self.below(bytes.len() + 1);
        start..(start + self.below(PIECE_BYTES_MAX)).min(bytes.len())
    }
}

/// An input: one of the corpus, changed.
pub(crate) fn input(corpus: &[Vec<u8>], words: &[&str], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = chance.pick(corpus).cloned().unwrap_or_default();
    for _ in 0..=chance.below(CHANGES_MAX) {
        change(&mut bytes, corpus, words, chance);
    }
    bytes.truncate(INPUT_BYTES_MAX);
    bytes
}

fn change(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], words: &[&str], chance: &mut Chance) {
    let place = chance.below(bytes.len() + 1);
    let put = match chance.below(10) {
        0 => {
            let bit = 1 << chance.below(8);
            return bytes.get_mut(place).into_iter().for_each(|byte| *byte ^= bit);
        }
        1 => {
            let odd = chance.pick(ODD_BYTES).copied().unwrap_or_default();
            return bytes.get_mut(place).into_iter().for_each(|byte| *byte = odd);
        }
        2 => {
            let piece = chance.piece(bytes);
            return drop(bytes.drain(piece));
        }
        3 => return bytes.truncate(place),
        4 => {
            let piece = chance.piece(bytes);
            bytes[piece].repeat(1 + chance.below(PIECE_BYTES_MAX))
        }
        5 => {
            let other = chance.pick(corpus).cloned().unwrap_or_default();
            let piece = chance.piece(&other);
            other[piece].to_vec()
        }
        6 => (0..chance.below(PIECE_BYTES_MAX)).map(|_| chance.byte()).collect(),
        7 => chance.pick(ODD_BYTES).into_iter().copied().collect(),
        _ => chance.pick(words).map(|word| word.as_bytes().to_vec()).unwrap_or_default(),
    };
    bytes.splice(place..place, put);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_and_a_number_make_the_same_input_again_and_others_make_others() {
        let corpus = [b"SUB a since=all".to_vec(), b"PING".to_vec()];
        let of = |seed, number| input(&corpus, &["PUB", "QUIT"], &mut Chance::of(seed, number));
        assert_eq!(of(1, 7), of(1, 7));
        let inputs: std::collections::BTreeSet<_> =
            (0..100).flat_map(|number| [of(1, number), of(2, number)]).collect();
        assert!(inputs.len() > 150, "{}", inputs.len());
    }
}
