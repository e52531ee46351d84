//! CRC-32C (Castagnoli), as the PROXY protocol checks its headers. They are short: one table is enough.

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    /// The polynomial, its lowest power in the highest bit.
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let mut value = at as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { (value >> 1) ^ POLYNOMIAL } else { value >> 1 };
            bit += 1;
        }
        table[at] = value;
        at += 1;
    }
    table
}

/// Of all bytes, in order.
pub(super) fn crc32c(bytes: impl IntoIterator<Item = u8>) -> u32 {
    let next = |crc: u32, byte: u8| (crc >> 8) ^ TABLE[usize::from(crc as u8 ^ byte)];
    !bytes.into_iter().fold(!0, next)
}

#[cfg(test)]
mod tests {
    use super::crc32c;

    /// The check value of the catalogue, and two of RFC 3720, B.4.
    #[test]
    fn it_agrees_with_the_published_values() {
        assert_eq!(crc32c(*b"123456789"), 0xe306_9283);
        assert_eq!(crc32c([0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c([0xff; 32]), 0x62a8_ab43);
    }
}
