//! Pictures that are right, turned, broken, and larger than they say.

use image::{ImageEncoder, Rgba, RgbaImage};

use super::*;
use crate::strip::tests::{jpeg, pixels};

fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let clear = RgbaImage::from_pixel(width, height, Rgba([10, 200, 30, 100]));
    image::codecs::png::PngEncoder::new(&mut bytes)
        .write_image(&clear, width, height, ExtendedColorType::Rgba8)
        .unwrap();
    bytes
}

#[test]
fn a_turned_picture_is_seen_upright_and_its_small_one_says_nothing_of_its_maker() {
    // 48 wide and 32 high as stored, turned by 90 degrees.
    let look = look(&jpeg(), ImageFormat::Jpeg).unwrap();
    assert_eq!((look.width, look.height), (32, 48));
    let [small] = &look.small[..] else {
        panic!("{:?}", look.small)
    };
    assert_eq!((small.name, small.width, small.height), ("thumb-320", 32, 48));
    let seen = image::load_from_memory(&small.bytes).unwrap().to_rgb8();
    // The first stored column is the upper row, from right to left.
    let (stored, corner) = (pixels(), seen.get_pixel(31, 0));
    let distance: i32 = (0..3)
        .map(|at| (i32::from(stored.get_pixel(0, 0)[at]) - i32::from(corner[at])).abs())
        .sum();
    assert!(distance < 60, "{corner:?}");
    assert!(!small.bytes.windows(4).any(|window| window == b"Exif"));
    let blurhash = look.blurhash.unwrap();
    assert!(blurhash::decode(&blurhash, 8, 8, 1.0).is_ok(), "{blurhash}");
}

#[test]
fn a_large_picture_has_two_small_ones_and_what_one_can_see_through_stays_so() {
    let look = look(&png(1600, 400), ImageFormat::Png).unwrap();
    let sizes: Vec<_> = look
        .small
        .iter()
        .map(|one| (one.name, one.width, one.height, one.media_type))
        .collect();
    assert_eq!(
        sizes,
        [
            ("thumb-320", 320, 80, "image/webp"),
            ("thumb-1280", 1280, 320, "image/webp")
        ]
    );
    let seen = image::load_from_memory(&look.small[0].bytes).unwrap().to_rgba8();
    assert_eq!(seen.get_pixel(5, 5)[3], 100);
}

#[test]
fn a_picture_that_says_it_is_huge_is_not_decoded() {
    let mut bomb = png(2, 2);
    bomb[16..20].copy_from_slice(&29_999_u32.to_be_bytes());
    bomb[20..24].copy_from_slice(&29_999_u32.to_be_bytes());
    let sum = crc32fast::hash(&bomb[12..29]);
    bomb[29..33].copy_from_slice(&sum.to_be_bytes());
    let refused = look(&bomb, ImageFormat::Png).unwrap_err();
    assert!(refused.contains("29999 x 29999"), "{refused}");
    bomb[16..20].copy_from_slice(&900_000_u32.to_be_bytes());
    let sum = crc32fast::hash(&bomb[12..29]);
    bomb[29..33].copy_from_slice(&sum.to_be_bytes());
    assert!(look(&bomb, ImageFormat::Png).is_err());
}

#[test]
fn a_broken_picture_has_a_reason_and_none_of_its_content_stands_in_it() {
    let whole = jpeg();
    for (bytes, format) in [
        (&b"\xff\xd8\xff\xe0secret"[..], ImageFormat::Jpeg),
        (&b"GIF89a\xff\xff\xff\xff\0\0\0secret"[..], ImageFormat::Gif),
        (&b"RIFF\x10\0\0\0WEBPsecret"[..], ImageFormat::WebP),
        (&whole[..300], ImageFormat::Jpeg),
    ] {
        let refused = look(bytes, format).unwrap_err();
        assert!(
            refused.contains("picture") && !refused.contains("secret"),
            "{refused}"
        );
    }
}

#[test]
fn a_strip_of_pixels_makes_no_tower() {
    let look = look(&png(1, 5000), ImageFormat::Png).unwrap();
    assert_eq!((look.width, look.height), (1, 5000));
    assert!(look.small[0].height <= 8, "{:?}", look.small[0].height);
}
