//! Reading header blocks (RFC 7541, 3 and 6).

use super::huffman;
use super::name::{Name, is_value};
use super::table::{ENTRY, Table, Told};
use std::ops::Range;

/// Memory for strings that is kept between blocks.
const KEPT: usize = 4096;

/// A block that cannot be read: what follows it cannot either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Corrupt;

/// A field of a block.
pub(crate) struct Field<'a> {
    /// What its name is.
    pub(crate) kind: Name,
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
    /// Whether its value can be one.
    pub(crate) is_sound: bool,
}

impl Field<'_> {
    /// What it counts of a list of fields (RFC 9113, 6.5.2).
    pub(crate) fn size(&self) -> usize {
        self.name.len() + self.value.len() + ENTRY
    }
}

impl<'a> From<Told<'a>> for Field<'a> {
    fn from(told: Told<'a>) -> Field<'a> {
        let Told { kind, name, value, is_sound } = told;
        Field { kind, name, value, is_sound }
    }
}

/// Reads the blocks of one connection, in order.
#[derive(Default)]
pub(crate) struct Decoder {
    table: Table,
    /// What was decoded of a field's strings.
    strings: Vec<u8>,
}

/// Where a string is.
enum Text {
    /// In the block.
    Plain(Range<usize>),
    /// Decoded, among the strings.
    Decoded(Range<usize>),
}

/// How a field that is spelled out is told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Indexing {
    Added,
    None,
}

impl Decoder {
    /// Reads a whole block, and tells each of its fields.
    pub(crate) fn decode(&mut self, block: &[u8], mut each: impl FnMut(Field<'_>)) -> Result<(), Corrupt> {
        let mut rest = Rest { block, at: 0 };
        let mut may_resize = true;
        while let Some(&first) = block.get(rest.at) {
            match first {
                0x80.. => {
                    let index = rest.integer(7)?;
                    each(self.table.get(index).ok_or(Corrupt)?.into());
                }
                0x40.. => self.literal(&mut rest, 6, Indexing::Added, &mut each)?,
                0x20.. if may_resize => {
                    self.table.resize(rest.integer(5)?).ok_or(Corrupt)?;
                    continue;
                }
                0x20.. => return Err(Corrupt),
                _ => self.literal(&mut rest, 4, Indexing::None, &mut each)?,
            }
            may_resize = false;
        }
        if self.strings.capacity() > KEPT {
            self.strings = Vec::new();
        }
        Ok(())
    }

    /// A field whose value is spelled out, and perhaps its name.
    fn literal(
        &mut self,
        rest: &mut Rest<'_>,
        bits: u32,
        indexing: Indexing,
        each: &mut impl FnMut(Field<'_>),
    ) -> Result<(), Corrupt> {
        self.strings.clear();
        let index = rest.integer(bits)?;
        let name = if index == 0 { Some(rest.string(&mut self.strings)?) } else { None };
        let value = rest.string(&mut self.strings)?;
        let value = value.of(rest.block, &self.strings);
        let is_sound = is_value(value);
        let Some(name) = name else {
            each(Told { value, is_sound, ..self.table.get(index).ok_or(Corrupt)? }.into());
            if indexing == Indexing::Added {
                self.table.add_named(index, value, is_sound);
            }
            return Ok(());
        };
        let name = name.of(rest.block, &self.strings);
        let told = Told { kind: Name::of(name), name, value, is_sound };
        each(told.into());
        if indexing == Indexing::Added {
            self.table.add(told);
        }
        Ok(())
    }
}

impl Text {
    fn of<'a>(&self, block: &'a [u8], strings: &'a [u8]) -> &'a [u8] {
        match self {
            Text::Plain(range) => &block[range.clone()],
            Text::Decoded(range) => &strings[range.clone()],
        }
    }
}

/// What is still to be read of a block.
struct Rest<'a> {
    block: &'a [u8],
    at: usize,
}

impl Rest<'_> {
    fn byte(&mut self) -> Result<u8, Corrupt> {
        let byte = *self.block.get(self.at).ok_or(Corrupt)?;
        self.at += 1;
        Ok(byte)
    }

