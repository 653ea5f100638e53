//! The formats of files that can be imported and exported, and how one is recognised.

/// A format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Vcard,
    Ical,
    Mbox,
    Csv,
    JsonLd,
    /// Waypoints, routes and tracks.
    Gpx,
    GeoJson,
    /// Everything, with the files.
    Archive,
}

impl Format {
    /// The name in the API, on the command line and in the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Vcard => "vcard",
            Self::Ical => "ical",
            Self::Mbox => "mbox",
            Self::Csv => "csv",
            Self::JsonLd => "jsonld",
            Self::Gpx => "gpx",
            Self::GeoJson => "geojson",
            Self::Archive => "archive",
        }
    }

    /// By its name, a media type, or how a file's name ends.
    pub(crate) fn recognise(text: &str) -> Option<Self> {
        let text = text
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        Self::named(&text).or_else(|| Self::named(text.rsplit('.').next()?))
    }

    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "vcard" | "vcf" | "text/vcard" | "text/x-vcard" | "text/directory" => Self::Vcard,
            "ical" | "ics" | "text/calendar" => Self::Ical,
            "mbox" | "eml" | "application/mbox" | "message/rfc822" => Self::Mbox,
            "csv" | "text/csv" => Self::Csv,
            "jsonld" | "json" | "application/ld+json" | "application/json" => Self::JsonLd,
            "gpx" | "application/gpx+xml" => Self::Gpx,
            "geojson" | "application/geo+json" => Self::GeoJson,
            "archive" | "tar" | "application/x-tar" => Self::Archive,
            _ => return None,
        })
    }

    /// True if exports are written in it; files in the others are only read.
    pub(crate) fn is_written(self) -> bool {
        !matches!(self, Self::Gpx | Self::GeoJson)
    }

    /// Of one record in a file of this format.
    pub(crate) fn record_media_type(self) -> &'static str {
        match self {
            Self::Mbox => "message/rfc822",
            Self::Archive => Self::JsonLd.media_type(),
            other => other.media_type(),
        }
    }

    /// Of a whole file.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Vcard => "text/vcard",
            Self::Ical => "text/calendar",
            Self::Mbox => "application/mbox",
            Self::Csv => "text/csv",
            Self::JsonLd => "application/ld+json",
            Self::Gpx => "application/gpx+xml",
            Self::GeoJson => "application/geo+json",
            Self::Archive => "application/x-tar",
        }
    }

    /// Under which source the records of imports stand: the same for every file, so that a newer export of the same
    /// program replaces what the older one said.
    pub(crate) fn source(self) -> String {
        let of = match self {
            Self::Archive => Self::JsonLd,
            other => other,
        };
        format!("import/{}", of.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_known_by_its_name_media_type_or_file_name() {
        for format in [
            Format::Vcard,
            Format::Ical,
            Format::Mbox,
            Format::Csv,
            Format::JsonLd,
            Format::Gpx,
            Format::GeoJson,
            Format::Archive,
        ] {
            assert_eq!(Format::recognise(format.as_str()), Some(format));
            assert_eq!(
                Format::recognise(&format!("{}; charset=utf-8", format.media_type())),
                Some(format)
            );
        }
        assert_eq!(Format::recognise("../../My Contacts.VCF"), Some(Format::Vcard));
        assert_eq!(Format::recognise("takeout.zip"), None);
        assert_eq!(Format::recognise("application/zip"), None);
        assert_eq!(Format::recognise(""), None);
    }
}
