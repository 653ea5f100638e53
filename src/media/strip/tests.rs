//! Pictures with everything in them that cameras and programs write; what is left is asked of another reader.

use std::io::Cursor;

use image::codecs::gif::GifEncoder;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::codecs::webp::WebPEncoder;
use image::{DynamicImage, ExtendedColorType, ImageEncoder, ImageFormat, Rgb, RgbImage};

use super::strip;

/// Words that must not leave.
const SECRETS: [&str; 7] = [
    "AcmePhone",
    "GPSHOME",
    "xmp-secret",
    "iptc-secret",
    "comment-secret",
    "trailer-secret",
    "thumb-secret",
];

pub(crate) fn pixels() -> RgbImage {
    RgbImage::from_fn(48, 32, |x, y| {
        Rgb([(x * 5) as u8, (y * 7) as u8, ((x + y) * 3) as u8])
    })
}

/// Exif as a phone writes it: maker, orientation (turned by 90 degrees), and where it was, with a name of the place.
pub(crate) fn exif_block() -> Vec<u8> {
    let mut block = b"MM\0\x2a\0\0\0\x08".to_vec();
    let entry = |tag: u16, kind: u16, count: u32, value: [u8; 4]| {
        [
            &tag.to_be_bytes()[..],
            &kind.to_be_bytes(),
            &count.to_be_bytes(),
            &value,
        ]
        .concat()
    };
    let (maker, gps) = (8 + 2 + 3 * 12 + 4, 8 + 2 + 3 * 12 + 4 + 10);
    block.extend_from_slice(&3_u16.to_be_bytes());
    block.extend(entry(0x010f, 2, 10, u32::to_be_bytes(maker)));
    block.extend(entry(0x0112, 3, 1, [0, 6, 0, 0]));
    block.extend(entry(0x8825, 4, 1, u32::to_be_bytes(gps)));
    block.extend_from_slice(&[0; 4]);
    block.extend_from_slice(b"AcmePhone\0");
    let area = gps + 2 + 3 * 12 + 4;
    block.extend_from_slice(&3_u16.to_be_bytes());
    block.extend(entry(0x0001, 2, 2, *b"N\0\0\0"));
    block.extend(entry(0x0002, 5, 3, u32::to_be_bytes(area)));
    block.extend(entry(0x001c, 7, 8, u32::to_be_bytes(area + 24)));
    block.extend_from_slice(&[0; 4]);
    for part in [52_u32, 1, 30, 1, 0, 1] {
        block.extend_from_slice(&part.to_be_bytes());
    }
    block.extend_from_slice(b"GPSHOME\0");
    block
}

fn segment(marker: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len() + 2).unwrap();
    [&[0xff, marker][..], &length.to_be_bytes(), content].concat()
}

/// A JPEG with Exif, XMP, IPTC, a comment, a small picture of its own, and a film behind its end.
pub(crate) fn jpeg() -> Vec<u8> {
    let mut plain = Vec::new();
    let pixels = pixels();
    JpegEncoder::new_with_quality(&mut plain, 90)
        .encode(&pixels, 48, 32, ExtendedColorType::Rgb8)
        .unwrap();
    let parts = [
        &plain[..2],
        &segment(0xe0, b"JFIF\0\x01\x02\0\0\x01\0\x01\x01\x01abc"),
        &segment(0xe0, b"JFXX\0\x10thumb-secret"),
        &segment(0xe1, &[b"Exif\0\0", exif_block().as_slice()].concat()),
        &segment(
            0xe1,
            b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>xmp-secret</x:xmpmeta>",
        ),
        &segment(0xe2, b"MPF\0trailer-secret"),
        &segment(0xed, b"Photoshop 3.0\08BIM\x04\x04iptc-secret"),
        &segment(0xfe, b"comment-secret"),
        &plain[2..],
        b"trailer-secret: a film",
    ];
    parts.concat()
}

fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let named = [name, data].concat();
    let length = u32::try_from(data.len()).unwrap().to_be_bytes();
    [&length[..], &named, &crc32fast::hash(&named).to_be_bytes()].concat()
}

fn png() -> Vec<u8> {
    let mut plain = Vec::new();
    PngEncoder::new(&mut plain)
        .write_image(&pixels(), 48, 32, ExtendedColorType::Rgb8)
        .unwrap();
    let head = 8 + 25;
    let parts = [
        &plain[..head],
        &chunk(b"tEXt", b"Comment\0comment-secret"),
        &chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0xmp-secret"),
        &chunk(b"tIME", &[7, 0xe8, 1, 2, 3, 4, 5]),
        &chunk(b"eXIf", &exif_block()),
        &chunk(b"prVt", b"iptc-secret"),
        &plain[head..],
        b"trailer-secret",
    ];
    parts.concat()
}

fn riff(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap().to_le_bytes();
    let fill: &[u8] = if data.len() % 2 == 1 { &[0] } else { &[] };
    [&name[..], &length, data, fill].concat()
}