    /// An integer whose first byte has so many bits of it (RFC 7541, 5.1). None that means anything here needs more
    /// than four bytes beyond that.
    fn integer(&mut self, bits: u32) -> Result<usize, Corrupt> {
        let most = (1 << bits) - 1;
        let mut value = usize::from(self.byte()?) & most;
        if value < most {
            return Ok(value);
        }
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            value += usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Corrupt)
    }

    fn string(&mut self, strings: &mut Vec<u8>) -> Result<Text, Corrupt> {
        let is_coded = self.block.get(self.at).ok_or(Corrupt)? & 0x80 != 0;
        let length = self.integer(7)?;
        let range = self.at..self.at + length;
        let code = self.block.get(range.clone()).ok_or(Corrupt)?;
        self.at = range.end;
        if !is_coded {
            return Ok(Text::Plain(range));
        }
        let from = strings.len();
        huffman::decode(code, strings).ok_or(Corrupt)?;
        Ok(Text::Decoded(from..strings.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Corrupt, Decoder};

    /// Bytes of a text of hexadecimal digits, as the standard prints them.
    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<_> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let pair = |two: &[u8]| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap();
        digits.chunks(2).map(pair).collect()
    }

    fn fields(decoder: &mut Decoder, block: &[u8]) -> Result<String, Corrupt> {
        let mut out = String::new();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        decoder.decode(block, |field| out += &format!("{}: {}\n", text(field.name), text(field.value)))?;
        Ok(out)
    }

    fn check(decoder: &mut Decoder, block: &str, want: &[&str]) {
        let want: String = want.iter().map(|line| format!("{line}\n")).collect();
        assert_eq!(fields(decoder, &hex(block)).unwrap(), want);
    }

    /// RFC 7541, C.2.
    #[test]
    fn single_fields() {
        let mut of = Decoder::default();
        check(
            &mut of,
            "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
            &["custom-key: custom-header"],
        );
        check(&mut of, "be", &["custom-key: custom-header"]);
        check(&mut of, "040c 2f73 616d 706c 652f 7061 7468", &[":path: /sample/path"]);
        check(&mut of, "1008 7061 7373 776f 7264 0673 6563 7265 74", &["password: secret"]);
        check(&mut of, "82", &[":method: GET"]);
    }

    const FIRST: [&str; 4] = [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"];

    fn three_requests(blocks: [&str; 3]) {
        let mut of = Decoder::default();
        check(&mut of, blocks[0], &FIRST);
        let second = [&FIRST[..], &["cache-control: no-cache"]].concat();
        check(&mut of, blocks[1], &second);
        let third = [
            ":method: GET",
            ":scheme: https",
            ":path: /index.html",
            ":authority: www.example.com",
            "custom-key: custom-value",
        ];
        check(&mut of, blocks[2], &third);
    }

    /// RFC 7541, C.3.
    #[test]
    fn requests_in_plain_text() {
        three_requests([
            "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "8286 84be 5808 6e6f 2d63 6163 6865",
            "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
        ]);
    }

    /// RFC 7541, C.4.
    #[test]
    fn requests_by_huffmans_code() {
        three_requests([
            "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
            "8286 84be 5886 a8eb 1064 9cbf",
            "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
        ]);
    }

    /// RFC 7541, C.6, behind what makes the table of 256 bytes that it is about.
    #[test]
    fn a_small_table_forgets() {
        let mut of = Decoder::default();
        let date = "date: Mon, 21 Oct 2013 20:13:21 GMT";
        let (private, url) = ("cache-control: private", "location: https://www.example.com");
        check(
            &mut of,
            "3fe1 01 4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d \
             29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
            &[":status: 302", private, date, url],
        );
        check(&mut of, "4883 640e ff c1 c0 bf", &[":status: 307", private, date, url]);
        check(
            &mut of,
            "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 \
             b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
            &[
                ":status: 200",
                private,
                "date: Mon, 21 Oct 2013 20:13:22 GMT",
                url,
                "content-encoding: gzip",
                "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
            ],
        );
    }

    #[test]
    fn integers_have_a_bound() {
        let mut of = Decoder::default();
        check(&mut of, "0f84 0001 61", &["accept: a"]);
        for block in ["ff80", "ffff ffff ffff ffff ff0f", "8020", "0001 7805 61", "80", "7f80 8080 8000 0161"]
        {
            assert_eq!(fields(&mut Decoder::default(), &hex(block)), Err(Corrupt), "{block}");
        }
        assert_eq!(fields(&mut of, &hex("8220")), Err(Corrupt), "a size behind a field");
        assert_eq!(fields(&mut of, &hex("203f e21f")), Err(Corrupt), "a size beyond what is allowed");
    }

    /// Whatever comes: no panic, and no more memory than the bounds say.
    #[test]
    fn garbage_is_survived() {
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        let mut read = 0;
        for _ in 0..20_000 {
            let mut decoder = Decoder::default();
            for _ in 0..8 {
                // What a block begins with, and lengths that are short: chance alone is refused too soon.
                let likely = [0x82, 0xbe, 0xbf, 0x40, 0x00, 0x01, 0x02, 0x41, 0x81, 0x1f, 0x20, 0x10];
                let mut byte = || match next() >> 32 & 15 {
                    at @ 0..12 => likely[at as usize],
                    _ => (next() >> 40) as u8,
                };
                let block: Vec<u8> = (0..12).map(|_| byte()).collect();
                let Ok(()) = decoder.decode(&block, |_| read += 1) else { break };
            }
        }
        assert!(read > 5_000, "much of it are fields: {read}");
    }
}
