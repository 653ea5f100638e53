//! What a picture shows: its size as it is seen, small pictures of it, and a few characters for while it loads.
//!
//! Invariant: nothing is decoded before its size is known to be bearable; what comes out holds pixels and nothing else.
//! Pure; may panic where a decoder does, so its caller catches that. Begin with [`look`].

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageFormat, ImageReader, Limits};

/// Pixels of a picture that is decoded.
const PIXELS_MAX: u64 = 64_000_000;
const SIDE_MAX: u32 = 30_000;
/// Memory that a decoder may take.
const MEMORY_BYTES_MAX: u64 = 320 << 20;
/// Name and width of the small pictures.
const SMALL: [(&str, u32); 2] = [("thumb-320", 320), ("thumb-1280", 1280)];
const QUALITY: u8 = 82;
/// From so few pixels the characters are made.
const BLUR_SIDE: u32 = 48;

/// What was seen.
#[derive(Debug)]
pub(crate) struct Look {
    /// As it is seen: turned as the picture wants to be.
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) blurhash: Option<String>,
    pub(crate) small: Vec<Small>,
}

/// A small picture.
#[derive(Debug)]
pub(crate) struct Small {
    pub(crate) name: &'static str,
    pub(crate) media_type: &'static str,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) bytes: Vec<u8>,
}

/// The format, if pictures of it are made.
pub(crate) fn format(media_type: &str) -> Option<ImageFormat> {
    match media_type {
        "image/jpeg" => Some(ImageFormat::Jpeg),
        "image/png" => Some(ImageFormat::Png),
        "image/gif" => Some(ImageFormat::Gif),
        "image/webp" => Some(ImageFormat::WebP),
        _ => None,
    }
}

/// Looks at a picture, or says why it can't.
pub(crate) fn look(bytes: &[u8], format: ImageFormat) -> Result<Look, String> {
    let broken = |error: image::ImageError| format!("the picture can't be decoded: {}", told(&error));
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE_MAX);
    limits.max_image_height = Some(SIDE_MAX);
    limits.max_alloc = Some(MEMORY_BYTES_MAX);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder().map_err(broken)?;
    let (width, height) = decoder.dimensions();
    if width > SIDE_MAX || height > SIDE_MAX || u64::from(width) * u64::from(height) > PIXELS_MAX {
        return Err(format!(
            "the picture has {width} x {height} pixels; at most {PIXELS_MAX} are decoded"
        ));
    }
    if decoder.total_bytes() > MEMORY_BYTES_MAX {
        return Err(format!(
            "the picture needs {} bytes to decode",
            decoder.total_bytes()
        ));
    }
    decoder.set_limits(limits).map_err(broken)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let picture = DynamicImage::from_decoder(decoder).map_err(broken)?;
    if picture.width() == 0 || picture.height() == 0 {
        return Err("the picture has no pixels".to_owned());
    }
    let turned = turns(orientation);
    let (width, height) = if turned { (height, width) } else { (width, height) };
    let mut small = Vec::new();
    for (index, (name, wanted)) in SMALL.into_iter().enumerate() {
        // The smallest is always made: it is upright, and has nothing of its maker in it.
        if index == 0 || width > SMALL[index - 1].1 {
            let seen = shrink(&picture, orientation, wanted.min(width));
            small.push(encode(name, &seen).map_err(broken)?);
        }
    }
    let tiny = shrink(&picture, orientation, BLUR_SIDE.min(width));
    Ok(Look {
        width,
        height,
        blurhash: blur(&tiny),
        small,
    })
}

/// What went wrong, without anything of the content.
fn told(error: &image::ImageError) -> &'static str {
    match error {
        image::ImageError::Limits(_) => "it needs more memory than is allowed",
        image::ImageError::Unsupported(_) => "it is of a kind that isn't supported",
        _ => "it is damaged, or cut off",
    }
}

fn turns(orientation: Orientation) -> bool {
    matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    )
}

/// The picture upright and so wide; its height follows.
fn shrink(picture: &DynamicImage, orientation: Orientation, width: u32) -> DynamicImage {
    let turned = turns(orientation);
    let (seen_width, seen_height) = if turned {
        (picture.height(), picture.width())
    } else {
        (picture.width(), picture.height())
    };
    let scaled = u64::from(seen_height) * u64::from(width) / u64::from(seen_width);
    // A strip that is a thousand times as high as wide stays bearable.
    let height = u32::try_from(scaled)
        .unwrap_or(u32::MAX)
        .clamp(1, width.saturating_mul(8));
    let (stored_width, stored_height) = if turned { (height, width) } else { (width, height) };
    let mut seen = if (stored_width, stored_height) == (picture.width(), picture.height()) {
        picture.clone()
    } else {
        picture.thumbnail_exact(stored_width, stored_height)
    };
    seen.apply_orientation(orientation);
    seen
}

/// JPEG, or, what one can see through, WebP without loss.
fn encode(name: &'static str, seen: &DynamicImage) -> Result<Small, image::ImageError> {
    let (width, height) = (seen.width(), seen.height());
    let mut bytes = Vec::new();
    let media_type = if seen.color().has_alpha() {
        let pixels = seen.to_rgba8();
        WebPEncoder::new_lossless(&mut bytes).encode(&pixels, width, height, ExtendedColorType::Rgba8)?;
        "image/webp"
    } else {
        let pixels = seen.to_rgb8();
        JpegEncoder::new_with_quality(&mut bytes, QUALITY).encode(
            &pixels,
            width,
            height,
            ExtendedColorType::Rgb8,
        )?;
        "image/jpeg"
    };
    Ok(Small {
        name,
        media_type,
        width,
        height,
        bytes,
    })
}

fn blur(tiny: &DynamicImage) -> Option<String> {
    let (across, down) = if tiny.width() >= tiny.height() {
        (4, 3)
    } else {
        (3, 4)
    };
    let pixels = tiny.to_rgba8();
    blurhash::encode(across, down, tiny.width(), tiny.height(), &pixels).ok()
}

#[cfg(test)]
mod tests;
