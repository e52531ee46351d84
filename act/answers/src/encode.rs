//! Bodies made smaller on their way to a client that takes it.
//!
//! What came is encoded and flushed piece by piece, so that a body that is made slowly arrives as it is made. An
//! encoder belongs to one answer, and lives only as long.

use naru_wire::Coding;
use std::io::{self, Write};

/// Levels at which a core encodes some 50 to 200 MB a second: beyond them little is gained for text.
const GZIP: u32 = 5;
const BROTLI: u32 = 4;
const ZSTD: i32 = 3;

/// Brotli's window, as a power of two: 512 KiB of memory instead of 4 MiB.
const BROTLI_WINDOW: u32 = 19;

/// Bytes of brotli's own buffer.
const BROTLI_BUFFER: usize = 4096;

/// One body's encoder.
pub struct Encoder(Kind);

enum Kind {
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
    // Large: boxed.
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Encoder {
    /// One for a body that is to be coded so.
    ///
    /// # Errors
    /// The library has no memory.
    pub fn new(coding: Coding) -> io::Result<Encoder> {
        Ok(Encoder(match coding {
            Coding::Gzip => {
                Kind::Gzip(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(GZIP)))
            }
            Coding::Brotli => {
                let writer = brotli::CompressorWriter::new(Vec::new(), BROTLI_BUFFER, BROTLI, BROTLI_WINDOW);
                Kind::Brotli(Box::new(writer))
            }
            Coding::Zstd => Kind::Zstd(zstd::stream::write::Encoder::new(Vec::new(), ZSTD)?),
        }))
    }

    /// Encodes a piece, and yields all that the client can decode by now.
    ///
    /// # Errors
    /// The library failed.
    pub fn encode(&mut self, piece: &[u8]) -> io::Result<Vec<u8>> {
        let writer: &mut dyn Write = match &mut self.0 {
            Kind::Gzip(writer) => writer,
            Kind::Brotli(writer) => writer,
            Kind::Zstd(writer) => writer,
        };
        writer.write_all(piece)?;
        writer.flush()?;
        Ok(std::mem::take(match &mut self.0 {
            Kind::Gzip(writer) => writer.get_mut(),
            Kind::Brotli(writer) => writer.get_mut(),
            Kind::Zstd(writer) => writer.get_mut(),
        }))
    }

    /// What comes after the last piece.
    ///
    /// # Errors
    /// The library failed.
    pub fn finish(self) -> io::Result<Vec<u8>> {
        match self.0 {
            Kind::Gzip(writer) => writer.finish(),
            Kind::Brotli(writer) => Ok(writer.into_inner()),
            Kind::Zstd(writer) => writer.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Coding, Encoder};
    use std::io::Read;

    fn decode(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        match coding {
            Coding::Gzip => flate2::read::GzDecoder::new(bytes).read_to_end(&mut text).unwrap(),
            Coding::Brotli => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut text).unwrap(),
            Coding::Zstd => zstd::stream::read::Decoder::new(bytes).unwrap().read_to_end(&mut text).unwrap(),
        };
        text
    }

    #[test]
    fn what_comes_out_decodes_to_what_went_in_and_is_smaller() {
        let pieces: Vec<Vec<u8>> =
            (0..50).map(|n| format!("line {n} of many lines\n").repeat(40).into_bytes()).collect();
        for coding in Coding::ALL {
            let mut encoder = Encoder::new(coding).unwrap();
            let mut coded = Vec::new();
            for piece in &pieces {
                let some = encoder.encode(piece).unwrap();
                assert!(!some.is_empty(), "{coding}: a piece goes out at once");
                coded.extend(some);
            }
            coded.extend(encoder.finish().unwrap());
            let whole = pieces.concat();
            assert_eq!(decode(coding, &coded), whole, "{coding}");
            assert!(coded.len() * 4 < whole.len(), "{coding}: {} of {}", coded.len(), whole.len());
        }
    }

    #[test]
    fn a_piece_can_be_read_before_the_next_is_there() {
        let mut encoder = Encoder::new(Coding::Gzip).unwrap();
        let first = encoder.encode(b"first").unwrap();
        let mut text = [0; 5];
        flate2::read::GzDecoder::new(&*first).read_exact(&mut text).unwrap();
        assert_eq!(&text, b"first");
    }
}