fn webp() -> Vec<u8> {
    let mut plain = Vec::new();
    WebPEncoder::new_lossless(&mut plain)
        .encode(&pixels(), 48, 32, ExtendedColorType::Rgb8)
        .unwrap();
    let body = [
        b"WEBP".to_vec(),
        riff(b"VP8X", &[0x0c, 0, 0, 0, 47, 0, 0, 31, 0, 0]),
        plain[12..].to_vec(),
        riff(b"EXIF", &exif_block()),
        riff(b"XMP ", b"xmp-secret"),
        riff(b"OWN ", b"comment-secret"),
    ]
    .concat();
    [riff(b"RIFF", &body), b"trailer-secret".to_vec()].concat()
}

fn gif() -> Vec<u8> {
    let mut plain = Vec::new();
    let frame = image::Frame::new(DynamicImage::ImageRgb8(pixels()).to_rgba8());
    GifEncoder::new(&mut plain)
        .encode_frames([frame.clone(), frame])
        .unwrap();
    let head = 13
        + if plain[10] & 0x80 == 0 {
            0
        } else {
            3 << ((plain[10] & 7) + 1)
        };
    let parts = [
        &plain[..head],
        b"\x21\xfe\x0ecomment-secret\0",
        b"\x21\xff\x0bXMP DataXMP\x0axmp-secret\0",
        b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0",
        &plain[head..],
        b"trailer-secret",
    ];
    parts.concat()
}

fn holds(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|window| window == word.as_bytes())
}

/// The fields that another reader finds.
fn exif_fields(bytes: &[u8]) -> Vec<String> {
    match exif::Reader::new().read_from_container(&mut Cursor::new(bytes)) {
        Ok(read) => read.fields().map(|field| field.tag.to_string()).collect(),
        Err(exif::Error::NotFound(_)) => Vec::new(),
        Err(error) => panic!("{error}"),
    }
}

fn decoded(bytes: &[u8], format: ImageFormat) -> Vec<u8> {
    image::load_from_memory_with_format(bytes, format)
        .unwrap()
        .into_bytes()
}

#[test]
fn of_a_picture_that_leaves_nothing_is_left_but_its_pixels_and_how_it_is_turned() {
    let pictures = [
        ("image/jpeg", jpeg(), ImageFormat::Jpeg, 6),
        ("image/png", png(), ImageFormat::Png, 4),
        ("image/webp", webp(), ImageFormat::WebP, 4),
    ];
    for (media_type, original, format, secrets) in pictures {
        let fields = exif_fields(&original);
        for tag in ["Make", "GPSLatitude", "GPSAreaInformation", "Orientation"] {
            assert!(fields.contains(&tag.to_owned()), "{media_type}: {fields:?}");
        }
        assert!(SECRETS.iter().filter(|word| holds(&original, word)).count() >= secrets);
        let stripped = strip(&original, media_type).unwrap();
        assert_eq!(exif_fields(&stripped), ["Orientation"], "{media_type}");
        for word in SECRETS {
            assert!(!holds(&stripped, word), "{media_type} still holds {word}");
        }
        assert_eq!(
            decoded(&stripped, format),
            decoded(&original, format),
            "{media_type}"
        );
        assert_eq!(strip(&stripped, media_type).unwrap(), stripped, "twice is once");
    }
}

#[test]
fn an_animation_keeps_its_frames_and_their_repeating_and_loses_its_words() {
    let original = gif();
    assert!(holds(&original, "comment-secret") && holds(&original, "xmp-secret"));
    let stripped = strip(&original, "image/gif").unwrap();
    for word in SECRETS {
        assert!(!holds(&stripped, word), "{word}");
    }
    assert!(holds(&stripped, "NETSCAPE2.0"));
    assert_eq!(
        decoded(&stripped, ImageFormat::Gif),
        decoded(&original, ImageFormat::Gif)
    );
    let frames = |bytes: &[u8]| {
        use image::AnimationDecoder;
        let decoder = image::codecs::gif::GifDecoder::new(Cursor::new(bytes.to_vec())).unwrap();
        decoder.into_frames().count()
    };
    assert_eq!((frames(&original), frames(&stripped)), (2, 2));
}

#[test]
fn a_picture_that_says_nothing_of_itself_stays_as_it_is() {
    let mut plain = Vec::new();
    PngEncoder::new(&mut plain)
        .write_image(&pixels(), 48, 32, ExtendedColorType::Rgb8)
        .unwrap();
    assert_eq!(strip(&plain, "image/png").unwrap(), plain);
    assert_eq!(strip(b"hello", "text/plain").unwrap(), b"hello");
}

#[test]
fn what_cant_be_read_to_its_end_is_refused_and_not_passed_on() {
    for (media_type, whole) in [
        ("image/jpeg", jpeg()),
        ("image/png", png()),
        ("image/webp", webp()),
        ("image/gif", gif()),
    ] {
        // Cut off anywhere, it is refused or what is left says nothing.
        for end in (0..whole.len() - 20).step_by(7) {
            if let Ok(stripped) = strip(&whole[..end], media_type) {
                assert!(
                    SECRETS.iter().all(|word| !holds(&stripped, word)),
                    "{media_type} at {end}"
                );
            }
        }
        assert!(strip(&whole[..40], media_type).is_err(), "{media_type}");
        assert!(strip(b"", media_type).is_err());
    }
    for other in ["application/pdf", "video/mp4", "image/svg+xml", "text/html"] {
        let refused = strip(b"<svg/>", other).unwrap_err();
        assert!(refused.contains(other), "{refused}");
    }
}
