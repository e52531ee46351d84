//! The code of RFC 7541, appendix B. It is canonical: the lengths of its words tell the words. It is read half a byte at
//! a time, by a table that the compiler makes of the lengths.

/// Bits of each byte's word; the last one is that of the string's end.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28,
    28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6,
    6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7,
    8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7,
    15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24,
    23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23,
    23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26,
    26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20,
    21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27,
    27, 27, 26, 30,
];

/// The longest word.
const LONGEST: u8 = 30;

/// Inner nodes of the code's tree: one less than there are words.
const NODES: usize = 256;

/// A child that is no node is a word: this, and its byte.
const WORD: u16 = 0x200;

/// What half a byte does at a node.
#[derive(Clone, Copy)]
struct Step {
    /// The node after it.
    next: u8,
    /// The byte whose word it ends, if it does.
    byte: u8,
    what: u8,
}

/// It ends a word.
const ENDS: u8 = 1;
/// It ends the word of the string's end, which must not be there.
const FAILS: u8 = 2;
/// The string may end behind it: what is left are at most seven ones.
const MAY_END: u8 = 4;

static STEPS: [[Step; 16]; NODES] = steps(&tree());

/// Decodes a string, and appends it. `None`: it is none.
pub(super) fn decode(code: &[u8], out: &mut Vec<u8>) -> Option<()> {
    // The shortest word has five bits.
    out.reserve(code.len() * 8 / 5);
    let (mut node, mut last) = (0, MAY_END);
    for half in code.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
        let step = &STEPS[node as usize][half as usize];
        if step.what & ENDS != 0 {
            out.push(step.byte);
        }
        if step.what & FAILS != 0 {
            return None;
        }
        (node, last) = (step.next, step.what);
    }
    (last & MAY_END != 0).then_some(())
}

/// The children of each node, the root first.
const fn tree() -> [[u16; 2]; NODES] {
    let mut tree = [[0; 2]; NODES];
    let (mut nodes, mut code, mut length) = (1, 0u32, 1);
    while length <= LONGEST {
        let mut word = 0;
        while word < LENGTHS.len() {
            if LENGTHS[word] == length {
                nodes = grow(&mut tree, nodes, code, length, word as u16);
                code += 1;
            }
            word += 1;
        }
        code <<= 1;
        length += 1;
    }
    tree
}

/// Adds a word, and says how many nodes there are then.
const fn grow(tree: &mut [[u16; 2]; NODES], mut nodes: u16, code: u32, length: u8, word: u16) -> u16 {
    let (mut node, mut left) = (0, length - 1);
    while left > 0 {
        let bit = (code >> left & 1) as usize;
        if tree[node][bit] == 0 {
            tree[node][bit] = nodes;
            nodes += 1;
        }
        node = tree[node][bit] as usize;
        left -= 1;
    }
    tree[node][(code & 1) as usize] = WORD + word;
    nodes
}

const fn steps(tree: &[[u16; 2]; NODES]) -> [[Step; 16]; NODES] {
    let ends = may_end(tree);
    let mut steps = [[Step { next: 0, byte: 0, what: 0 }; 16]; NODES];
    let mut node = 0;
    while node < NODES {
        let mut half = 0;
        while half < 16 {
            steps[node][half] = step(tree, &ends, node, half);
            half += 1;
        }
        node += 1;
    }
    steps
}

const fn step(tree: &[[u16; 2]; NODES], ends: &[bool; NODES], mut node: usize, half: usize) -> Step {
    let (mut byte, mut what, mut left) = (0, 0, 4);
    while left > 0 {
        left -= 1;
        let child = tree[node][half >> left & 1];
        if child == WORD + 256 {
            return Step { next: 0, byte: 0, what: FAILS };
        }
        if child < WORD {
            node = child as usize;
        } else {
            // Half a byte cannot end two words of five bits or more.
            (node, byte, what) = (0, (child - WORD) as u8, ENDS);
        }
    }
    Step { next: node as u8, byte, what: if ends[node] { what | MAY_END } else { what } }
}

/// The nodes that are at most seven ones from the root.
const fn may_end(tree: &[[u16; 2]; NODES]) -> [bool; NODES] {
    let mut ends = [false; NODES];
    let (mut node, mut ones) = (0, 0);
    while ones <= 7 {
        ends[node] = true;
        node = tree[node][1] as usize;
        ones += 1;
    }
    ends
}

#[cfg(test)]
pub(super) mod tests {
    use super::{LENGTHS, LONGEST, decode};

    /// Encodes a string: the reverse of what is tested, written in another way.
    pub(crate) fn encode(text: &[u8]) -> Vec<u8> {
        let words = words();
        let mut bits = String::new();
        text.iter().for_each(|byte| bits += &words[*byte as usize]);
        while !bits.len().is_multiple_of(8) {
            bits.push('1');
        }
        let bytes = bits.as_bytes().chunks(8);
        bytes.map(|bits| u8::from_str_radix(str::from_utf8(bits).unwrap(), 2).unwrap()).collect()
    }

    fn words() -> Vec<String> {
        let mut words = vec![String::new(); 257];
        let mut code = 0u64;
        for length in 1..=LONGEST {
            for word in (0..257).filter(|word| LENGTHS[*word] == length) {
                words[word] = format!("{code:0width$b}", width = length as usize);
                code += 1;
            }
            code *= 2;
        }
        words
    }

    fn decoded(code: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        decode(code, &mut out).map(|()| out)
    }

    #[test]
    fn words_are_those_of_the_standard() {
        let words = words();
        let of = |byte: u8| words[byte as usize].as_str();
        assert_eq!((of(b'a'), of(b'0'), of(b'&')), ("00011", "00000", "11111000"));
        assert_eq!((of(0), of(255)), ("1111111111000", "11111111111111111111101110"));
        assert_eq!(words[256], "1".repeat(30));
    }

    #[test]
    fn the_standards_examples() {
        let code = [0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
        assert_eq!(decoded(&code).unwrap(), b"www.example.com");
        assert_eq!(decoded(&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf]).unwrap(), b"no-cache");
    }

    #[test]
    fn every_byte_comes_back() {
        let all: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
        assert_eq!(decoded(&encode(&all)).unwrap(), all);
        for byte in 0..=255 {
            assert_eq!(decoded(&encode(&[byte])).unwrap(), [byte]);
        }
    }

    #[test]
    fn what_is_no_string_is_refused() {
        // Too much padding, padding of zeros, and the word of the end.
        for code in [&[0x1f, 0xff][..], &[0xff], &[0x18], &[0xff; 4]] {
            assert_eq!(decoded(code), None, "{code:x?}");
        }
        assert_eq!(decoded(&[]).unwrap(), b"");
    }
}
