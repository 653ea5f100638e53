//! Which country's numbers are meant by somebody who lives in a time zone.

/// The country of a zone, for the zones that most people live in and that lie in one country only.
pub(crate) fn country(zone: &str) -> Option<&'static str> {
    Some(match zone {
        "Europe/Berlin" => "DE",
        "Europe/Vienna" => "AT",
        "Europe/Zurich" => "CH",
        "Europe/Paris" => "FR",
        "Europe/London" => "GB",
        "Europe/Dublin" => "IE",
        "Europe/Madrid" => "ES",
        "Europe/Lisbon" => "PT",
        "Europe/Rome" => "IT",
        "Europe/Amsterdam" => "NL",
        "Europe/Brussels" => "BE",
        "Europe/Luxembourg" => "LU",
        "Europe/Copenhagen" => "DK",
        "Europe/Oslo" => "NO",
        "Europe/Stockholm" => "SE",
        "Europe/Helsinki" => "FI",
        "Europe/Warsaw" => "PL",
        "Europe/Prague" => "CZ",
        "Europe/Bratislava" => "SK",
        "Europe/Budapest" => "HU",
        "Europe/Bucharest" => "RO",
        "Europe/Sofia" => "BG",
        "Europe/Athens" => "GR",
        "Europe/Istanbul" => "TR",
        "Europe/Kyiv" | "Europe/Kiev" => "UA",
        "Europe/Vilnius" => "LT",
        "Europe/Riga" => "LV",
        "Europe/Tallinn" => "EE",
        "America/New_York"
        | "America/Chicago"
        | "America/Denver"
        | "America/Phoenix"
        | "America/Los_Angeles"
        | "America/Anchorage"
        | "Pacific/Honolulu" => "US",
        "America/Toronto" | "America/Vancouver" | "America/Winnipeg" | "America/Halifax"
        | "America/Edmonton" => "CA",
        "America/Mexico_City" => "MX",
        "America/Sao_Paulo" => "BR",
        "America/Argentina/Buenos_Aires" => "AR",
        "America/Santiago" => "CL",
        "America/Bogota" => "CO",
        "Asia/Tokyo" => "JP",
        "Asia/Seoul" => "KR",
        "Asia/Shanghai" => "CN",
        "Asia/Kolkata" | "Asia/Calcutta" => "IN",
        "Asia/Singapore" => "SG",
        "Asia/Jerusalem" => "IL",
        "Australia/Sydney"
        | "Australia/Melbourne"
        | "Australia/Brisbane"
        | "Australia/Perth"
        | "Australia/Adelaide" => "AU",
        "Pacific/Auckland" => "NZ",
        "Africa/Johannesburg" => "ZA",
        "Africa/Lagos" => "NG",
        "Africa/Nairobi" => "KE",
        "Africa/Cairo" => "EG",
        _ => return None,
    })
}
